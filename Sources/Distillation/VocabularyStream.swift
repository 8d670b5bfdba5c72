import Foundation
import Kernels

/// One pass over a vocabulary for many queries: attention of each query over the rows of `keys`,
/// with an online softmax (Milakov and Gimelshein, "Online normalizer calculation for softmax",
/// 2018; Dao et al., FlashAttention, 2022), so that no more than a panel of logits exists at once.
///
/// With z = keys · v it yields, per position: max z, Σ exp(z - max), and as asked for
/// Σ exp(z - max) (z - max), the index of max z, the k largest z, and Σ exp(z - max) values[row].
/// Each thread takes its own positions and streams the whole vocabulary: no thread waits for
/// another, and a position's result does not depend on its neighbours.
struct VocabularyStream {
  /// Positions that share one product with a panel; bounds the logits held by a thread.
  private static let block = 256
  /// Numbers of a panel: what stays in the cache.
  private static let panelNumbers = 1 << 20
  private static let mostPanelRows = 2048

  let keys: MatrixView
  /// The rows that the softmax averages; nil for none, the keys themselves for METHOD.md's m.
  let values: MatrixView?
  let wantsEntropy: Bool
  let wantsArgmax: Bool
  let largestCount: Int
  /// Whether probabilities enter the average as they are, not rounded: for what is stored.
  var averagesExactly = false

  /// What the pass leaves [positions].
  struct Result {
    var maximum: [Float]
    var sum: [Double]
    var weighted: [Double]
    var argmax: [Int32]
    /// Σ softmax(z) values[row] [positions, values.columns].
    var average: Buffer?
    var largest: [LargestNumbers]

    func logSumExp(_ i: Int) -> Float { Float(Double(maximum[i]) + log(sum[i])) }
    /// -Σ p log p = log Σ exp(z - max) - E[z - max].
    /// No clamp by `max(0, …)`, which makes 0 of NaN.
    func entropy(_ i: Int) -> Float {
      let entropy = log(sum[i]) - weighted[i] / sum[i]
      return Float(entropy < 0 ? 0 : entropy)
    }
  }

  func run(_ queries: UnsafePointer<Float>, positions: Int) -> Result {
    var result = Result(
      maximum: [Float](repeating: -.greatestFiniteMagnitude, count: positions),
      sum: [Double](repeating: 0, count: positions),
      weighted: [Double](repeating: 0, count: positions),
      argmax: [Int32](repeating: 0, count: wantsArgmax ? positions : 0),
      average: values.map { Buffer(zeros: positions * $0.columns) },
      largest: largestCount > 0
        ? Array(repeating: LargestNumbers(count: largestCount), count: positions) : [])
    let multiplier = Multiplier.current
    let factor = multiplier.factor(queries, positions * keys.columns)
    result.maximum.withUnsafeMutableBufferPointer { maximum in
      result.sum.withUnsafeMutableBufferPointer { sum in
        result.weighted.withUnsafeMutableBufferPointer { weighted in
          result.argmax.withUnsafeMutableBufferPointer { argmax in
            result.largest.withUnsafeMutableBufferPointer { largest in
              let state = State(
                maximum: maximum, sum: sum, weighted: weighted, argmax: argmax, largest: largest,
                average: result.average?.pointer)
              parallelFor(positions, grain: 8) { stream(factor, $0, state, multiplier) }
            }
          }
        }
      }
    }
    return result
  }

  private struct State: @unchecked Sendable {
    let maximum: UnsafeMutableBufferPointer<Float>
    let sum: UnsafeMutableBufferPointer<Double>
    let weighted: UnsafeMutableBufferPointer<Double>
    let argmax: UnsafeMutableBufferPointer<Int32>
    let largest: UnsafeMutableBufferPointer<LargestNumbers>
    let average: UnsafeMutablePointer<Float>?
  }

  /// The whole vocabulary for the positions of one thread.
  private func stream(
    _ queries: Factor, _ positions: Range<Int>, _ state: State, _ multiplier: Multiplier
  ) {
    let widest = max(keys.columns, values?.columns ?? 0)
    let rowsOfPanel = max(16, min(Self.panelNumbers / widest, Self.mostPanelRows, keys.rows))
    let sameMatrix = values?.pointer == keys.pointer && values?.columns == keys.columns
    let keyPanels = Panels(keys, rows: rowsOfPanel, multiplier)
    let valuePanels = values.map {
      sameMatrix ? keyPanels : Panels($0, rows: rowsOfPanel, multiplier)
    }
    let weights = FactorPanel(
      averagesExactly ? multiplier.keepingRest : multiplier,
      count: values == nil ? 0 : min(Self.block, positions.count) * rowsOfPanel)
    let logits = Buffer(count: min(Self.block, positions.count) * rowsOfPanel)
    let shifted = Buffer(count: wantsEntropy ? rowsOfPanel : 1)
    defer { withExtendedLifetime((logits, shifted)) {} }

    for start in stride(from: 0, to: keys.rows, by: rowsOfPanel) {
      let rows = start..<min(start + rowsOfPanel, keys.rows)
      let keyPanel = keyPanels[rows]
      let valuePanel = sameMatrix ? keyPanel : valuePanels?[rows]
      for first in stride(from: positions.lowerBound, to: positions.upperBound, by: Self.block) {
        let block = first..<min(first + Self.block, positions.upperBound)
        multiplier.product(
          block.count, rows.count, keys.columns,
          a: queries + first * keys.columns, lda: keys.columns,
          b: keyPanel, ldb: keys.columns, transposeB: true, c: logits.pointer, ldc: rows.count)
        for (line, position) in block.enumerated() {
          fold(
            logits.pointer + line * rows.count, rows, position, state, shifted: shifted.pointer)
        }
        if let values, let valuePanel, let average = state.average {
          multiplier.product(
            block.count, values.columns, rows.count,
            a: weights.fill(logits.pointer, block.count * rows.count), lda: rows.count,
            b: valuePanel, ldb: values.columns,
            beta: 1, c: average + first * values.columns, ldc: values.columns)
        }
      }
    }
    if let values, let average = state.average {
      for position in positions {
        Kernels.scale(
          average + position * values.columns, Float(1 / state.sum[position]), values.columns)
      }
    }
  }

  /// Folds one position's logits of one panel into its running state and leaves exp(z - max) in
  /// their place.
  private func fold(
    _ logits: UnsafeMutablePointer<Float>, _ rows: Range<Int>, _ position: Int, _ state: State,
    shifted: UnsafeMutablePointer<Float>
  ) {
    let before = state.maximum[position]
    let high = Kernels.maximum(logits, rows.count)
    if largestCount > 0 {
      state.largest[position].add(logits, rows, highest: high)
    }
    if high > before {
      if wantsArgmax {
        let index = (0..<rows.count).first { logits[$0] == high } ?? 0
        state.argmax[position] = Int32(rows.lowerBound + index)
      }
      state.maximum[position] = high
      let step = Double(high) - Double(before)
      let shrink = Foundation.exp(-step)
      if wantsEntropy {
        state.weighted[position] =
          (state.weighted[position] - step * state.sum[position]) * shrink
      }
      state.sum[position] *= shrink
      if let values, let average = state.average, rows.lowerBound > 0 {
        Kernels.scale(average + position * values.columns, Float(shrink), values.columns)
      }
    }
    let maximum = state.maximum[position]
    if wantsEntropy {
      for i in 0..<rows.count { shifted[i] = logits[i] - maximum }
    }
    state.sum[position] += Double(exponentiate(logits, minus: maximum, rows.count))
    if wantsEntropy {
      state.weighted[position] += Double(dot(logits, shifted, rows.count))
    }
  }
}
