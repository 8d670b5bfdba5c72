import Failures
import Foundation

/// The mean score of a set of questions.
public struct Score: Sendable, Codable, Equatable {
  public var questions: Int
  /// The mean, 0 to 1; 0 without questions.
  public var accuracy: Double
  /// The error of sampling the questions: of scores that are 0 or 1 the binomial one,
  /// sqrt(p (1 - p) / n).
  public var standardError: Double

  /// Of the scores that there are.
  public init(_ scores: [Double]) {
    let count = Double(scores.count)
    questions = scores.count
    let mean = ratio(scores.reduce(0, +), count)
    accuracy = mean
    let squares = scores.reduce(0) { $0 + $1 * $1 }
    standardError =
      scores.isEmpty ? 0 : (max(0, squares / count - mean * mean) / count).squareRoot()
  }

  enum CodingKeys: String, CodingKey {
    case questions, accuracy
    case standardError = "standard_error"
  }
}

/// The scores of a set of predictions: overall, by category, and the figures of each benchmark.
public struct Scores: Sendable, Equatable, Codable {
  public struct Category: Sendable, Equatable, Codable {
    public var name: String
    public var score: Score
  }

  /// What one benchmark's predictions come to.
  public struct Benchmark: Sendable, Equatable, Codable {
    /// Its file's name.
    public var name: String
    public var kind: String
    /// All figures, the headline first; none where only a judge can tell.
    public var metrics: [Metric]
    public var questions: Int
    /// Questions without a score: a judge is needed, or the benchmark keeps its answers.
    public var unscored: Int
  }

  /// Over all questions that have a score.
  public var overall: Score
  /// In the order in which categories first occur; of several benchmarks by benchmark.
  public var categories: [Category]
  public var benchmarks: [Benchmark]

  public init(_ predictions: [Prediction]) {
    overall = Score(predictions.compactMap(\.score))
    let sets = Scores.inOrder(predictions, by: \.benchmark)
    categories = Scores.inOrder(predictions, by: sets.count > 1 ? \.benchmark : \.category).map {
      Category(name: $0.0, score: Score($0.1.compactMap(\.score)))
    }
    benchmarks = sets.map { name, rows in
      let kind = BenchmarkKind.kind(of: rows)
      let unscored = rows.count { $0.score == nil }
      return Benchmark(
        name: name, kind: kind.name,
        metrics: unscored == rows.count ? [] : kind.summary.metrics(rows), questions: rows.count,
        unscored: unscored)
    }
  }

  /// The predictions of each value of a property, in the order in which the values first occur.
  static func inOrder(
    _ predictions: [Prediction], by value: KeyPath<Prediction, String>
  ) -> [(String, [Prediction])] {
    var order: [String] = []
    var rows: [String: [Prediction]] = [:]
    for prediction in predictions {
      let name = prediction[keyPath: value]
      if rows[name] == nil { order.append(name) }
      rows[name, default: []].append(prediction)
    }
    return order.map { ($0, rows[$0] ?? []) }
  }

  /// scores.json, for readers of any language.
  public func encode() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return Array(try encoder.encode(self)) + [UInt8(ascii: "\n")]
  }

  /// Reads scores.json.
  /// - Throws: `Failure` 66 when it is missing, 65 when it is no such file.
  public init(contentsOf path: String) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure(.inputMissing, "the scores cannot be read", at: path)
    }
    do {
      self = try JSONDecoder().decode(Scores.self, from: data)
    } catch {
      throw Failure(
        .badData, "not a file of scores", at: path, found: "\(error)",
        advice: "Run vlsi-evaluate again.")
    }
    for score in [overall] + categories.map(\.score)
    where score.questions < 0 || !(0...1).contains(score.accuracy) {
      throw Failure(
        .badData, "a mean score is none", at: path,
        found: "\(score.accuracy) of \(score.questions) questions")
    }
  }
}

extension BenchmarkKind {
  /// What benchmark predictions are of.
  public static func kind(of predictions: [Prediction]) -> BenchmarkKind {
    predictions.first.flatMap { named($0.kind) } ?? .other
  }
}
