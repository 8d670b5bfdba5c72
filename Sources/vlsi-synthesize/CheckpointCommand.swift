import ArgumentParser
import Artifacts
import Checkpoints
import Failures
import Foundation
import Kernels
import Models
import StageKit
import Tokenization

/// `vlsi-synthesize checkpoint`: random weights in the hub's layout.
struct CheckpointCommand: StageCommand {
  static let name = "checkpoint"
  static let abstract = "Writes a checkpoint with random weights: tiny, or of a real shape."
  static let example =
    "vlsi-synthesize checkpoint --like tiny-student --seed 1 --output runs/tiny/student"
  @OptionGroup var common: CommonOptions

  @Option(
    help: ArgumentHelp(
      "Whose shape it has: \(ModelFamilies.sizes.map(\.name).joined(separator: ", ")).",
      valueName: "size"),
    completion: .list(ModelFamilies.sizes.map(\.name)),
    transform: { name in
      if let size = ModelSize.named(name) { return size }
      throw ValidationError(
        "--like knows \(ModelFamilies.sizes.map(\.name).joined(separator: ", ")), not '\(name)'")
    })
  var like: ModelSize

  @Option(help: ArgumentHelp("The folder of the checkpoint.", valueName: "dir"))
  var output: String

  @Option(help: ArgumentHelp("Decoder blocks, if not the shape's.", valueName: "n"))
  var layers: Int?

  @Option(help: ArgumentHelp("Blocks of the vision encoder, if not the shape's.", valueName: "n"))
  var visionLayers: Int?

  @Option(
    help: ArgumentHelp(
      "A folder with tokenizer.json; needed for the real shapes, whose ids it must have.",
      valueName: "dir"))
  var tokenizer: String?

  @Option(
    help: ArgumentHelp(
      "A checkpoint whose vision encoder is taken over; only the rest is random.",
      valueName: "dir"))
  var vision: String?

  /// Says that the weights are random, and how they were made.
  private static let facts = "synthesis.json"

  func run(stage: Stage) throws {
    for (option, value) in [("--layers", layers), ("--vision-layers", visionLayers)] {
      if let value, !(1...1000).contains(value) {
        throw Failure(
          .usage, "\(option) is out of range", expected: "1 to 1000", found: String(value))
      }
    }
    let folder = try tokenizerFolder()
    let config = try config(folder).shortened(
      layers: layers ?? like.config.text.layers,
      encoderBlocks: visionLayers ?? like.config.encoder.depth)
    let manager = FileManager.default
    // Nobody's downloaded or trained weights are written over.
    if manager.fileExists(atPath: output), !Files.exists("\(output)/\(CheckpointCommand.facts)"),
      try !Files.isDirectory(output) || !Files.list(output).isEmpty
    {
      throw Failure(
        .cannotCreate, "exists and holds no random weights", at: output,
        advice: "Name another folder with --output, or remove this one")
    }
    let partial = output + ".partial"
    try? manager.removeItem(atPath: partial)
    do {
      try manager.createDirectory(atPath: partial, withIntermediateDirectories: true)
      try write(config, from: folder, to: partial, stage)
      if manager.fileExists(atPath: output) { try manager.removeItem(atPath: output) }
      try manager.moveItem(atPath: partial, toPath: output)
    } catch {
      try? manager.removeItem(atPath: partial)
      if error is Failure { throw error }
      throw Failure(
        .cannotCreate, "the checkpoint cannot be made", at: output,
        found: reason(error), advice: "Check the rights and the free space.")
    }
    stage.log.info("\(output) is written")
  }

  private func write(
    _ config: any ModelConfig, from folder: String, to partial: String, _ stage: Stage
  ) throws {
    let element = like.isTiny ? ElementType.float32 : .bfloat16
    let tensors = ModelSize.tensors(config)
    let total = tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
    stage.log.info("\(like.name): \(total) parameters, \(total * element.size) bytes")
    let progress = stage.progress(total: total, unit: "parameters", label: like.name)
    let random = RandomWeights(
      seed: stage.seed, deviation: like.deviation, threads: stage.threads)
    let seeing = try vision.map { try Checkpoint(directory: $0) }
    let ofVision = Set(
      VisionLanguageModel(config: config).parameters(of: [.vision]).map(\.name))
    let outputs = try tensors.map { name, sizes, start in
      if ofVision.contains(name), let seeing {
        return OutputTensor(try seeing.tensor(name, shape: sizes))
      }
      return OutputTensor(name: name, type: element, shape: sizes) { write in
        let count = sizes.reduce(1, *)
        for first in Swift.stride(from: 0, to: count, by: RandomWeights.block * 256) {
          try stage.checkInterrupt()
          let range = first..<min(first + RandomWeights.block * 256, count)
          try random.bytes(name, start, range: range, bf16: element == .bfloat16)
            .withUnsafeBytes { try write($0) }
          progress.advance(range.count)
        }
      }
    }
    try CheckpointWriter.requireSpace(for: outputs, at: output)
    let chat = type(of: config).chat
    let own = try? ChatForm(directory: folder, dialect: chat)
    let form = own ?? ChatForm(chat)
    try CheckpointWriter.write(
      to: partial, config: config, over: Array(like.otherMembers.text().utf8), tensors: outputs,
      shardLimit: ModelSize.shardLimit, carry: folder,
      chatTemplate: form.template)
    // What counts are the settings that follow.
    try Files.remove("\(partial)/processor_config.json")
    // The tokenizer's folder may be another family's, whose template is not carried over.
    if form.template != own?.template {
      for name in ["chat_template.json", "chat_template.jinja"] {
        try Files.remove("\(partial)/\(name)")
      }
      try writeAtomically(form.template, to: "\(partial)/chat_template.jinja")
    }
    try writeAtomically(
      like.preprocessor.text(pretty: true), to: "\(partial)/preprocessor_config.json")
    try writeAtomically(
      generation(folder).text(pretty: true), to: "\(partial)/generation_config.json")
    let facts: JSON = [
      "weights": "random", "like": .string(like.name), "seed": .string(String(stage.seed)),
      "layers": .int(config.text.layers), "vision_layers": .int(config.encoder.depth),
      "vision": vision.map { .string($0) } ?? .null,
    ]
    try writeAtomically(facts.text(pretty: true), to: "\(partial)/\(CheckpointCommand.facts)")
    progress.finish()
  }

  private func tokenizerFolder() throws -> String {
    if let tokenizer { return tokenizer }
    guard like.isTiny else {
      throw Failure(
        .usage, "\(like.name) needs a tokenizer of its own, not the tiny one",
        advice: "Name one with --tokenizer: the folder of a real checkpoint of the family, or what "
          + "Tests/Goldens/true_tokenizer.py make DIR writes")
    }
    return "data/tokenizer"
  }

  /// What config.json says, with the ids of the tokenizer in `folder`.
  private func config(_ folder: String) throws -> any ModelConfig {
    let tokenizer = try Tokenizer(directory: folder)
    guard tokenizer.vocabularySize <= like.config.text.vocabularySize else {
      throw Failure(
        .badData, "the tokenizer does not fit \(like.name)", at: "\(folder)/tokenizer.json",
        expected: "at most \(like.config.text.vocabularySize) ids",
        found: String(tokenizer.vocabularySize))
    }
    let config = try like.config.naming { try Self.id($0, tokenizer, folder) }
    if !like.isTiny, config.imageTokenID != like.config.imageTokenID {
      let pad = type(of: config).chat.imagePad
      throw Failure(
        .badData, "not the tokenizer of \(like.name)", at: "\(folder)/tokenizer.json",
        expected: "\(pad) with the id \(like.config.imageTokenID)",
        found: String(config.imageTokenID),
        advice: "Name the folder of a real checkpoint of the family with --tokenizer")
    }
    return config
  }

  private static func id(_ token: String, _ tokenizer: Tokenizer, _ folder: String) throws -> Int {
    guard let id = tokenizer.id(ofToken: token) else {
      throw Failure(
        .badData, "the tokenizer lacks \(token)", at: "\(folder)/tokenizer.json",
        advice: "Name the folder of the family's own tokenizer with --tokenizer")
    }
    return Int(id)
  }

  /// What generation_config.json says.
  private func generation(_ folder: String) throws -> JSON {
    let tokenizer = try Tokenizer(directory: folder)
    let end = try Self.id("<|im_end|>", tokenizer, folder)
    let text = try Self.id("<|endoftext|>", tokenizer, folder)
    var members = like.sampling.asObject ?? [:]
    members["bos_token_id"] = .int(text)
    members["eos_token_id"] = [.int(end), .int(text)]
    members["pad_token_id"] = .int(text)
    return .object(members)
  }
}
