import Failures

/// How much better one model answers the same questions than another.
public struct PairedDifference: Sendable, Equatable {
  public var questions: Int
  /// The mean score of the first less that of the second, -1 to 1.
  public var difference: Double
  /// The sampling error of the difference: questions that both answer alike cancel, and those about
  /// one picture stand and fall together. It says nothing about other seeds.
  public var standardError: Double

  /// Pairs two sets of predictions by the questions' benchmark and index; questions without a score
  /// do not count.
  ///
  /// - Throws: `Failure` 65 when they do not answer the same questions.
  public init(
    _ first: [Prediction], _ second: [Prediction], place: String = "the predictions"
  ) throws {
    let pairs = try PairedDifference.pairs(first, second, place: place)
    var clusters: [[String]: (sum: Double, count: Int)] = [:]
    var order: [[String]] = []
    for (one, other) in pairs {
      guard let left = one.score, let right = other.score else { continue }
      let key = [one.benchmark, one.picture]
      if clusters[key] == nil { order.append(key) }
      let known = clusters[key] ?? (0, 0)
      clusters[key] = (known.sum + left - right, known.count + 1)
    }
    let parts = order.compactMap { clusters[$0] }
    questions = parts.reduce(0) { $0 + $1.count }
    let count = Double(questions)
    let mean = ratio(parts.reduce(0) { $0 + $1.sum }, count)
    difference = mean
    // Of a mean over clusters; with one question a picture the textbook's paired one.
    let spread = parts.reduce(0.0) { sum, part in
      let residual = part.sum - mean * Double(part.count)
      return sum + residual * residual
    }
    let groups = Double(parts.count)
    standardError = groups > 1 ? (spread * groups / (groups - 1)).squareRoot() / count : 0
  }

  /// The same questions' predictions, in the first's order.
  static func pairs(
    _ first: [Prediction], _ second: [Prediction], place: String
  ) throws -> [(Prediction, Prediction)] {
    let advice = "Evaluate both on one benchmark, with the same --limit."
    guard first.count == second.count else {
      throw Failure(
        .badData, "two models did not answer the same questions", at: place,
        expected: "\(first.count) questions", found: String(second.count), advice: advice)
    }
    func name(_ prediction: Prediction) -> [ExactText] {
      [prediction.benchmark, prediction.index].map(ExactText.init)
    }
    let others = Dictionary(second.map { (name($0), $0) }, uniquingKeysWith: { first, _ in first })
    return try first.map { prediction in
      guard let other = others[name(prediction)], other.answer == prediction.answer else {
        throw Failure(
          .badData, "two models did not answer the same questions", at: place,
          found: "question \(readable(prediction.index, most: 40)) differs or is missing",
          advice: advice)
      }
      return (prediction, other)
    }
  }
}

/// The mean of paired differences over seeds, and its standard error from their spread: the only
/// comparison that speaks about a method instead of a run. The error is nil with fewer than two.
public func meanOverSeeds(_ differences: [Double]) -> (mean: Double, standardError: Double?) {
  guard !differences.isEmpty else { return (0, nil) }
  let count = Double(differences.count)
  let mean = differences.reduce(0, +) / count
  guard differences.count > 1 else { return (mean, nil) }
  let variance = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)
  return (mean, (variance / count).squareRoot())
}
