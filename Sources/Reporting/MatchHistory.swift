import Artifacts
import Foundation

/// Which teacher layer each student layer was matched with over training (the paper's figure 5),
/// and how much of a choice it was.
public struct MatchHistory: Sendable {
  public let studentLayers: [Int]
  public let teacherLayers: [Int]
  /// Shares of the picks [student layer, teacher layer] in the first and the last tenth of the
  /// steps; a row's sum is 1.
  public let start: [[Double]]
  public let end: [[Double]]
  /// What picks by lot would give [student layer, teacher layer]; nil where the strategy draws no
  /// lots.
  public let byLot: [[Double]]?
  /// The mean number of the teacher layer matched, over steps, one for each student layer.
  public let depth: [Curve]
  /// Entropy of the sampling distribution and its maximum, nats, one for each student layer; empty
  /// where the metrics do not tell.
  public let entropy: [Entropy]

  /// How much of a choice one student layer had, and made.
  public struct Entropy: Sendable, Equatable {
    /// Means over a stretch of steps.
    public struct Mean: Sendable, Equatable {
      public var entropy: Double
      public var maximum: Double
      /// The entropy over its maximum; nil where there was nothing to choose.
      public var ratio: Double? { maximum > 1e-9 ? entropy / maximum : nil }
    }

    /// The first and the last tenth of the steps.
    public var start: Mean
    public var end: Mean
    /// The ratio over steps.
    public var ratio: Curve
  }

  /// Entropy over its maximum above which a pick is no learned match.
  public static let uniform = 0.95

  /// - Parameters:
  ///   - lines: of the adapter's metrics, with "matches", "entropy", "maximum_entropy".
  ///   - settings: the manifest's section `align`.
  /// Nil when no line tells of matches.
  public init?(_ lines: [JSON], studentLayers: [Int], teacherLayers: [Int], settings: JSON?) {
    self.studentLayers = studentLayers
    self.teacherLayers = teacherLayers
    let steps = lines.compactMap {
      Step($0, students: studentLayers.count, teacherLayers: teacherLayers)
    }
    guard !steps.isEmpty, !studentLayers.isEmpty, !teacherLayers.isEmpty else { return nil }
    let tenth = max(1, steps.count / 10)
    start = MatchHistory.shares(steps.prefix(tenth).map(\.picks))
    end = MatchHistory.shares(steps.suffix(tenth).map(\.picks))
    depth = studentLayers.indices.map { i in
      let points = steps.compactMap { step -> (x: Double, y: Double)? in
        let total = step.picks[i].reduce(0, +)
        guard total > 0 else { return nil }
        let sum = zip(step.picks[i], teacherLayers).reduce(0) { $0 + $1.0 * Double($1.1) }
        return (step.number, sum / total)
      }
      return Curve("layer \(studentLayers[i])", points, tone: .model)
    }
    let measured = steps.filter { !$0.entropy.isEmpty }
    entropy =
      measured.isEmpty
      ? []
      : studentLayers.indices.map { i in
        MatchHistory.entropy(measured, layer: i, name: "layer \(studentLayers[i])")
      }
    byLot = MatchHistory.byLot(
      students: studentLayers.count, teachers: teacherLayers.count, settings: settings)
  }

  /// What one line tells.
  private struct Step {
    var number: Double
    /// [student layer, teacher layer]: how often picked, a pick of several layers shared among them.
    var picks: [[Double]]
    /// By student layer; empty where the line does not tell.
    var entropy: [(value: Double, maximum: Double)] = []

    init?(_ line: JSON, students: Int, teacherLayers: [Int]) {
      guard let step = line["step"]?.asInt, let batches = line["matches"]?.asArray,
        !batches.isEmpty
      else { return nil }
      number = Double(step) + 1
      picks = [[Double]](
        repeating: [Double](repeating: 0, count: teacherLayers.count), count: students)
      for batch in batches {
        for (i, match) in (batch.asArray ?? []).prefix(students).enumerated() {
          let chosen = (match.asArray ?? []).compactMap { layer in
            layer.asInt.flatMap { teacherLayers.firstIndex(of: $0) }
          }
          for j in chosen { picks[i][j] += 1 / Double(chosen.count) }
        }
      }
      let found = line["entropy"]?.asArray ?? [], most = line["maximum_entropy"]?.asArray ?? []
      guard found.count == students, most.count == students else { return }
      entropy = zip(found, most).map { ($0.asDouble ?? 0, $1.asDouble ?? 0) }
    }
  }

  private static func shares(_ tables: [[[Double]]]) -> [[Double]] {
    guard var sum = tables.first else { return [] }
    for table in tables.dropFirst() {
      for i in sum.indices { for j in sum[i].indices { sum[i][j] += table[i][j] } }
    }
    return sum.map { row in
      let total = row.reduce(0, +)
      return total > 0 ? row.map { $0 / total } : row
    }
  }

  /// The points of the ratio's curve: each the sum of its steps' entropies over that of the maxima,
  /// because single steps may leave no choice at all.
  private static let points = 24

  private static func entropy(_ steps: [Step], layer i: Int, name: String) -> Entropy {
    func mean(_ part: ArraySlice<Step>) -> Entropy.Mean {
      let count = Double(max(1, part.count))
      return Entropy.Mean(
        entropy: part.reduce(0) { $0 + $1.entropy[i].value } / count,
        maximum: part.reduce(0) { $0 + $1.entropy[i].maximum } / count)
    }
    let tenth = max(1, steps.count / 10)
    let bins = min(points, steps.count)
    let ratio = (0..<bins).compactMap { bin -> (x: Double, y: Double)? in
      let part = steps[bin * steps.count / bins..<(bin + 1) * steps.count / bins]
      let middle = part.reduce(0) { $0 + $1.number } / Double(part.count)
      return mean(part).ratio.map { (middle, $0) }
    }
    return Entropy(
      start: mean(steps.prefix(tenth)), end: mean(steps.suffix(tenth)),
      ratio: Curve(name, ratio, tone: .model))
  }

  /// The shares that Algorithm 1 gives when every layer of a range is equally likely, exactly.
  static func byLot(students: Int, teachers: Int, settings: JSON?) -> [[Double]]? {
    guard let strategy = settings?["matching"]?.asString,
      ["multinomial", "random"].contains(strategy), students <= teachers
    else { return nil }
    let range = settings?["search_range"]?.asBool ?? true
    let order = settings?["order_preservation"]?.asBool ?? true
    // The chance that the search for the student's next layer starts at each of the teacher's.
    var first = [Double](repeating: 0, count: teachers + 1)
    first[0] = 1
    return (0..<students).map { i in
      let last = range ? teachers - students + i : teachers - 1
      var row = [Double](repeating: 0, count: teachers)
      var next = [Double](repeating: 0, count: teachers + 1)
      for (start, chance) in first.enumerated() where chance > 0 && start <= last {
        for j in start...last {
          let share = chance / Double(last - start + 1)
          row[j] += share
          next[order ? j + 1 : 0] += share
        }
      }
      first = next
      return row
    }
  }

  /// The mean teacher layer that picks by lot would give, one for each student layer.
  var depthByLot: [Double]? {
    byLot?.map { row in zip(row, teacherLayers).reduce(0) { $0 + $1.0 * Double($1.1) } }
  }

  /// Whether the picks of the last tenth of the steps may be called learned, in words.
  public var verdict: String {
    let ratios = entropy.map(\.end.ratio)
    let known = ratios.compactMap { $0 }
    guard let least = known.min(), let most = known.max() else {
      return "Nothing was sampled: the match of every layer was certain."
    }
    let (low, high) = (Format.fixed(least, 2), Format.fixed(most, 2))
    let figures =
      "the entropy of their picks is \(low == high ? low : "\(low) to \(high)") of a fair draw’s"
    if least > MatchHistory.uniform {
      return
        "At the end of training the student’s layers still pick among the teacher’s layers almost "
        + "at random, so no match was learned: \(figures)."
    }
    if most > MatchHistory.uniform {
      let random = zip(studentLayers, ratios).filter { ($1 ?? 0) > MatchHistory.uniform }
        .map { "\($0.0)" }
      return
        "At the end of training some of the student’s layers (\(random.joined(separator: ", "))) "
        + "still pick almost at random; the others have come to prefer some of the teacher’s layers: "
        + "\(figures)."
    }
    return "At the end of training the student’s layers prefer some of the teacher’s layers: "
      + "\(figures)."
  }
}
