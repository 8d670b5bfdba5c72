import Checkpoints
import Failures
import Imaging
import Tokenization

/// Turns a conversation with images into what the model reads: transformers' `Qwen2VLProcessor`.
public struct PromptBuilder {
  private let template: ChatTemplate
  private let processor: ImageProcessor

  /// Throws 65 when the tokenizer lacks the chat template's tokens.
  public init(tokenizer: Tokenizer, processor: ImageProcessor) throws {
    template = try ChatTemplate(tokenizer: tokenizer)
    self.processor = processor
  }

  /// The token that ends an answer, `<|im_end|>`.
  public var end: Int32 { template.end }

  /// A conversation up to the start of the assistant's answer, its images resized and cut into
  /// patches. Throws 65 when images and their places do not match.
  public func prompt(_ turns: [Turn], images: [RGBImage]) throws -> ModelSample {
    let ready = try images.enumerated().map { number, image in
      let resized = try processor.resize(image, place: "image \(number + 1) of the prompt")
      let grid = processor.grid(resized)
      return ModelImage(
        grid: (grid.t, grid.h, grid.w),
        patches: try processor.patches(
          pixels: resized.pixels, height: resized.height, width: resized.width))
    }
    let counts = ready.map { image in
      processor.tokens((t: image.grid.time, h: image.grid.height, w: image.grid.width))
    }
    let rendered = try template.render(turns, imageTokenCounts: counts, generationPrompt: true)
    return ModelSample(inputIDs: rendered.ids, images: ready)
  }
}
