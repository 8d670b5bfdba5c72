import Foundation
import Kernels
import Testing

/// Layouts of packed attention that must mean the same.
@Suite struct AttentionTests {
  typealias Block = AttentionLayout.Block

  private let heads = AttentionHeads(heads: 4, keyValueHeads: 2, size: 5)
  private let rows = 12
  private let q: [Float], k: [Float], v: [Float]

  init() {
    var draw = Draw(21)
    q = draw.numbers(12 * 20)
    k = draw.numbers(12 * 10)
    v = draw.numbers(12 * 10)
  }

  private func run(_ samples: [[Block]], causal: Bool = true) -> [Float] {
    // Not zeros: what attention leaves unwritten would show.
    let out = Buffer([Float](repeating: .nan, count: rows * 20))
    attention(
      q: q, k: k, v: v, layout: AttentionLayout(samples: samples, causal: causal), heads: heads,
      into: out.pointer)
    return out.array
  }

  @Test func anEmptyPrefixIsNoPrefix() {
    let plain = run([[Block(rows: 0..<7)], [Block(rows: 7..<12)]])
    #expect(plain.allSatisfy { $0.isFinite })
    #expect(
      plain == run([[Block(rows: 0..<7, prefix: 5..<5)], [Block(rows: 7..<12, prefix: 7..<7)]]))
    // Rows of their own sample see nothing of the others.
    let alone = run([[Block(rows: 0..<7)]])
    #expect(Array(alone[..<140]) == Array(plain[..<140]))
  }

  @Test func aPrefixAndItsQuestionAreOneCausalSequence() {
    let whole = run([[Block(rows: 0..<12)]])
    let parts = run([[Block(rows: 0..<5), Block(rows: 5..<12, prefix: 0..<5)]])
    #expect(relativeError(parts, whole.map(Double.init)) < 1e-6)
    // Without causality the prefix does not see its question, so the parts differ from the whole.
    let open = run([[Block(rows: 0..<5), Block(rows: 5..<12, prefix: 0..<5)]], causal: false)
    let openWhole = run([[Block(rows: 0..<12)]], causal: false)
    #expect(relativeError(Array(open[100...]), openWhole[100...].map(Double.init)) < 1e-6)
    #expect(relativeError(Array(open[..<100]), openWhole[..<100].map(Double.init)) > 1e-2)
  }

  /// However the cache is parted into a beginning and what came after it, and of however many rows
  /// are new: more than are looked at at once, too.
  @Test(arguments: [([6, 4], [1, 1]), ([0, 2], [1, 1]), ([0, 0], [7, 5]), ([2, 0], [3, 1])])
  func aCacheGivesTheLastRows(known: [Int], new: [Int]) {
    check(lengths: [7, 5], known: known, new: new)
  }

  @Test func aCacheGivesManyRows() {
    check(lengths: [300, 161, 40], known: [20, 0, 39], new: [257, 161, 1])
  }

  private func check(lengths: [Int], known: [Int], new: [Int]) {
    let n = lengths.reduce(0, +)
    var draw = Draw(22)
    let q = draw.numbers(n * 20), k = draw.numbers(n * 10), v = draw.numbers(n * 10)
    var first = 0
    let sequences = lengths.map { length in
      defer { first += length }
      return first..<first + length
    }
    let whole = Buffer([Float](repeating: .nan, count: n * 20))
    attention(
      q: q, k: k, v: v,
      layout: AttentionLayout(samples: sequences.map { [Block(rows: $0)] }, causal: true),
      heads: heads, into: whole.pointer)
    let wanted = zip(sequences, new).flatMap { Array($0.suffix($1)) }
    func rows(_ x: [Float]) -> [Float] { wanted.flatMap { x[$0 * 20..<$0 * 20 + 20] } }
    let out = Buffer([Float](repeating: .nan, count: wanted.count * 20))
    k.withUnsafeBufferPointer { k in
      v.withUnsafeBufferPointer { v in
        guard let keys = k.baseAddress, let values = v.baseAddress else { return }
        func stretch(_ rows: Range<Int>) -> CachedKeys.Stretch {
          CachedKeys.Stretch(
            keys: keys + rows.lowerBound * 10, values: values + rows.lowerBound * 10,
            length: rows.count)
        }
        let caches = sequences.indices.map { number in
          let rows = sequences[number]
          return CachedKeys(
            beginning: known[number] == 0 ? nil : stretch(rows.prefix(known[number])),
            own: stretch(rows.dropFirst(known[number])), rows: new[number])
        }
        cachedAttention(q: rows(q), caches: caches, heads: heads, into: out.pointer)
      }
    }
    #expect(relativeError(out.array, rows(whole.array).map(Double.init)) < 1e-6)
  }

  @Test func aSingleRowSeesItself() {
    let out = run((0..<12).map { [Block(rows: $0..<$0 + 1)] })
    for row in 0..<12 {
      for head in 0..<4 {
        let own = Array(v[row * 10 + head / 2 * 5..<row * 10 + head / 2 * 5 + 5])
        #expect(Array(out[row * 20 + head * 5..<row * 20 + head * 5 + 5]) == own)
      }
    }
  }

  /// Blocks of more rows than are looked at at once, against the formulas in double precision.
  @Test(arguments: [true, false]) func longBlocksAndTheirGradients(causal: Bool) {
    let heads = AttentionHeads(heads: 2, keyValueHeads: 1, size: 3)
    let n = 420
    let layout = AttentionLayout(
      samples: [
        [Block(rows: 0..<150), Block(rows: 150..<290, prefix: 0..<150)], [Block(rows: 290..<n)],
      ], causal: causal)
    var draw = Draw(5)
    let q = draw.numbers(n * 6), k = draw.numbers(n * 3), v = draw.numbers(n * 3)
    let dOut = draw.numbers(n * 6)
    let found = (out: Buffer(zeros: n * 6), dq: Buffer(zeros: n * 6), dk: Buffer(zeros: n * 3))
    let dv = Buffer(zeros: n * 3)
    attention(q: q, k: k, v: v, layout: layout, heads: heads, into: found.out.pointer)
    attentionBackward(
      q: q, k: k, v: v, layout: layout, heads: heads, outGradient: dOut,
      qGradient: found.dq.pointer, kGradient: found.dk.pointer, vGradient: dv.pointer)

    var out = [Double](repeating: 0, count: n * 6)
    var exact = (dq: out, dk: [Double](repeating: 0, count: n * 3))
    var exactDV = exact.dk
    for block in layout.samples.flatMap({ $0 }) {
      for row in block.rows {
        let keys =
          Array(block.prefix)
          + (causal ? Array(block.rows.lowerBound...row) : Array(block.rows))
        for head in 0..<2 {
          func dot(_ a: [Float], _ i: Int, _ b: [Float], _ j: Int) -> Double {
            (0..<3).reduce(0) { $0 + Double(a[i + $1]) * Double(b[j + $1]) }
          }
          let at = row * 6 + head * 3, scale = 1 / 3.0.squareRoot()
          let weights = keys.map { exp(dot(q, at, k, $0 * 3) * scale) }
          let sum = weights.reduce(0, +)
          let p = weights.map { $0 / sum }, dp = keys.map { dot(dOut, at, v, $0 * 3) }
          let mean = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
          for (place, key) in keys.enumerated() {
            let ds = p[place] * (dp[place] - mean) * scale
            for c in 0..<3 {
              out[at + c] += p[place] * Double(v[key * 3 + c])
              exactDV[key * 3 + c] += p[place] * Double(dOut[at + c])
              exact.dq[at + c] += ds * Double(k[key * 3 + c])
              exact.dk[key * 3 + c] += ds * Double(q[at + c])
            }
          }
        }
      }
    }
    for (found, exact) in [
      (found.out, out), (found.dq, exact.dq), (found.dk, exact.dk), (dv, exactDV),
    ] { #expect(relativeError(found.array, exact) < 1e-5) }
  }
}
