import ArgumentParser
import Artifacts
import Checkpoints
import Failures
import Foundation
import Kernels
import StageKit
import Tokenization

extension KnownShape: ExpressibleByArgument {}

/// `vlsi-synthesize checkpoint`: random weights in the hub's layout.
struct CheckpointCommand: StageCommand {
  static let name = "checkpoint"
  static let abstract = "Writes a checkpoint with random weights: tiny, or of a real shape."
  static let example =
    "vlsi-synthesize checkpoint --like tiny-student --seed 1 --output runs/tiny/student"
  @OptionGroup var common: CommonOptions

  @Option(help: ArgumentHelp("Whose shape it has.", valueName: "shape"))
  var like: KnownShape

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
    var shape = like.shape
    for (option, value) in [("--layers", layers), ("--vision-layers", visionLayers)] {
      if let value, !(1...1000).contains(value) {
        throw Failure(
          .usage, "\(option) is out of range", expected: "1 to 1000", found: String(value))
      }
    }
    shape.layers = layers ?? shape.layers
    shape.visionDepth = visionLayers ?? shape.visionDepth
    let folder = try tokenizerFolder(shape)
    let tokens = try specialTokens(folder, shape)
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
      try write(shape, tokens, from: folder, to: partial, stage)
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
    _ shape: ModelShape, _ tokens: SpecialTokens, from folder: String, to partial: String,
    _ stage: Stage
  ) throws {
    let type = shape.isTiny ? ElementType.float32 : .bfloat16
    let config = shape.config(tokens)
    let tensors = shape.tensors(config)
    let total = tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
    stage.log.info("\(like.rawValue): \(total) parameters, \(total * type.size) bytes")
    let progress = stage.progress(total: total, unit: "parameters", label: like.rawValue)
    let random = RandomWeights(
      seed: stage.seed, deviation: shape.deviation, threads: stage.threads)
    let seeing = try vision.map { try Checkpoint(directory: $0) }
    let outputs = try tensors.map { name, sizes, start in
      if name.hasPrefix("visual."), let seeing {
        return OutputTensor(try seeing.tensor(name, shape: sizes))
      }
      return OutputTensor(name: name, type: type, shape: sizes) { write in
        let count = sizes.reduce(1, *)
        for first in Swift.stride(from: 0, to: count, by: RandomWeights.block * 256) {
          try stage.checkInterrupt()
          let range = first..<min(first + RandomWeights.block * 256, count)
          try random.bytes(name, start, range: range, bf16: type == .bfloat16)
            .withUnsafeBytes { try write($0) }
          progress.advance(range.count)
        }
      }
    }
    try CheckpointWriter.requireSpace(for: outputs, at: output)
    try CheckpointWriter.write(
      to: partial, config: config, over: Array(shape.otherMembers.text().utf8), tensors: outputs,
      shardLimit: ModelShape.shardLimit, carry: folder,
      chatTemplate: ChatForm(directory: folder).template)
    try writeAtomically(
      Array(shape.preprocessor.utf8), to: "\(partial)/preprocessor_config.json")
    try writeAtomically(
      Array(shape.generation(tokens).utf8), to: "\(partial)/generation_config.json")
    let facts: JSON = [
      "weights": "random", "like": .string(like.rawValue), "seed": .string(String(stage.seed)),
      "layers": .int(shape.layers), "vision_layers": .int(shape.visionDepth),
      "vision": vision.map { .string($0) } ?? .null,
    ]
    try writeAtomically(facts.text(pretty: true), to: "\(partial)/\(CheckpointCommand.facts)")
    progress.finish()
  }

  private func tokenizerFolder(_ shape: ModelShape) throws -> String {
    if let tokenizer { return tokenizer }
    guard shape.isTiny else {
      throw Failure(
        .usage, "\(like.rawValue) needs a tokenizer of its own, not the tiny one",
        advice: "Name one with --tokenizer: the folder of a real Qwen2-VL checkpoint, or what "
          + "Tests/Goldens/true_tokenizer.py make DIR writes")
    }
    return "data/tokenizer"
  }

  private func specialTokens(_ folder: String, _ shape: ModelShape) throws -> SpecialTokens {
    let tokenizer = try Tokenizer(directory: folder)
    func id(_ token: String) throws -> Int {
      guard let id = tokenizer.id(ofToken: token) else {
        throw Failure(
          .badData, "the tokenizer lacks \(token)", at: "\(folder)/tokenizer.json",
          advice: "Name the folder of a Qwen2-VL tokenizer with --tokenizer")
      }
      return Int(id)
    }
    guard tokenizer.vocabularySize <= shape.vocabulary else {
      throw Failure(
        .badData, "the tokenizer does not fit \(like.rawValue)", at: "\(folder)/tokenizer.json",
        expected: "at most \(shape.vocabulary) ids", found: String(tokenizer.vocabularySize))
    }
    let tokens = SpecialTokens(
      endOfText: try id("<|endoftext|>"), turnEnd: try id("<|im_end|>"),
      visionStart: try id("<|vision_start|>"), visionEnd: try id("<|vision_end|>"),
      imagePad: try id("<|image_pad|>"),
      videoPad: try id("<|video_pad|>"))
    if !shape.isTiny, tokens.imagePad != SpecialTokens.qwen.imagePad {
      throw Failure(
        .badData, "not the tokenizer of \(like.rawValue)", at: "\(folder)/tokenizer.json",
        expected: "<|image_pad|> with the id \(SpecialTokens.qwen.imagePad)",
        found: String(tokens.imagePad),
        advice: "Name the folder of a real Qwen2-VL checkpoint with --tokenizer")
    }
    return tokens
  }
}
