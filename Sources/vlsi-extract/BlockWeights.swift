import Dispatch
import Kernels
import Models

/// The decoder blocks' weights on their way from disk: asked for while the block before computes, they
/// come in long reads beside the arithmetic. Left to page faults, a block's products wait for every
/// few pages.
struct BlockWeights {
  private let blocks: [[MappedBytes]]
  private let queue = DispatchQueue(label: "weights")

  init(_ model: VisionLanguageModel) {
    blocks = model.blockParameters.map { $0.compactMap(\.mappedBytes) }
  }

  /// Asks for block `layer`, from 0.
  func fetch(_ layer: Int) {
    let weights = blocks[layer]
    queue.async { for bytes in weights { bytes.fetch() } }
  }
}
