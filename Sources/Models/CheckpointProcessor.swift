import Checkpoints
import Failures
import Imaging
import Tokenization

/// What stands before a checkpoint's weights, held against each other: config, tokenizer, chat
/// template and image processor (transformers' `AutoProcessor`).
///
/// Whatever is made by these parts fits the model: every id has a row in its embedding, every image
/// as many tokens as the model merges its patches to. The arithmetic relies on that and checks
/// nothing again.
public struct CheckpointProcessor: Sendable {
  public let config: any ModelConfig
  public let tokenizer: Tokenizer
  /// Its sizes may be bounded otherwise than the checkpoint says.
  public var images: ImageProcessor
  public let template: ChatTemplate

  /// Opens the parts in a checkpoint's folder.
  /// - config: where it is open already.
  /// Throws 66 for a file that is missing, 65 for one that is not sound or does not fit the others.
  public init(directory: String, config: (any ModelConfig)? = nil) throws {
    let config = try config ?? ModelFamilies.config(directory: directory)
    self.config = config
    tokenizer = try Tokenizer(directory: directory)
    images = try ImageProcessor(directory: directory, patchSize: config.encoder.patchSize)
    template = try ChatTemplate(
      tokenizer: tokenizer,
      form: ChatForm(directory: directory, dialect: type(of: config).chat))
    try checkFit(directory)
  }

  private func checkFit(_ directory: String) throws {
    let named = config.namedTokens + [(template.dialect.imagePad, config.imageTokenID)]
    var pairs = named.map { text, id in
      (text, tokenizer.id(ofToken: text).map { String($0) } ?? "no such token", String(id))
    }
    pairs += config.processorMatches(images)
    pairs.append(
      (
        "number of values in a patch", "\(images.patchLength)", "\(config.encoder.patchDimension)"
      ))
    for (what, here, there) in pairs where here != there {
      throw Failure(
        .badData, "\(what) differs between config.json and the tokenizer or image processor",
        at: directory, expected: there, found: here,
        advice: "Take all files from one checkpoint.")
    }
    guard tokenizer.vocabularySize <= config.text.vocabularySize else {
      let last = Int32(tokenizer.vocabularySize - 1)
      let name = tokenizer.decode([last]).prefix(60)
      throw Failure(
        .badData, "the tokenizer has more tokens than the model", at: directory,
        expected: "ids below \(config.text.vocabularySize), the model's vocab_size",
        found: "\(last), \"\(name)\"",
        advice: "Take both from one checkpoint, or resize the model's embedding to its tokenizer.")
    }
  }

  /// Throws 65 where a sample does not fit the model.
  public func check(_ sample: ModelSample, at place: String? = nil) throws {
    if let problem = PackedBatch.problem(sample, for: config) {
      throw Failure(.badData, problem, at: place)
    }
  }
}
