import Failures
import Foundation

/// What a model answered to one question.
public struct Prediction: Sendable, Codable, Equatable {
  public var index: String
  public var category: String
  public var question: String
  public var answer: String
  public var prediction: String
  public var rule: ScoringRule
  public var isCorrect: Bool

  enum CodingKeys: String, CodingKey {
    case index, category, question, answer, prediction, rule
    case isCorrect = "correct"
  }

  /// Scores `prediction` by `rule`, or by the one that fits the question.
  public init(_ prediction: String, for question: BenchmarkQuestion, rule: ScoringRule? = nil) {
    let rule = rule ?? ScoringRule(for: question)
    index = question.index
    category = question.category
    self.question = question.question
    answer = question.answer
    self.prediction = prediction
    self.rule = rule
    isCorrect = rule.accepts(prediction, for: question)
  }
}

/// Predictions as a file: one JSON object a line.
public enum Predictions {
  /// The lines of `predictions`, in order.
  public static func encode(_ predictions: [Prediction]) throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var bytes: [UInt8] = []
    for prediction in predictions {
      bytes += Array(try encoder.encode(prediction)) + [UInt8(ascii: "\n")]
    }
    return bytes
  }

  /// Reads such a file.
  /// - Throws: `Failure` 66 when it is missing, 65 naming the line that is no prediction, or the
  ///   index that stands twice.
  public static func read(_ path: String) throws -> [Prediction] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure(.inputMissing, "the predictions cannot be read", at: path)
    }
    return try decode(Array(data), place: path)
  }

  static func decode(_ bytes: [UInt8], place: String) throws -> [Prediction] {
    let decoder = JSONDecoder()
    var seen: Set<ExactText> = []
    var predictions: [Prediction] = []
    for (number, line) in bytes.split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
    ).enumerated() where !line.allSatisfy({ $0 == 32 || $0 == 13 }) {
      guard let prediction = try? decoder.decode(Prediction.self, from: Data(line)) else {
        throw Failure(
          .badData, "not a prediction", at: "\(place):\(number + 1)",
          expected: "a JSON object with index, category, question, answer, prediction, rule, "
            + "correct", found: String(decoding: line.prefix(60), as: UTF8.self))
      }
      guard seen.insert(ExactText(prediction.index)).inserted else {
        throw Failure(
          .badData, "the index \(readable(prediction.index, most: 40)) stands twice",
          at: "\(place):\(number + 1)")
      }
      predictions.append(prediction)
    }
    return predictions
  }
}

/// A share of right answers.
public struct Score: Sendable, Codable, Equatable {
  public var correct: Int
  public var questions: Int

  public init(correct: Int, questions: Int) {
    self.correct = correct
    self.questions = questions
  }

  /// Right answers of all, 0 to 1; 0 without questions.
  public var accuracy: Double { questions > 0 ? Double(correct) / Double(questions) : 0 }

  /// The binomial standard error of the accuracy, 0 to 1: sqrt(p (1 - p) / n).
  public var standardError: Double {
    questions > 0 ? (accuracy * (1 - accuracy) / Double(questions)).squareRoot() : 0
  }
}

/// The scores of a set of predictions, overall and by category.
public struct Scores: Sendable, Equatable {
  public var overall: Score
  /// In the order in which categories first occur.
  public var categories: [(name: String, score: Score)]

  public init(_ predictions: [Prediction]) {
    var order: [String] = []
    var scores: [String: Score] = [:]
    for prediction in predictions {
      if scores[prediction.category] == nil { order.append(prediction.category) }
      var score = scores[prediction.category] ?? Score(correct: 0, questions: 0)
      score.questions += 1
      score.correct += prediction.isCorrect ? 1 : 0
      scores[prediction.category] = score
    }
    categories = order.compactMap { name in scores[name].map { (name, $0) } }
    overall = Score(
      correct: predictions.count(where: \.isCorrect), questions: predictions.count)
  }

  public static func == (left: Scores, right: Scores) -> Bool {
    left.overall == right.overall && left.categories.map(\.name) == right.categories.map(\.name)
      && left.categories.map(\.score) == right.categories.map(\.score)
  }

  /// scores.json: accuracy and standard error beside the counts, for readers of any language.
  public func encode() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let file = ScoresFile(
      overall: .init(nil, overall), categories: categories.map { .init($0.name, $0.score) })
    return Array(try encoder.encode(file)) + [UInt8(ascii: "\n")]
  }

  /// Reads scores.json.
  /// - Throws: `Failure` 66 when it is missing, 65 when it is no such file.
  public init(contentsOf path: String) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure(.inputMissing, "the scores cannot be read", at: path)
    }
    do {
      let file = try JSONDecoder().decode(ScoresFile.self, from: data)
      overall = file.overall.score
      categories = file.categories.map { ($0.name ?? "", $0.score) }
    } catch {
      throw Failure(
        .badData, "not a file of scores", at: path, found: "\(error)",
        advice: "Run vlsi-evaluate again.")
    }
    for score in [overall] + categories.map(\.score)
    where score.correct < 0 || score.correct > score.questions {
      throw Failure(
        .badData, "more right answers than questions", at: path,
        found: "\(score.correct) of \(score.questions)")
    }
  }
}

private struct ScoresFile: Codable {
  struct Entry: Codable {
    var name: String?
    var correct: Int
    var questions: Int
    var accuracy: Double
    var standardError: Double

    enum CodingKeys: String, CodingKey {
      case name, correct, questions, accuracy
      case standardError = "standard_error"
    }

    init(_ name: String?, _ score: Score) {
      self.name = name
      correct = score.correct
      questions = score.questions
      accuracy = score.accuracy
      standardError = score.standardError
    }

    var score: Score { Score(correct: correct, questions: questions) }
  }

  var overall: Entry
  var categories: [Entry]
}
