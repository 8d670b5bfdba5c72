import ArgumentParser
import Artifacts
import Failures
import StageKit

/// What standard output gets.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
  case text, json, npy, png, safetensors
}

struct DumpCommand: StageCommand {
  static let name = "vlsi-dump"
  static let abstract =
    "Shows what lies in a run, an artifact, a checkpoint, a shard or a tensor file."
  static let example = "vlsi-dump runs/tiny/samples --record 17"

  @Argument(
    help: "A run or a folder of runs, an artifact, a checkpoint, a .safetensors or an .lmdb file.")
  var path: String

  @Option(help: ArgumentHelp("One record, by its sample index.", valueName: "n"))
  var record: Int?

  @Option(help: ArgumentHelp("One tensor, of the record or of the files.", valueName: "name"))
  var tensor: String?

  @Option(help: ArgumentHelp("Rows a up to b, b not included.", valueName: "a:b"))
  var rows: String?

  @Flag(help: "Statistics over everything, by layer or by tensor; of an evaluation its scores.")
  var stats = false

  @Flag(help: "Read every byte and say whether it is what was written.")
  var verify = false

  @Flag(help: "How far an artifact, or a run's artifacts, are, and who is at them.")
  var status = false

  @Option(
    help: ArgumentHelp(
      "Compare with another of the same kind; ends with 1 where they differ.", valueName: "other"))
  var diff: String?

  @Option(
    help: "text, json, npy (one tensor), png (pixels) or safetensors (a record or a tensor).")
  var format: OutputFormat = .text

  @Option(help: ArgumentHelp("The model whose tokenizer decodes the text.", valueName: "dir"))
  var model: String?

  @OptionGroup var common: ReadingOptions

  func validate() throws {
    let modes = [record != nil || tensor != nil, stats, verify, status, diff != nil].count { $0 }
    if modes > 1 {
      throw ValidationError(
        "--record or --tensor, --stats, --verify, --status and --diff exclude each other.")
    }
    if rows != nil, tensor == nil {
      throw ValidationError("--rows takes rows of a tensor: give --tensor too.")
    }
    if rows != nil, rowRange == nil {
      throw ValidationError("--rows takes a:b with 0 <= a <= b, not \(rows ?? "").")
    }
    if [.npy, .png].contains(format), tensor == nil {
      throw ValidationError("--format \(format.rawValue) writes one tensor: give --tensor.")
    }
    if format == .safetensors, tensor == nil, record == nil {
      throw ValidationError(
        "--format safetensors writes a record or a tensor: give --record or --tensor.")
    }
  }

  /// `a:b`, either end left out where it is the tensor's own.
  var rowRange: (start: Int, end: Int?)? {
    guard let parts = rows?.split(separator: ":", omittingEmptySubsequences: false),
      parts.count == 2
    else { return nil }
    guard let start = parts[0].isEmpty ? 0 : Int(parts[0]), start >= 0 else { return nil }
    if parts[1].isEmpty { return (start, nil) }
    guard let end = Int(parts[1]), end >= start else { return nil }
    return (start, end)
  }

  func run(stage: Stage) throws {
    if status { return try RunStatus(path).show(format) }
    let subject = try Subject(path)
    if let diff {
      let difference = try Difference(subject, Subject(diff), limit: stage.limit)
      difference.show(format)
      if !difference.isEmpty { throw Silent(.different) }
    } else if verify {
      try Verdict(subject, stage: stage).show(format)
    } else if stats {
      try Statistics(subject, stage: stage).show(format)
    } else if record == nil, tensor == nil {
      try Summary(subject).show(format)
    } else {
      try showParts(subject, stage: stage)
    }
  }

  private func showParts(_ subject: Subject, stage: Stage) throws {
    guard let record else {
      let tensors = try subject.files()
      guard let tensor else { return }
      return try TensorView(tensors, name: tensor, rows: rowRange).show(format)
    }
    let content = try subject.record(record)
    if let tensor {
      return try TensorView(TensorFiles(content, path: path), name: tensor, rows: rowRange)
        .show(format)
    }
    let tokenizer = try TokenizerSearch.find(subject, given: model)
    if tokenizer == nil, format == .text {
      stage.log.warning("no tokenizer found, so no text is decoded: give --model DIR")
    }
    try RecordView(content, subject: subject, tokenizer: tokenizer).show(format)
  }
}
