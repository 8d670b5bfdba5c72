import Checkpoints
import Glibc
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
    let name = "model.layers.\(layer)"
    let normed = norm(tape, x, name + ".input_layernorm.weight")
    let q = tape.rotary(
      weights.linear(tape, normed, name + ".self_attn.q_proj", bias: true),
      heads: config.text.heads, cosine: cosine, sine: sine)
    let k = tape.rotary(
      weights.linear(tape, normed, name + ".self_attn.k_proj", bias: true),
      heads: config.text.keyValueHeads, cosine: cosine, sine: sine)
    let v = weights.linear(tape, normed, name + ".self_attn.v_proj", bias: true)
    let attended = attend(tape, layer, q, k, v)
    let x = tape.add(x, weights.linear(tape, attended, name + ".self_attn.o_proj"))
    let inner = norm(tape, x, name + ".post_attention_layernorm.weight")
    let gate = weights.linear(tape, inner, name + ".mlp.gate_proj")
    let up = weights.linear(tape, inner, name + ".mlp.up_proj")
    return tape.add(x, weights.linear(tape, tape.gatedSiLU(gate, up), name + ".mlp.down_proj"))
  }

  func norm(_ tape: Tape, _ x: Tensor, _ name: String) -> Tensor {
    tape.rmsNorm(x, weights[name], epsilon: config.text.rmsNormEpsilon)
  }

  /// Cosine and sine [n, head size / 2] of M-RoPE: the frequencies are dealt out in sections that
  /// turn with the time, the height and the width position.
  func rotaryTables(
    _ positions: (time: [Int32], height: [Int32], width: [Int32])
  ) -> (cosine: Tensor, sine: Tensor) {
    let half = heads.size / 2
    let frequencies = (0..<half).map {
      1 / powf(Float(config.text.ropeTheta), Float($0) / Float(half))
    }
    var axis: [Int] = []
    for (index, size) in config.text.mropeSection.enumerated() {
      axis += [Int](repeating: index, count: size)
    }
    let count = positions.time.count
    let cosine = Tensor([count, half]), sine = Tensor([count, half])
    for i in 0..<count {
      let place = (
        Float(positions.time[i]), Float(positions.height[i]), Float(positions.width[i])
      )
      for j in 0..<half {
        let position = axis[j] == 0 ? place.0 : axis[j] == 1 ? place.1 : place.2
        cosine.values[i * half + j] = cosf(position * frequencies[j])
        sine.values[i * half + j] = sinf(position * frequencies[j])
      }
    }
    return (cosine, sine)
  }
}
