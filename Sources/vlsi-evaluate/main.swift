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

  /// The unit of resuming: what an interruption loses at most.
  static let questionsPerShard = 64

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
        settings: ["evaluate": settings.json, "generation": examiner.settings],
        execution: ["evaluate": settings.execution], inputs: inputs,
        samplesPerShard: Evaluate.questionsPerShard)
    else { return }
    try stage.writeShards(
      of: Array(questions.indices), to: writer, unit: "questions", label: "evaluate"
    ) { members, append, advance in
      var correct = 0
      for start in stride(from: 0, to: members.count, by: settings.batch) {
        try stage.checkInterrupt()
        let batch = members[start..<min(start + settings.batch, members.count)]
        let answers = try examiner.answers(batch.map { questions[$0] }) {
          try stage.checkInterrupt()
        }
        for (index, answer) in zip(batch, answers) {
          correct += Prediction(examiner.text(answer), for: questions[index]).isCorrect ? 1 : 0
          try append(
            Record(
              index: index, tensors: ["answer": RawTensor(int32: answer, shape: [answer.count])]))
        }
        advance(batch.count)
      }
      return [("correct", .int(correct))]
    }
    let predictions = try writer.shards.flatMap { shard in
      try shard.indices.map { index in
        let answer = try shard.record(index).tensor("answer").int32s()
        return Prediction(examiner.text(answer), for: questions[index])
      }
    }
    let scores = Scores(predictions)
    let accuracy = String(format: "%.1f%%", 100 * scores.overall.accuracy)
    stage.log.info("\(accuracy) of \(scores.overall.questions) right")
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
