import Models
import Training

/// What is extracted from a backbone.
struct Extraction {
  let model: VisionLanguageModel
  /// The target layers.
  let layers: Set<Int>
  /// The samples whose hidden states are wanted.
  let heard: Set<Int>
  /// Visual embeddings that were stored before; nil encodes the images.
  let known: VisualEmbeddings?
  /// Whether visual embeddings are wanted.
  let stores: Bool
}
