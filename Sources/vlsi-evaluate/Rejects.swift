import Artifacts
import Evaluation
import Failures
import StageKit

/// The questions of a benchmark that were not asked, and how many of them are borne.
struct Rejects {
  static let file = "rejects.jsonl"

  private(set) var all: [BenchmarkReject]
  private let most: Int
  private let total: Int
  private let benchmark: String
  private let path: String

  /// - Throws: `Failure` where the benchmark's own are too many already.
  init(_ asked: Benchmark, _ settings: EvaluateSettings, benchmark: String, path: String) throws {
    all = asked.rejects
    total = asked.questions.count + asked.rejects.count
    // One bad row of a few is no reason to stop.
    most = max(1, Int(Double(total) * settings.maxRejectShare))
    self.benchmark = benchmark
    self.path = path
    try check(.badData)
  }

  /// - Throws: `Failure` with the question's code where there are too many now.
  mutating func add(
    _ reason: String, _ code: ExitCode, _ question: BenchmarkQuestion,
    at place: (row: Int, line: Int)
  ) throws {
    all.append(
      BenchmarkReject(
        row: place.row, line: place.line, index: readable(question.index), reason: reason))
    try check(code)
  }

  // MARK: In a shard, beside the answers

  /// A record that says why question `index` was not asked.
  static func record(_ failure: Failure, of index: Int) -> Record {
    Record(
      index: index, tensors: [:],
      metadata: ["reject": "\(failure)", "code": String(failure.code.rawValue)])
  }

  /// What such a record says; nil for one of an answer.
  static func reject(in record: Record) -> (reason: String, code: ExitCode)? {
    record.metadata["reject"].map { reason in
      (reason, record.metadata["code"].flatMap { Int32($0) }.flatMap(ExitCode.init) ?? .badData)
    }
  }

  private func check(_ code: ExitCode) throws {
    guard all.count > most || all.count == total, let first = all.first else { return }
    try writeAtomically(lines, to: path)
    throw Failure(
      code, all.count == total ? "no question can be asked" : "too many questions rejected",
      at: benchmark, expected: "at most \(most) of \(total) (evaluate.max_reject_share)",
      found:
        "\(all.count), the first at line \(first.line ?? 0): \(readable(first.reason, most: 300))",
      advice: "See \(path)")
  }

  var lines: String {
    all.sorted { ($0.row ?? 0) < ($1.row ?? 0) }.map { reject in
      let json: JSON = [
        "row": reject.row.map { .int($0) } ?? .null, "line": reject.line.map { .int($0) } ?? .null,
        "index": reject.index.map { .string($0) } ?? .null,
        "reason": .string(readable(reject.reason, most: 800)),
      ]
      return json.text() + "\n"
    }.joined()
  }
}
