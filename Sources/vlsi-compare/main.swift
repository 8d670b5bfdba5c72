import ArgumentParser
import Artifacts
import Evaluation
import Failures
import Reporting
import StageKit

/// Many cells over many seeds in one table, beside the paper's.
struct Compare: StageCommand {
  static let name = "vlsi-compare"
  static let abstract = "Puts the scores of a list of cells over seeds beside the paper's figures."
  static let example = """
    vlsi-compare --list pipeline/ablations.txt \
    --evaluations runs/tiny/ablations/finished.tsv --output runs/tiny/ablations/table-test
    """

  @Option(help: "The cells, in the form of pipeline/ablations.txt.")
  var list: String
  @Option(help: "What is there: lines of cell, seed and evaluation artifact between tabs.")
  var evaluations: String
  @Option(help: "Writes the table to FILE.md and FILE.json too.")
  var output: String?
  @OptionGroup var common: CommonOptions

  func run(stage: Stage) throws {
    let cells = try AblationList(String(decoding: Files.read(list), as: UTF8.self), place: list)
    let table = try AblationTable(cells, results())
    if let output {
      try writeAtomically(table.markdown, to: output + ".md")
      try writeAtomically(table.json.text(pretty: true), to: output + ".json")
    }
    print(table.text, terminator: "")
  }

  private func results() throws -> [(cell: String, seed: String, predictions: [Prediction])] {
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
        ?? Predictions.read(
          ArtifactReader(directory: fields[2], kind: .evaluation).path("predictions.jsonl"))
      known[fields[2]] = predictions
      return (fields[0], fields[1], predictions)
    }
  }
}

Compare.main()
