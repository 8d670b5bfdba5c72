import ArgumentParser
import Artifacts
import Evaluation
import Failures
import StageKit
import Training

/// Answers to benchmarks, greedy or by beam search, and their scores.
struct Evaluate: StageCommand {
  static let name = "vlsi-evaluate"
  static let abstract = "Asks a checkpoint the questions of benchmarks and scores the answers."
  static let example =
    "vlsi-evaluate --model runs/tiny/model --benchmark runs/tiny/data/test.tsv --output evaluation"

  @Option(help: "The checkpoint.")
  var model: String?
  @Option(
    parsing: .singleValue,
    help:
      "A benchmark in VLMEvalKit's columns, TSV; several with blanks between, or by several of these."
  )
  var benchmark: [String] = []
  @Option(help: "What benchmark of the field it is, where its name does not tell.")
  var benchmarkName: String?
  @Option(help: "Where image paths start (default: the benchmark's folder).")
  var images: String?
  @Option(
    help: "Scores answers that are there: a TSV with a column prediction; needs no checkpoint.")
  var predictions: String?
  @Option(help: "Prints what the model is asked in row N, from 1, and ends.")
  var showPrompt: Int?
  @Option(help: "The evaluation artifact to write; with --predictions a folder.")
  var output: String?
  @OptionGroup var part: ShareOptions
  @OptionGroup var common: CommonOptions

  func run(stage: Stage) throws {
    let settings = stage.preset.evaluate
    let kind = try self.kind(settings)
    if let predictions {
      try Rescoring(path: predictions, kind: kind, settings: settings, stage: stage)
        .run(output: try needed(output, "output"))
      return
    }
    let model = try needed(self.model, "model")
    guard !benchmark.isEmpty else { throw missing("benchmark") }
    let examination = try Examination(
      backbone: try Backbone(model), stage: stage, images: images, kind: kind, part: part,
      bounded: common.preset ?? model + "/preprocessor_config.json")
    let paths = benchmark.flatMap(Benchmark.paths)
    if let showPrompt {
      for path in paths { try examination.show(showPrompt, of: path) }
      return
    }
    let output = try needed(output, "output")
    guard paths.count > 1 else {
      try examination.run(paths[0], output: output)
      return
    }
    try Collection(examination: examination, paths: paths).run(output: output)
  }

  private func kind(_ settings: EvaluateSettings) throws -> BenchmarkKind? {
    if let name = settings.rule, AnswerRules.named(name) == nil {
      throw Failure(
        .badPreset, "no rule is called so", at: "evaluate.rule",
        expected: AnswerRules.all.map { type(of: $0).name }.joined(separator: ", "), found: name)
    }
    guard let name = benchmarkName ?? settings.benchmark else { return nil }
    if let kind = BenchmarkKind.named(name) { return kind }
    throw Failure(
      benchmarkName == nil ? .badPreset : .usage, "no benchmark is called so",
      at: benchmarkName == nil ? "evaluate.benchmark" : "--benchmark-name",
      expected: BenchmarkKind.all.map(\.name).joined(separator: ", "), found: name)
  }

  private func needed(_ value: String?, _ option: String) throws -> String {
    guard let value else { throw missing(option) }
    return value
  }

  private func missing(_ option: String) -> Failure {
    Failure(.usage, "--\(option) is missing", at: Self.name, advice: "See --help.")
  }
}

Evaluate.main()
