import Failures

/// How much better one model answers the same questions than another.
public struct PairedDifference: Sendable, Equatable {
  public var questions: Int
  /// Questions that the first alone answers rightly.
  public var onlyFirst: Int
  /// Questions that the second alone answers rightly.
  public var onlySecond: Int

  public init(questions: Int, onlyFirst: Int, onlySecond: Int) {
    self.questions = questions
    self.onlyFirst = onlyFirst
    self.onlySecond = onlySecond
  }

  /// Pairs two sets of predictions by the questions' index.
  ///
  /// - Throws: `Failure` 65 when they do not answer the same questions.
  public init(
    _ first: [Prediction], _ second: [Prediction], place: String = "the predictions"
  ) throws {
    var byIndex: [ExactText: Prediction] = [:]
    for prediction in second { byIndex[ExactText(prediction.index)] = prediction }
    questions = first.count
    onlyFirst = 0
    onlySecond = 0
    guard first.count == second.count else {
      throw Failure(
        .badData, "two models did not answer the same questions", at: place,
        expected: "\(first.count) questions", found: String(second.count),
        advice: "Evaluate both on one benchmark, with the same --limit.")
    }
    for prediction in first {
      guard let other = byIndex[ExactText(prediction.index)], other.answer == prediction.answer
      else {
        throw Failure(
          .badData, "two models did not answer the same questions", at: place,
          found: "question \(readable(prediction.index, most: 40)) differs or is missing",
          advice: "Evaluate both on one benchmark, with the same --limit.")
      }
      if prediction.isCorrect, !other.isCorrect { onlyFirst += 1 }
      if !prediction.isCorrect, other.isCorrect { onlySecond += 1 }
    }
  }

  /// Accuracy of the first less that of the second, -1 to 1.
  public var difference: Double {
    questions > 0 ? Double(onlyFirst - onlySecond) / Double(questions) : 0
  }

  /// The sampling error of the difference: a question gives 1, 0 or -1, and questions that both
  /// answer alike cancel. It says nothing about other seeds.
  public var standardError: Double {
    guard questions > 1 else { return 0 }
    let count = Double(questions)
    let spread = Double(onlyFirst + onlySecond) - count * difference * difference
    return (max(0, spread) / (count - 1) / count).squareRoot()
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
