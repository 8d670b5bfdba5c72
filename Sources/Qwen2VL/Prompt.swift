import Checkpoints
import Failures
import Imaging
import Tokenization

/// Turns a conversation with images into what the model reads: transformers' `Qwen2VLProcessor`.
public struct PromptBuilder {
  private let processor: CheckpointProcessor
  private var template: ChatTemplate { processor.template }

  public init(_ processor: CheckpointProcessor) { self.processor = processor }

  /// The system turn of a prompt that brings none.
  public var system: String? { template.system }

  /// The token that ends an answer, `<|im_end|>`.
  public var end: Int32 { template.end }

  /// A conversation up to the start of the assistant's answer, its images resized and cut into
  /// patches. Throws 65 when images and their places do not match.
  public func prompt(_ turns: [Turn], images: [RGBImage]) throws -> ModelSample {
    let ready = try images.enumerated().map { number, image in
      let resized = try processor.images.resize(image, place: "image \(number + 1) of the prompt")
      let grid = processor.images.grid(resized)
      return ModelImage(
        grid: (grid.t, grid.h, grid.w),
        patches: try processor.images.patches(
          pixels: resized.pixels, height: resized.height, width: resized.width))
    }
    let counts = ready.map { image in
      processor.images.tokens((t: image.grid.time, h: image.grid.height, w: image.grid.width))
    }
    let rendered = try template.render(turns, imageTokenCounts: counts, generationPrompt: true)
    let sample = ModelSample(inputIDs: rendered.ids, images: ready)
    // The arithmetic trusts what it is given.
    try processor.check(sample)
    return sample
  }
}
