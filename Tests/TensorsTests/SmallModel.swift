import Foundation
import Kernels
import Tensors

/// Two decoder blocks over packed samples: every op that training uses, in one loss.
struct SmallModel {
  let parameters: [Parameter]
  private let d = 24, heads = 3, keyValueHeads = 1, size = 8, hidden = 40
  private let ids: [Int32]
  private let layout: AttentionLayout
  private let cosine: Tensor, sine: Tensor

  init(samples: Int = 3) {
    var draw = Draw(31)
    var made: [Parameter] = []
    func add(_ name: String, _ shape: [Int], around base: Float = 0) {
      let scale = 0.7 / Float(shape.last ?? 1).squareRoot()
      made.append(
        Parameter(
          name, shape: shape, values: draw.numbers(shape.reduce(1, *)).map { base + $0 * scale },
          trainable: true))
    }
    add("embedding", [19, d])
    for _ in 0..<2 {
      add("norm", [d], around: 1)
      for (name, width) in [("q", heads * size), ("k", size), ("v", size)] {
        add(name, [width, d])
        add(name + ".bias", [width])
      }
      add("o", [d, heads * size])
      add("norm 2", [d], around: 1)
      add("gate", [hidden, d])
      add("up", [hidden, d])
      add("down", [d, hidden])
    }
    parameters = made
    let rows = 17 * samples
    ids = (0..<rows).map { Int32($0 * 7 % 19) }
    layout = AttentionLayout(
      samples: (0..<samples).map { sample in
        let start = sample * 17, prefix = start..<start + 6
        return [
          AttentionLayout.Block(rows: prefix),
          AttentionLayout.Block(rows: start + 6..<start + 11, prefix: prefix),
          AttentionLayout.Block(rows: start + 11..<start + 17, prefix: prefix),
        ]
      }, causal: true)
    let angles = (0..<rows * 4).map { index -> Float in
      let position = index / 4 % 17, pair = index % 4
      return Float(position) / Float(1 + 3 * pair)
    }
    cosine = Tensor(angles.map { cos($0) }, [rows, 4])
    sine = Tensor(angles.map { sin($0) }, [rows, 4])
  }

  private func block(_ tape: Tape, _ x: Tensor, _ w: ArraySlice<Parameter>) -> Tensor {
    let w = Array(w)
    let h = tape.rmsNorm(x, w[0], epsilon: 1e-6)
    let q = tape.linear(h, w[1], bias: w[2]), k = tape.linear(h, w[3], bias: w[4])
    let attended = tape.attention(
      tape.rotary(q, heads: heads, cosine: cosine, sine: sine),
      tape.rotary(k, heads: 1, cosine: cosine, sine: sine), tape.linear(h, w[5], bias: w[6]),
      heads: AttentionHeads(heads: heads, keyValueHeads: 1, size: size), layout: layout)
    let y = tape.add(x, tape.linear(attended, w[7]))
    let m = tape.rmsNorm(y, w[8], epsilon: 1e-6)
    let gated = tape.gatedSiLU(tape.linear(m, w[9]), tape.linear(m, w[10]))
    return tape.add(y, tape.linear(gated, w[11]))
  }

  /// Runs forward and backward; the gradients stay in the parameters.
  func loss(checkpointed: Bool = false) -> Float {
    let tape = Tape(recording: true)
    var x = tape.embedding(ids, parameters[0])
    for index in 0..<2 {
      let weights = parameters[(1 + index * 12)..<(13 + index * 12)]
      x =
        checkpointed
        ? tape.checkpoint(x) { block($0, $1, weights) } : block(tape, x, weights)
    }
    let wanted = (0..<x.count).map { sin(Float($0)) }
    let loss = tape.squaredDistance(x, to: Tensor(wanted, x.shape))
    tape.backward(loss)
    return loss.scalar
  }

  /// The bits of all gradients, then cleared.
  func takeGradients() -> [[Float]] {
    parameters.map { parameter in
      defer { parameter.clearGradient() }
      return parameter.gradient?.array ?? []
    }
  }
}
