import Glibc
import Kernels
import Tensors

/// The decoder block of Qwen2-VL's language model (transformers' `Qwen2VLDecoderLayer`): grouped-query
/// attention and a gated FFN, each behind an RMS norm and added to its input. The caller finds the
/// weights, by their names within a checkpoint's block: `self_attn.q_proj`, `mlp.up_proj`.
public struct DecoderBlock {
  /// How the block attends: q [n, heads · size], k and v [n, keyValueHeads · size], all rotated.
  public typealias Attend = (Tape, _ q: Tensor, _ k: Tensor, _ v: Tensor) -> Tensor

  private let heads: AttentionHeads
  private let norm: (Tape, Tensor, _ name: String) -> Tensor
  private let linear: (Tape, Tensor, _ name: String, _ bias: Bool) -> Tensor

  /// - Parameters:
  ///   - norm: applies the RMS norm of that name.
  ///   - linear: applies the projection of that name, with its bias where asked for.
  public init(
    heads: AttentionHeads, norm: @escaping (Tape, Tensor, String) -> Tensor,
    linear: @escaping (Tape, Tensor, String, Bool) -> Tensor
  ) {
    self.heads = heads
    self.norm = norm
    self.linear = linear
  }

  /// The block's output [n, d] for its input [n, d]; cosine and sine are [n, head size / 2].
  public func forward(
    _ tape: Tape, _ x: Tensor, cosine: Tensor, sine: Tensor, attend: Attend
  ) -> Tensor {
    let x = tape.add(x, attention(tape, x, cosine: cosine, sine: sine, attend: attend))
    return tape.add(x, feedForward(tape, x))
  }

  // Functions of their own: what they hold in between is given back before the next one begins.

  private func attention(
    _ tape: Tape, _ x: Tensor, cosine: Tensor, sine: Tensor, attend: Attend
  ) -> Tensor {
    let normed = norm(tape, x, "input_layernorm")
    let q = tape.rotary(
      linear(tape, normed, "self_attn.q_proj", true), heads: heads.heads, cosine: cosine,
      sine: sine)
    let k = tape.rotary(
      linear(tape, normed, "self_attn.k_proj", true), heads: heads.keyValueHeads, cosine: cosine,
      sine: sine)
    let v = linear(tape, normed, "self_attn.v_proj", true)
    return linear(tape, attend(tape, q, k, v), "self_attn.o_proj", false)
  }

  private func feedForward(_ tape: Tape, _ x: Tensor) -> Tensor {
    let inner = norm(tape, x, "post_attention_layernorm")
    let gate = linear(tape, inner, "mlp.gate_proj", false)
    let up = linear(tape, inner, "mlp.up_proj", false)
    return linear(tape, tape.gatedSiLU(gate, up), "mlp.down_proj", false)
  }

  /// Cosine and sine [n, head size / 2] of the rotary embedding: the pair j of a head's numbers turns
  /// with the position `positions[axes[j]][n]`, the slower the larger j is.
  public static func rotaryTables(
    positions: [[Int32]], axes: [Int], theta: Double
  ) -> (cosine: Tensor, sine: Tensor) {
    let half = axes.count
    let frequencies = (0..<half).map { 1 / powf(Float(theta), Float($0) / Float(half)) }
    let count = positions.first?.count ?? 0
    let cosine = Tensor([count, half]), sine = Tensor([count, half])
    for i in 0..<count {
      for j in 0..<half {
        let angle = Float(positions[axes[j]][i]) * frequencies[j]
        cosine.values[i * half + j] = cosf(angle)
        sine.values[i * half + j] = sinf(angle)
      }
    }
    return (cosine, sine)
  }
}
