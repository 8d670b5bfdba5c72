import Checkpoints
import Failures
import Imaging
import Tokenization

/// Turns a conversation with images into what the model reads: transformers'
/// `Qwen2VLProcessor` and its siblings.
public struct PromptBuilder {
  private let processor: CheckpointProcessor
  private var template: ChatTemplate { processor.template }

  public init(_ processor: CheckpointProcessor) { self.processor = processor }

  /// The system turn of a prompt that brings none.
  public var system: String? { template.system }

  /// What that is in the family's own chat template.
  public var familySystem: String? { template.dialect.defaultSystem }

  /// The token that ends an answer, `<|im_end|>`.
  public var end: Int32 { template.end }

  /// Images resized and cut into patches. Throws 65 for one that cannot be.
  public func prepared(_ images: [RGBImage]) throws -> [ModelImage] {
    try images.enumerated().map { number, image in
      let seen = try processor.images.prepared(
        image, isAlone: images.count == 1, place: "image \(number + 1) of the prompt")
      return ModelImage(
        grid: seen.grid,
        patches: try processor.images.patches(
          pixels: seen.pixels.pixels, height: seen.pixels.height, width: seen.pixels.width))
    }
  }

  /// A conversation up to the start of the assistant's answer. Throws 65 when images and their places
  /// do not match.
  public func prompt(_ turns: [Turn], images: [ModelImage]) throws -> ModelSample {
    let counts = images.map { processor.config.imageTokens($0.grid) ?? 0 }
    let rendered = try template.render(turns, imageTokenCounts: counts, generationPrompt: true)
    let sample = ModelSample(inputIDs: rendered.ids, images: images)
    // The arithmetic trusts what it is given.
    try processor.check(sample)
    return sample
  }

  /// The same of images as they are.
  public func prompt(_ turns: [Turn], images: [RGBImage]) throws -> ModelSample {
    try prompt(turns, images: try prepared(images))
  }
}
