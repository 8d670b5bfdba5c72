import ArgumentParser
import Artifacts
import Evaluation
import Failures
import Foundation
import Imaging
import Kernels
import Models
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
  @OptionGroup var part: ShareOptions
  @OptionGroup var common: CommonOptions

  /// The unit of resuming: what an interruption loses at most.
  static let questionsPerShard = 64

  func run(stage: Stage) throws {
    let settings = stage.preset.evaluate
    let backbone = try Backbone(model)
    let limit = min(stage.limit ?? Int.max, settings.limit ?? Int.max)
    let asked = try Benchmark(
      contentsOf: benchmark, images: images, limit: limit,
      allowsOutside: settings.allowOutsideImages)
    let questions = asked.questions
    var inputs = backbone.fingerprints(as: "model")
    inputs["benchmark"] = try Fingerprint.file(benchmark)
    let examiner = try Examiner(backbone: backbone, benchmark: asked, settings: settings)
    guard
      let writer = try stage.artifact(
        at: output, kind: .evaluation,
        settings: ["evaluate": settings.json, "generation": examiner.settings],
        execution: ["evaluate": settings.execution], inputs: inputs,
        samplesPerShard: Evaluate.questionsPerShard, share: part.wanted)
    else { return }
    var rejects = try Rejects(
      asked, settings, benchmark: benchmark, path: writer.path(Rejects.file))
    for shard in try writer.shards {
      for index in shard.indices {
        guard let reject = Rejects.reject(in: try shard.record(index)) else { continue }
        try rejects.add(reject.reason, reject.code, questions[index], at: asked.places[index])
      }
    }
    let isWhole = try stage.writeShards(
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
          switch answer {
          case .success(let tokens):
            let prediction = Prediction(examiner.text(tokens), for: questions[index])
            correct += prediction.isCorrect ? 1 : 0
            let tensor = RawTensor(int32: tokens, shape: [tokens.count])
            try append(Record(index: index, tensors: ["answer": tensor]))
          case .failure(let failure):
            try append(Rejects.record(failure, of: index))
            try rejects.add(
              "\(failure)", failure.code, questions[index], at: asked.places[index])
          }
        }
        advance(batch.count)
      }
      return [("correct", .int(correct))]
    }
    guard isWhole else { return }
    let predictions = try writer.shards.flatMap { shard in
      try shard.indices.compactMap { index -> Prediction? in
        let record = try shard.record(index)
        if Rejects.reject(in: record) != nil { return nil }
        let answer = try record.tensor("answer").int32s()
        return Prediction(examiner.text(answer), for: questions[index])
      }
    }
    let scores = Scores(predictions)
    let accuracy = String(format: "%.1f%%", 100 * scores.overall.accuracy)
    stage.log.info("\(accuracy) of \(scores.overall.questions) right")
    try writer.writeFile("predictions.jsonl", Predictions.encode(predictions))
    try writer.writeFile("scores.json", scores.encode())
    try writer.writeFile(Rejects.file, Array(rejects.lines.utf8))
    if !rejects.all.isEmpty {
      let total = questions.count + asked.rejects.count
      let list = writer.path(Rejects.file)
      stage.log.warning("\(rejects.all.count) of \(total) questions rejected: see \(list)")
    }
    try stage.finish(
      writer,
      facts: [
        "model": .string(model), "benchmark": .string(benchmark),
        "accuracy": .number(scores.overall.accuracy), "questions": .int(predictions.count),
        "rejects": .int(rejects.all.count),
      ])
  }
}

Evaluate.main()
