import ArgumentParser
import Artifacts
import Checkpoints
import Failures
import Foundation
import Imaging
import Models
import StageKit
import Tokenization

/// `vlsi-prepare`: conversations and images in, `samples` out.
struct PrepareCommand: StageCommand {
  static let name = "vlsi-prepare"
  static let abstract = "Turn conversations about images into token ids and pixels."
  static let example = """
    vlsi-prepare --dataset data.json --images images --model models/2b --output samples
    """

  @Option(
    help: ArgumentHelp(
      """
      LLaVA, ShareGPT or OpenAI conversations: a JSON array, JSON Lines or a WebDataset's tar file; a \
      folder of such; or several between blanks, as "a.json b.tar*0.5", where a weight says how often \
      entries are taken.
      """, valueName: "files"))
  var dataset: String

  @Option(
    help: ArgumentHelp(
      "Where image paths start (default: the data set's folder).", valueName: "dir"))
  var images: String?

  @Option(
    help: ArgumentHelp(
      "A checkpoint's folder: tokenizer.json and preprocessor_config.json.", valueName: "dir"))
  var model: String

  @Option(help: ArgumentHelp("The artifact to make.", valueName: "dir"))
  var output: String

  @Option(
    help: ArgumentHelp(
      "Only about n entries, evenly spread over the data set: a sample of it to plan with.",
      valueName: "n"))
  var spread: Int?

  @Option(
    help: ArgumentHelp(
      "At most n entries, evenly spread over the data set.", valueName: "n"))
  var entries: Int?

  @OptionGroup var part: ShareOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let spread, spread < 1 {
      throw ValidationError("--spread takes 1 or more, not \(spread).")
    }
    if let entries, entries < 1 {
      throw ValidationError("--entries takes 1 or more, not \(entries).")
    }
    if [spread, entries, common.limit].count(where: { $0 != nil }) > 1 {
      throw ValidationError("--spread, --entries and --limit exclude each other.")
    }
  }

  func run(stage: Stage) throws {
    let settings = stage.preset.prepare
    let parts = try CheckpointProcessor(directory: model)
    let (tokenizer, template) = (parts.tokenizer, parts.template)
    let processor = try settings.bounding(
      parts.images, at: common.preset ?? model + "/preprocessor_config.json")
    let files = try DatasetFiles(dataset)
    guard let start = images ?? files.folder else {
      throw Failure(
        .usage, "the data files lie in several folders", at: dataset,
        advice: "Say by --images where their image paths start.")
    }
    let folder = ImageFolder(
      path: start, allowsOutside: settings.allowOutsideImages)
    guard images == nil || Files.isDirectory(folder.path) else {
      throw Failure(.inputMissing, "the folder of images does not exist", at: folder.path)
    }

    let survey = try Survey(of: files, limit: stage.limit)
    let stride = spread.map { max(1, survey.count / $0) } ?? 1
    let share = entries.map { (taken: min($0, survey.count), of: survey.count) }
    guard
      let writer = try stage.artifact(
        at: output, kind: .samples,
        settings: identity(settings, stride: stride, entries: share?.taken),
        execution: settings.execution,
        inputs: try inputs(files, tokenizer, template, processor),
        samplesPerShard: settings.samplesPerShard,
        redo: try folder.firstChange(since: output).map { "the image \($0) is another one now" },
        share: part.wanted)
    else { return }
    let builder = SampleBuilder(
      parts: parts, processor: processor,
      settings: settings, images: folder, dataset: dataset)
    let taken = share?.taken ?? (survey.count + stride - 1) / stride
    // A sample of the data set says what is in it, bad entries too.
    var preparation = Preparation(
      stage: stage, writer: writer, builder: builder, total: taken,
      mostRejects: spread == nil ? settings.maxRejectShare : 1)
    guard let note = try preparation.run(files.entries(every: stride, share: share)) else {
      return
    }
    try stage.finish(
      writer, facts: facts(note, taken, of: survey.count, tokenizer, processor, settings))
  }

  private func inputs(
    _ files: DatasetFiles, _ tokenizer: Tokenizer, _ template: ChatTemplate,
    _ processor: ImageProcessor
  ) throws -> [String: String] {
    var inputs = [
      "dataset": try files.fingerprint, "tokenizer": tokenizer.fingerprint,
      "image_processor": processor.fingerprint,
    ]
    // Left out where it is the family's own: samples of before have no such input.
    if template.system != template.dialect.defaultSystem {
      inputs["system"] = Fingerprint.text(template.system ?? "none, not even an empty turn")
    }
    return inputs
  }

  /// The settings that the content depends on.
  private func identity(_ settings: PrepareSettings, stride: Int, entries: Int?) -> JSON {
    guard case .object(var members) = settings.json else { return settings.json }
    if stride > 1 { members["every"] = .int(stride) }
    members["entries"] = entries.map { .int($0) }
    return .object(members)
  }

  private func facts(
    _ note: ShardNote, _ entries: Int, of all: Int, _ tokenizer: Tokenizer,
    _ processor: ImageProcessor,
    _ settings: PrepareSettings
  ) -> [String: JSON] {
    [
      "dataset": .string(dataset),
      "tokenizer": .string(tokenizer.fingerprint),
      "image_processor": .string(processor.fingerprint),
      "vocabulary": .int(tokenizer.vocabularySize),
      "context": .int(settings.context),
      "patch_size": .int(processor.patchSize),
      "temporal_patch_size": .int(processor.temporalPatchSize),
      "merge_size": .int(processor.mergeSize),
      "entries": .int(entries),
      "data_set_entries": .int(all),
      "samples": .int(note.totals.samples),
      "rejects": .int(note.rejects.count),
      "tokens": .int(note.totals.tokens),
      "supervised_tokens": .int(note.totals.supervised),
      "image_tokens": .int(note.totals.imageTokens),
      "images": .int(note.totals.images),
    ]
  }
}

/// A first pass over the data set: its form holds to the end, and how many entries there are.
struct Survey {
  private(set) var count = 0

  /// - Throws: `Failure(.badData)` for an array that is malformed or a data set without entries.
  init(of files: DatasetFiles, limit: Int?) throws {
    let reader = files.entries()
    while count < limit ?? .max, try reader.next() != nil { count += 1 }
    if count == 0 { throw Failure(.badData, "the data set has no entries", at: files.name) }
  }
}
