import Failures
import Foundation

/// What a model answered to one question.
public struct Prediction: Sendable, Codable, Equatable {
  /// The benchmark that asked, by its file's name.
  public var benchmark: String
  /// What benchmark of the field that is (`BenchmarkKind.name`).
  public var kind: String
  public var index: String
  public var question: String
  /// The right answer, as the benchmark writes it.
  public var answer: String
  public var prediction: String
  /// The rule that scored it.
  public var rule: String
  /// 0, wrong, to 1, right; nil where only a judge can tell.
  public var score: Double?
  /// What was read out of the answer, an option's letter say.
  public var extracted: String?
  /// What questions that share a picture have in common.
  public var picture: String
  /// The row's other columns.
  public var columns: [String: String]

  /// The column `category`, or `all`.
  public var category: String { columns["category"] ?? "all" }

  /// Right, and wholly so.
  public var isCorrect: Bool { score == 1 }

  /// Scores `prediction` by the benchmark's rule, or by `rule`.
  public init(
    _ prediction: String, for question: BenchmarkQuestion, kind: BenchmarkKind = .other,
    rule: (any AnswerRule)? = nil, benchmark: String = ""
  ) {
    let rule = rule ?? kind.ruling(on: question)
    let mark =
      question.rawAnswer.isEmpty && !(rule is JudgeRule)
      ? Mark(score: nil) : rule.mark(prediction, question)
    self.benchmark = benchmark
    self.kind = kind.name
    index = question.index
    self.question = question.question
    answer = question.rawAnswer
    self.prediction = prediction
    self.rule = type(of: rule).name
    score = mark.score
    extracted = mark.extracted
    picture = question.picture
    columns = question.columns
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
    var seen: Set<[ExactText]> = []
    var predictions: [Prediction] = []
    for (number, line) in bytes.split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
    ).enumerated() where !line.allSatisfy({ $0 == 32 || $0 == 13 }) {
      guard let prediction = try? decoder.decode(Prediction.self, from: Data(line)) else {
        throw Failure(
          .badData, "not a prediction", at: "\(place):\(number + 1)",
          expected:
            "a JSON object with benchmark, kind, index, question, answer, prediction, rule, "
            + "score, picture, columns", found: String(decoding: line.prefix(60), as: UTF8.self),
          advice: "An earlier version wrote other ones: run vlsi-evaluate again.")
      }
      let name = [prediction.benchmark, prediction.index].map(ExactText.init)
      guard seen.insert(name).inserted else {
        throw Failure(
          .badData, "the index \(readable(prediction.index, most: 40)) stands twice",
          at: "\(place):\(number + 1)")
      }
      predictions.append(prediction)
    }
    return predictions
  }

  /// The table that VLMEvalKit's `run.py --mode eval` reads: the benchmark's columns and
  /// `prediction`.
  /// - Parameter columns: the benchmark's, in its order.
  public static func table(_ predictions: [Prediction], columns: [String]) -> [UInt8] {
    let names = columns.filter { $0 != "prediction" }
    let rows = predictions.map { prediction in
      names.map { name in
        switch name {
        case "index": prediction.index
        case "question": prediction.question
        case "answer": prediction.answer
        default: prediction.columns[name] ?? ""
        }
      } + [prediction.prediction]
    }
    let lines = ([names + ["prediction"]] + rows).map { fields in
      fields.map(SeparatedTable.field).joined(separator: "\t") + "\n"
    }
    return lines.flatMap { Array($0.utf8) }
  }
}
