import Checkpoints
import Kernels
import Tensors

/// Qwen2-VL's language model (transformers' `Qwen2VLTextModel`): decoder blocks with grouped-query
/// attention, multimodal rotary positions, RMS norms and a gated FFN.
struct LanguageModel {
  let config: Qwen2VLConfig
  let weights: Weights

  var heads: AttentionHeads {
    AttentionHeads(
      heads: config.text.heads, keyValueHeads: config.text.keyValueHeads,
      size: config.text.hiddenSize / config.text.heads)
  }

  /// How a block attends: q [n, heads · size], k and v [n, keyValueHeads · size], all rotated.
  typealias Attend = (Tape, _ layer: Int, _ q: Tensor, _ k: Tensor, _ v: Tensor) -> Tensor

  /// One decoder block; `layer` counts from 0 as in the checkpoint's names.
  func block(
    _ tape: Tape, _ x: Tensor, _ layer: Int, cosine: Tensor, sine: Tensor, attend: Attend
  ) -> Tensor {
    let name = "model.layers.\(layer)."
    let block = DecoderBlock(heads: heads) { tape, x, part in
      norm(tape, x, name + part + ".weight")
    } linear: { tape, x, part, bias in
      weights.linear(tape, x, name + part, bias: bias)
    }
    return block.forward(tape, x, cosine: cosine, sine: sine) { attend($0, layer, $1, $2, $3) }
  }

  func norm(_ tape: Tape, _ x: Tensor, _ name: String) -> Tensor {
    tape.rmsNorm(x, weights[name], epsilon: config.text.rmsNormEpsilon)
  }

  /// Cosine and sine [n, head size / 2] of M-RoPE: the frequencies are dealt out in sections that
  /// turn with the time, the height and the width position.
  func rotaryTables(
    _ positions: (time: [Int32], height: [Int32], width: [Int32])
  ) -> (cosine: Tensor, sine: Tensor) {
    var axes: [Int] = []
    for (index, size) in config.text.mropeSection.enumerated() {
      axes += [Int](repeating: index, count: size)
    }
    return DecoderBlock.rotaryTables(
      positions: [positions.time, positions.height, positions.width], axes: axes,
      theta: config.text.ropeTheta)
  }
}
