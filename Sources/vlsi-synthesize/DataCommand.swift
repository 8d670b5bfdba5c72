import ArgumentParser
import Failures
import StageKit

/// `vlsi-synthesize data`: the embedded data set.
struct DataCommand: StageCommand {
  static let name = "data"
  static let abstract = "Writes the embedded data set: pictures, conversations, benchmarks."
  static let example = "vlsi-synthesize data --preset pipeline/tiny.yaml --output runs/tiny/data"

  @OptionGroup var common: CommonOptions

  @Option(help: ArgumentHelp("The folder of the data set.", valueName: "dir"))
  var output: String

  @Option(
    help: ArgumentHelp(
      "Which of train, test, validation, pretrain; pretrain has right answers and dense labels.",
      valueName: "list"))
  var splits = "train,test,validation"

  @Option(help: ArgumentHelp("The scans of handwritten digits.", valueName: "file"))
  var digits = "data/digits/digits.csv"

  func run(stage: Stage) throws {
    let names = splits.split(separator: ",").map(String.init)
    var chosen: [Split] = []
    for name in names {
      guard let split = Split(rawValue: name), Split.named.contains(split), !chosen.contains(split)
      else {
        throw Failure(
          .usage, "--splits cannot be read",
          expected: Split.named.map(\.rawValue).joined(separator: ",") + " or some of them",
          found: splits)
      }
      chosen.append(split)
    }
    guard !chosen.isEmpty else {
      throw Failure(
        .usage, "--splits is empty",
        expected: Split.named.map(\.rawValue).joined(separator: ",") + " or some of them")
    }
    if chosen.contains(.pretrain) { chosen.append(.lookup) }
    let maker = DataSetMaker(
      scans: try Scans(contentsOf: digits), settings: stage.preset.synthesize,
      seed: common.seed ?? stage.preset.synthesize.seed)
    try DataSetFolder(maker: maker, splits: chosen, stage: stage).write(to: output)
  }
}
