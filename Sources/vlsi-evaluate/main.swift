import ArgumentParser
import Artifacts
import Evaluation
import Failures
import Foundation
import Imaging
import Kernels
import Qwen2VL
import StageKit
import Tokenization
import Training

/// Answers to a benchmark, greedy or by beam search, and their scores.
struct Evaluate: StageCommand {
  static let name = "vlsi-evaluate"
  static let abstract = "Asks a checkpoint the questions of a benchmark and scores the answers."
  static let example =
    "vlsi-evaluate --model runs/tiny/model --benchmark runs/tiny/data/test.tsv --output evaluation"

  @Option(help: "The checkpoint.")
  var model: String
  @Option(help: "A benchmark in VLMEvalKit's columns, TSV.")
  var benchmark: String
  @Option(help: "Where image paths start (default: the benchmark's folder).")
  var images: String?
  @Option(help: "The evaluation artifact to write.")
  var output: String
  @OptionGroup var common: CommonOptions

  func run(stage: Stage) throws {
    Parallelism.threads = stage.threads
    let settings = stage.preset.evaluate
    let backbone = try Backbone(model)
    let asked = try Benchmark(contentsOf: benchmark, images: images)
    let limit = min(stage.limit ?? Int.max, settings.limit ?? Int.max)
    let questions = Array(asked.questions.prefix(limit))
    var inputs = backbone.fingerprints(as: "model")
    inputs["benchmark"] = try Fingerprint.file(benchmark)
    let examiner = try Examiner(backbone: backbone, benchmark: asked, settings: settings)
    guard
      let writer = try stage.artifact(
        at: output, kind: .evaluation,
        settings: ["evaluate": settings.json, "generation": examiner.settings], inputs: inputs)
    else { return }
    let progress = stage.progress(total: questions.count, unit: "questions", label: "evaluate")
    let metrics = try stage.metrics(output)
    var predictions: [Prediction] = []
    for start in stride(from: 0, to: questions.count, by: settings.batch) {
      try stage.checkInterrupt()
      let batch = Array(questions[start..<min(start + settings.batch, questions.count)])
      let answers = try examiner.answers(batch) { try stage.checkInterrupt() }
      predictions += zip(answers, batch).map { Prediction($0, for: $1) }
      progress.advance(batch.count)
      try metrics.append([
        ("questions", .int(predictions.count)),
        ("correct", .int(predictions.count { $0.isCorrect })),
        ("seconds", .number(stage.wallSeconds)),
      ])
    }
    metrics.close()
    let scores = Scores(predictions)
    progress.finish(
      note: String(
        format: "%.1f%% of %d right", 100 * scores.overall.accuracy, scores.overall.questions))
    try writer.writeFile("predictions.jsonl", Predictions.encode(predictions))
    try writer.writeFile("scores.json", scores.encode())
    try stage.finish(
      writer,
      facts: [
        "model": .string(model), "benchmark": .string(benchmark),
        "accuracy": .number(scores.overall.accuracy), "questions": .int(questions.count),
      ])
  }
}

Evaluate.main()
