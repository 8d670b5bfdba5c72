import ArgumentParser
import Artifacts
import Evaluation
import Failures
import Reporting
import StageKit

/// Models on benchmarks, or many cells over many seeds, in one table, beside the paper's.
struct Compare: StageCommand {
  static let name = "vlsi-compare"
  static let abstract = "Puts models' scores beside each other and the paper's figures."
  static let example = """
    vlsi-compare runs/*/evaluation/model --reference runs/2b/evaluation/model
      vlsi-compare --list pipeline/ablations.txt \
    --evaluations runs/tiny/ablations/finished.tsv --output runs/tiny/ablations/table-test
    """

  @Argument(help: "Evaluations of models, on the same benchmarks.")
  var models: [String] = []
  @Option(help: "The one that the others are set against (default: the last).")
  var reference: String?
  @Option(help: "Instead: cells, in the form of pipeline/ablations.txt.")
  var list: String?
  @Option(help: "With --list: lines of cell, seed and evaluation artifact between tabs.")
  var evaluations: String?
  @Option(help: "Writes the table to FILE.md and FILE.json too.")
  var output: String?
  @OptionGroup var common: ThreadedOptions

  func run(stage: Stage) throws {
    if let list, let evaluations {
      let cells = try AblationList(String(decoding: Files.read(list), as: UTF8.self), place: list)
      let table = try AblationTable(cells, results(evaluations))
      return try give(table.text, table.markdown, table.json)
    }
    guard list == nil, evaluations == nil, !models.isEmpty else {
      throw Failure(
        .usage, "nothing to compare", at: Self.name,
        expected: "evaluations, or --list and --evaluations", advice: "See --help.")
    }
    guard let place = reference.map({ models.firstIndex(of: $0) }) ?? models.count - 1 else {
      throw Failure(
        .usage, "the reference is none of the evaluations", at: "--reference",
        found: reference ?? "")
    }
    let read = try models.map { ($0, try predictions($0)) }
    let table = BenchmarkTable(read, reference: models.count > 1 ? place : nil)
    try give(table.text, table.markdown, table.json)
  }

  private func give(_ text: String, _ markdown: String, _ json: JSON) throws {
    if let output {
      try writeAtomically(markdown, to: output + ".md")
      try writeAtomically(json.text(pretty: true), to: output + ".json")
    }
    print(text, terminator: "")
  }

  private func predictions(_ evaluation: String) throws -> [Prediction] {
    try Predictions.read(
      ArtifactReader(directory: evaluation, kind: .evaluation).path("predictions.jsonl"))
  }

  private func results(
    _ evaluations: String
  ) throws -> [(cell: String, seed: String, predictions: [Prediction])] {
    let text = String(decoding: try Files.read(evaluations), as: UTF8.self)
    // Cells that come to the same settings name one evaluation.
    var known: [String: [Prediction]] = [:]
    return try text.split(separator: "\n").enumerated().map { number, line in
      let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
      guard fields.count == 3 else {
        throw Failure(
          .badData, "not a result", at: "\(evaluations):\(number + 1)",
          expected: "cell, seed and evaluation between tabs", found: String(line.prefix(60)))
      }
      let predictions =
        try known[fields[2]]
        ?? self.predictions(fields[2])
      known[fields[2]] = predictions
      return (fields[0], fields[1], predictions)
    }
  }
}

Compare.main()
