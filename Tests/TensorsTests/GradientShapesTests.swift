import Foundation
import Kernels
import Tensors
import Testing

/// The gradients again over widths around the eight lanes, one row and many, and the layouts that
/// training packs.
@Suite struct GradientShapesTests {
  typealias Block = AttentionLayout.Block

  @Test(arguments: [(1, 1, 1), (1, 8, 9), (9, 16, 8), (3, 31, 5), (17, 7, 24)])
  func linear(rows: Int, inner: Int, outer: Int) {
    checkGradients(input: [[rows, inner]], weights: [[outer, inner], [outer]], seed: 3) {
      $0.linear($1[0], $2[0], bias: $2[1])
    }
    checkGradients(input: [[rows, inner]], weights: [[outer, inner]], seed: 4) {
      $0.linear($1[0], $2[0])
    }
  }

  @Test(arguments: [(1, 5), (2, 8), (5, 17), (3, 33)]) func rowOps(rows: Int, columns: Int) {
    let shape = [rows, columns]
    checkGradients(input: [shape], weights: [[columns]]) {
      $0.rmsNorm($1[0], $2[0], epsilon: 1e-5)
    }
    checkGradients(input: [shape], weights: [[columns], [columns]]) {
      $0.layerNorm($1[0], $2[0], bias: $2[1], epsilon: 1e-5)
    }
    checkGradients(input: [shape, shape]) { tape, x, _ in tape.gatedSiLU(x[0], x[1]) }
    checkGradients(input: [shape]) { tape, x, _ in tape.silu(x[0]) }
    checkGradients(input: [shape]) { tape, x, _ in tape.quickGELU(x[0]) }
    checkGradients(input: [shape]) { tape, x, _ in tape.gelu(x[0]) }
    checkGradients(input: [shape, shape]) { tape, x, _ in tape.add(x[0], x[1], alpha: 2.5) }
    checkGradients(input: [shape]) { tape, x, _ in tape.scaled(x[0], by: -3) }
    checkGradients(input: [shape]) { tape, x, _ in tape.columns(x[0], 1..<columns - 1) }
  }

  @Test func oneInputInBothPlaces() {
    checkGradients(input: [[3, 11]]) { tape, x, _ in tape.gatedSiLU(x[0], x[0]) }
    checkGradients(input: [[3, 11]]) { tape, x, _ in tape.add(x[0], x[0], alpha: -0.25) }
    let layout = AttentionLayout(samples: [[Block(rows: 0..<5)]], causal: true)
    checkGradients(input: [[5, 6]]) { tape, x, _ in
      tape.attention(
        x[0], x[0], x[0], heads: AttentionHeads(heads: 2, keyValueHeads: 2, size: 3),
        layout: layout)
    }
  }

  @Test(arguments: [(1, 2), (3, 8), (2, 18)]) func rotary(heads: Int, size: Int) {
    var draw = Draw(6)
    let angles = draw.numbers(4 * size / 2)
    let cosine = Tensor(angles.map { cos($0) }, [4, size / 2])
    let sine = Tensor(angles.map { sin($0) }, [4, size / 2])
    checkGradients(input: [[4, heads * size]]) { tape, x, _ in
      tape.rotary(x[0], heads: heads, cosine: cosine, sine: sine)
    }
  }

  @Test(arguments: [true, false]) func attention(causal: Bool) {
    // Three samples of different forms: one row, a sequence, questions behind a prefix.
    let layout = AttentionLayout(
      samples: [
        [Block(rows: 0..<1)], [Block(rows: 1..<10)],
        [
          Block(rows: 10..<13), Block(rows: 13..<22, prefix: 10..<13),
          Block(rows: 22..<24, prefix: 10..<13), Block(rows: 24..<25, prefix: 10..<13),
        ],
      ], causal: causal)
    for (heads, keyValueHeads, size) in [(1, 1, 8), (2, 2, 5), (4, 2, 4), (3, 1, 6)] {
      let shape = AttentionHeads(heads: heads, keyValueHeads: keyValueHeads, size: size)
      let key = [25, keyValueHeads * size]
      checkGradients(input: [[25, heads * size], key, key], seed: 11) { tape, x, _ in
        tape.attention(x[0], x[1], x[2], heads: shape, layout: layout)
      }
      // Only the values learn: the spare gradients of the others go nowhere.
      var draw = Draw(2)
      let q = Tensor(draw.numbers(25 * heads * size), [25, heads * size])
      let k = Tensor(draw.numbers(key[0] * key[1]), key)
      checkGradients(input: [key], seed: 12) { tape, x, _ in
        tape.attention(q, k, x[0], heads: shape, layout: layout)
      }
    }
  }

  @Test func rowsThatRepeatAndRowsThatStay() {
    checkGradients(input: [], weights: [[7, 9]]) { tape, _, w in
      tape.embedding([6, 6, 0, 6, 2, 0], w[0])
    }
    checkGradients(input: [[5, 9]]) { tape, x, _ in tape.gatherRows(x[0], [4, 4, 4, 0]) }
    checkGradients(input: [[5, 9], [5, 9]]) { tape, x, _ in
      tape.replaceRows(x[0], at: [4, 2, 0, 1, 3], by: x[1])
    }
    // The replaced tensor is used again after, so its gradient must not be spoilt.
    checkGradients(input: [[5, 9], [2, 9]]) { tape, x, _ in
      let y = tape.scaled(x[0], by: 2)
      return tape.add(tape.replaceRows(y, at: [1, 3], by: x[1]), y)
    }
  }

  /// A sign or an argument that was dropped would leave the outputs alike.
  @Test func oppositeInputsDiffer() {
    var draw = Draw(8)
    let x = draw.numbers(4 * 12), w = draw.numbers(12 * 12)
    let one = Tensor(x, [4, 12]), other = Tensor(x.map { -$0 }, [4, 12])
    let weight = Parameter("w", shape: [12, 12], values: w)
    let row = Parameter("row", shape: [12], values: Array(w[..<12]))
    let flat = Parameter("flat", shape: [12], values: [Float](repeating: 0.5, count: 12))
    let angle = Tensor(draw.numbers(4 * 3), [4, 3])
    let heads = AttentionHeads(heads: 2, keyValueHeads: 2, size: 6)
    let layout = AttentionLayout(samples: [[Block(rows: 0..<4)]], causal: true)
    let tape = Tape(recording: false)
    let ops: [(String, (Tensor) -> Tensor)] = [
      ("linear", { tape.linear($0, weight, bias: row) }),
      ("add", { tape.add(one, $0, alpha: 0.5) }),
      ("columns", { tape.columns($0, 2..<5) }),
      ("distance", { tape.squaredDistance($0, to: one) }),
      ("scaled", { tape.scaled($0, by: 2) }),
      ("rmsNorm", { tape.rmsNorm($0, row, epsilon: 1e-6) }),
      ("layerNorm", { tape.layerNorm($0, row, bias: flat, epsilon: 1e-6) }),
      ("gate", { tape.gatedSiLU($0, one) }), ("up", { tape.gatedSiLU(one, $0) }),
      ("silu", { tape.silu($0) }), ("quickGELU", { tape.quickGELU($0) }),
      ("gelu", { tape.gelu($0) }),
      ("rotary", { tape.rotary($0, heads: 2, cosine: angle, sine: angle) }),
      ("queries", { tape.attention($0, one, one, heads: heads, layout: layout) }),
      ("keys", { tape.attention(one, $0, one, heads: heads, layout: layout) }),
      ("values", { tape.attention(one, one, $0, heads: heads, layout: layout) }),
      ("gather", { tape.gatherRows($0, [1, 1]) }),
      ("replace", { tape.replaceRows($0, at: [0, 1, 2], by: tape.gatherRows(one, [0, 1, 2])) }),
      ("source", { tape.replaceRows(one, at: [2], by: tape.gatherRows($0, [2])) }),
    ]
    for (name, op) in ops {
      let difference = zip(op(one).array, op(other).array).map { abs($0 - $1) }.max() ?? 0
      #expect(difference > 1e-2, "\(name) does not see the sign")
    }
  }
}
