import Kernels
import Tensors

/// A language model of the Qwen2 or Qwen3 kind (transformers' `Qwen2VLTextModel`, `Qwen3VLTextModel`):
/// decoder blocks with grouped-query attention, rotary positions, RMS norms and a gated FFN.
public struct LanguageModel {
  public let config: TextConfig
  /// The word embedding [vocabulary, d].
  public let embedding: Parameter
  public let blocks: [DecoderBlock]
  /// The final norm.
  public let norm: Norm
  /// The language head [vocabulary, d]; the word embedding itself where the two are tied.
  public let head: Parameter

  init(_ config: TextConfig, names: TensorNames, _ weights: WeightScope) {
    self.config = config
    embedding = weights.parameter(names.embedding, [config.vocabularySize, config.hiddenSize])
    let text = weights.scope(String(names.text.dropLast()))
    blocks = (0..<config.layers).map { DecoderBlock(config.block, text.scope("layers.\($0)")) }
    norm = text.rmsNorm("norm", config.hiddenSize, epsilon: config.rmsNormEpsilon)
    head =
      config.tieWordEmbeddings
      ? embedding : weights.parameter(names.head, [config.vocabularySize, config.hiddenSize])
  }

  public var heads: AttentionHeads { config.block.attention }

  /// Cosine and sine [n, head size / 2]. With M-RoPE the frequencies are dealt out to the time, the
  /// height and the width position.
  public func rotaryTables(
    _ positions: (time: [Int32], height: [Int32], width: [Int32])
  ) -> (cosine: Tensor, sine: Tensor) {
    DecoderBlock.rotaryTables(
      positions: [positions.time, positions.height, positions.width], axes: config.rotaryAxes,
      theta: config.ropeTheta)
  }
}
