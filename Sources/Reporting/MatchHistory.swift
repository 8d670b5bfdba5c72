import Artifacts
import Foundation

/// Which teacher layer each student layer was matched with over training (the paper's figure 5),
/// and how much of a choice it was.
public struct MatchHistory: Sendable {
  public let studentLayers: [Int]
  public let teacherLayers: [Int]
  /// Shares of the picks [student layer, teacher layer] in the first and the last quarter of the
  /// steps; a row's sum is 1.
  public let start: [[Double]]
  public let end: [[Double]]
  /// What picks by lot would give [student layer, teacher layer]; nil where the strategy draws no
  /// lots.
  public let byLot: [[Double]]?
  /// The mean number of the teacher layer matched, over steps, one for each student layer.
  public let depth: [Curve]
  /// The mean over steps of the entropy of the sampling distribution and of its maximum, nats, one
  /// for each student layer.
  public let entropy: [(mean: Double, maximum: Double)]

  /// Entropy over its maximum above which a pick is no learned match.
  public static let uniform = 0.95

  /// - Parameters:
  ///   - lines: of the adapter's metrics, with "matches", "entropy", "maximum_entropy".
  ///   - settings: the manifest's section `align`.
  /// Nil when no line tells of matches.
  public init?(_ lines: [JSON], studentLayers: [Int], teacherLayers: [Int], settings: JSON?) {
    self.studentLayers = studentLayers
    self.teacherLayers = teacherLayers
    let column = Dictionary(
      teacherLayers.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    var steps: [(step: Int, picks: [[Double]])] = []
    var entropy = studentLayers.map { _ in 0.0 }
    var maximum = entropy
    var counted = 0
    for line in lines {
      guard let step = line["step"]?.asInt, let batches = line["matches"]?.asArray,
        !batches.isEmpty
      else { continue }
      var picks = studentLayers.map { _ in teacherLayers.map { _ in 0.0 } }
      for batch in batches {
        for (i, match) in (batch.asArray ?? []).prefix(studentLayers.count).enumerated() {
          let chosen = (match.asArray ?? []).compactMap { $0.asInt.flatMap { column[$0] } }
          for j in chosen { picks[i][j] += 1 / Double(chosen.count) }
        }
      }
      steps.append((step, picks))
      guard let found = line["entropy"]?.asArray, let largest = line["maximum_entropy"]?.asArray,
        found.count == entropy.count, largest.count == entropy.count
      else { continue }
      counted += 1
      for i in entropy.indices {
        entropy[i] += found[i].asDouble ?? 0
        maximum[i] += largest[i].asDouble ?? 0
      }
    }
    guard !steps.isEmpty, !studentLayers.isEmpty, !teacherLayers.isEmpty else { return nil }
    let quarter = max(1, steps.count / 4)
    start = MatchHistory.shares(steps.prefix(quarter).map(\.picks))
    end = MatchHistory.shares(steps.suffix(quarter).map(\.picks))
    depth = studentLayers.indices.map { i in
      Curve(
        "student layer \(studentLayers[i])",
        steps.compactMap { step, picks in
          let total = picks[i].reduce(0, +)
          guard total > 0 else { return nil }
          let sum = zip(picks[i], teacherLayers).reduce(0) { $0 + $1.0 * Double($1.1) }
          return (Double(step + 1), sum / total)
        })
    }
    self.entropy =
      counted > 0
      ? zip(entropy, maximum).map { ($0 / Double(counted), $1 / Double(counted)) } : []
    byLot = MatchHistory.byLot(
      students: studentLayers.count, teachers: teacherLayers.count, settings: settings)
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

  /// Entropy over its maximum by student layer; nil where there was nothing to choose.
  public var ratios: [Double?] {
    entropy.map { $0.maximum > 1e-9 ? $0.mean / $0.maximum : nil }
  }

  /// Whether the picks may be called learned, in words.
  public var verdict: String {
    let known = ratios.compactMap { $0 }
    guard let least = known.min() else {
      return "Nothing was sampled: the match of every layer was certain."
    }
    let figures = zip(studentLayers, ratios).map { layer, ratio in
      "layer \(layer) \(ratio.map { Format.fixed($0, 2) } ?? "no choice")"
    }.joined(separator: ", ")
    if least > MatchHistory.uniform {
      return "The picks are nearly uniform and no learned matching: the entropy of the sampling "
        + "distribution over its maximum is \(figures)."
    }
    if (known.max() ?? 0) > MatchHistory.uniform {
      return "Some layers' picks are nearly uniform and no learned matches (entropy over its "
        + "maximum above \(MatchHistory.uniform)): \(figures)."
    }
    return "The sampling prefers some layers: its entropy over the maximum is \(figures)."
  }
}
