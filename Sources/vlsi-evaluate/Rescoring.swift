import Artifacts
import Evaluation
import Failures
import StageKit

/// Scores answers that somebody has: a table that VLMEvalKit wrote, or one that a judge has read.
struct Rescoring {
  let path: String
  let kind: BenchmarkKind?
  let settings: EvaluateSettings
  let stage: Stage

  func run(output: String) throws {
    guard !Files.exists(Files.join(output, "manifest.json")) else {
      throw Failure(
        .cannotCreate, "the folder holds an artifact", at: output,
        advice: "Give a new folder: nothing that is finished is changed.")
    }
    let rule = settings.rule.flatMap { AnswerRules.named($0) }
    let read = try Benchmark.predictions(contentsOf: path, kind: kind, rule: rule)
    let total = read.predictions.count + read.rejects.count
    let most = max(1, Int(Double(total) * settings.maxRejectShare))
    if let first = read.rejects.first {
      stage.log.warning(
        "\(read.rejects.count) of \(total) rows rejected, the first: \(first.reason)")
      guard read.rejects.count <= most else {
        throw Failure(
          .badData, "too many rows rejected", at: path,
          expected: "at most \(most) of \(total) (evaluate.max_reject_share)",
          found: "\(read.rejects.count), the first at line \(first.line ?? 0)")
      }
    }
    let scores = Scores(read.predictions)
    try Files.makeDirectory(output)
    try writeAtomically(
      Predictions.encode(read.predictions), to: Files.join(output, "predictions.jsonl"))
    try writeAtomically(scores.encode(), to: Files.join(output, "scores.json"))
    Summary.log(scores, stage)
  }
}
