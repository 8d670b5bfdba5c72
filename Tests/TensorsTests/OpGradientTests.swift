import Foundation
import Kernels
import Tensors
import Testing

/// Every op's gradient is the derivative of what it computes. The shapes are no multiples of a
/// vector's eight lanes, so that the loops' ends are met.
@Suite struct OpGradientTests {
  @Test func linear() {
    checkGradients(input: [[5, 11]], weights: [[7, 11], [7]]) { tape, x, w in
      tape.linear(x[0], w[0], bias: w[1])
    }
    // The same input twice: gradients add up.
    checkGradients(input: [[3, 9]], weights: [[9, 9]]) { tape, x, w in
      tape.add(tape.linear(x[0], w[0]), tape.linear(x[0], w[0]), alpha: 0.5)
    }
  }

  @Test func elementwise() {
    checkGradients(input: [[3, 13], [3, 13]]) { tape, x, _ in tape.add(x[0], x[1], alpha: -1.5) }
    checkGradients(input: [[3, 13], [3, 13]]) { tape, x, _ in tape.gatedSiLU(x[0], x[1]) }
    checkGradients(input: [[3, 13]]) { tape, x, _ in tape.silu(x[0]) }
    checkGradients(input: [[3, 13]]) { tape, x, _ in tape.quickGELU(x[0]) }
    checkGradients(input: [[3, 13]]) { tape, x, _ in tape.gelu(x[0]) }
    checkGradients(input: [[3, 13]]) { tape, x, _ in tape.geluTanh(x[0]) }
    checkGradients(input: [[3, 13]]) { tape, x, _ in tape.scaled(x[0], by: 0.7) }
  }

  @Test func onlyOneSideLearns() {
    // A side that wants no gradient must not get one, nor keep the other from its own.
    let fixed = Tensor([Float](repeating: 0.3, count: 26), [2, 13])
    checkGradients(input: [[2, 13]]) { tape, x, _ in tape.gatedSiLU(x[0], fixed) }
    checkGradients(input: [[2, 13]]) { tape, x, _ in tape.gatedSiLU(fixed, x[0]) }
    checkGradients(input: [[2, 13]]) { tape, x, _ in tape.add(fixed, x[0]) }
  }

  @Test func normalisation() {
    checkGradients(input: [[4, 11]], weights: [[11]]) { tape, x, w in
      tape.rmsNorm(x[0], w[0], epsilon: 1e-6)
    }
    checkGradients(input: [[4, 11]], weights: [[11], [11]]) { tape, x, w in
      tape.layerNorm(x[0], w[0], bias: w[1], epsilon: 1e-6)
    }
  }

  @Test func rows() {
    checkGradients(input: [[4, 10]]) { tape, x, _ in tape.columns(x[0], 3..<9) }
    checkGradients(input: [[4, 3]]) { tape, x, _ in tape.gatherRows(x[0], [2, 0, 2, 3]) }
    checkGradients(input: [[5, 3], [2, 3]]) { tape, x, _ in
      tape.replaceRows(x[0], at: [1, 4], by: x[1])
    }
    checkGradients(input: [], weights: [[6, 5]]) { tape, _, w in
      tape.embedding([3, 0, 3, 5], w[0])
    }
    let target = Tensor((0..<12).map { Float($0) / 7 }, [4, 3])
    checkGradients(input: [[4, 3]]) { tape, x, _ in tape.squaredDistance(x[0], to: target) }
    checkGradients(input: [[4, 3]]) { tape, x, _ in
      tape.squaredDistance(x[0], to: target, normaliser: 9)
    }
  }

  @Test func rowsOfSeveral() {
    checkGradients(input: [[5, 3], [2, 3]]) { tape, x, _ in
      tape.addRows(x[0], at: [3, 0], x[1])
    }
    // A row that is tapped twice, and one that nobody taps.
    checkGradients(input: [[4, 3]]) { tape, x, _ in
      tape.weightedRows(x[0], [[(0, 0.5), (2, -1.5)], [], [(2, 2)]])
    }
    checkGradients(input: [[2, 3], [1, 3]], weights: [[3]]) { tape, x, w in
      tape.stacked([x[0], tape.row(w[0]), x[1], x[0]])
    }
    checkGradients(input: [[3, 2], [3, 5]]) { tape, x, _ in
      tape.sideBySide([x[0], x[1], x[0]])
    }
  }

  @Test func rotary() {
    var draw = Draw(5)
    let angles = draw.numbers(5 * 3)
    let cosine = Tensor(angles.map { cos($0) }, [5, 3])
    let sine = Tensor(angles.map { sin($0) }, [5, 3])
    checkGradients(input: [[5, 12]]) { tape, x, _ in
      tape.rotary(x[0], heads: 2, cosine: cosine, sine: sine)
    }
  }

  /// Two query heads for a key/value head, three blocks: one alone, two behind a shared prefix.
  @Test(arguments: [true, false]) func attention(causal: Bool) {
    typealias Block = AttentionLayout.Block
    let layout = AttentionLayout(
      samples: [
        [Block(rows: 0..<4)],
        [
          Block(rows: 4..<7), Block(rows: 7..<9, prefix: 4..<7),
          Block(rows: 9..<12, prefix: 4..<7),
        ],
      ], causal: causal)
    let heads = AttentionHeads(heads: 4, keyValueHeads: 2, size: 3)
    checkGradients(input: [[12, 12], [12, 6], [12, 6]]) { tape, x, _ in
      tape.attention(x[0], x[1], x[2], heads: heads, layout: layout)
    }
  }

  @Test func checkpointing() {
    // A block computed again gives the gradients of the block itself.
    checkGradients(input: [[3, 9]], weights: [[9, 9], [9]]) { tape, x, w in
      tape.checkpoint(tape.scaled(x[0], by: 0.5)) { tape, x in
        tape.add(x, tape.gelu(tape.linear(tape.rmsNorm(x, w[1], epsilon: 1e-6), w[0])))
      }
    }
  }

  /// Against the dense definition: softmax over the rows that may be seen.
  @Test(arguments: [true, false]) func attentionIsTheDenseFormula(causal: Bool) {
    let rows = 9, prefix = 0..<3, heads = 2, size = 5
    let blocks = [(0..<3, 0..<0), (3..<6, prefix), (6..<9, prefix)]
    var draw = Draw(9)
    let q = draw.numbers(rows * heads * size), k = draw.numbers(rows * size)
    let v = draw.numbers(rows * size)
    let layout = AttentionLayout(
      samples: [blocks.map { AttentionLayout.Block(rows: $0.0, prefix: $0.1) }], causal: causal)
    let found = Tape(recording: false).attention(
      Tensor(q, [rows, heads * size]), Tensor(k, [rows, size]), Tensor(v, [rows, size]),
      heads: AttentionHeads(heads: heads, keyValueHeads: 1, size: size), layout: layout
    ).array
    for (own, shared) in blocks {
      for row in own {
        let visible = Array(shared) + own.filter { !causal || $0 <= row }
        for head in 0..<heads {
          let scores = visible.map { key -> Double in
            let products = (0..<size).map {
              Double(q[(row * heads + head) * size + $0]) * Double(k[key * size + $0])
            }
            return exp(products.reduce(0, +) / Double(size).squareRoot())
          }
          let total = scores.reduce(0, +)
          for column in 0..<size {
            let dense = zip(visible, scores).reduce(0.0) {
              $0 + $1.1 / total * Double(v[$1.0 * size + column])
            }
            #expect(abs(dense - Double(found[(row * heads + head) * size + column])) < 2e-6)
          }
        }
      }
    }
  }
}
