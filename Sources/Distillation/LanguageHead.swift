import Failures
import Foundation
import Kernels
import Models

/// A backbone's language head W [V, d], as it lies in memory or in a mapped checkpoint, and the
/// passes over its vocabulary that the method needs (METHOD.md, "Exact KL without logits").
///
/// None of them ever holds more than a panel of logits. Their cost is that of the products: two of
/// a panel where an expectation is wanted, one elsewhere.
public struct LanguageHead: @unchecked Sendable {
  public let matrix: MatrixView
  private let owner: AnyObject?

  /// Rows, one a token.
  public var vocabulary: Int { matrix.rows }
  /// The backbone's width d.
  public var width: Int { matrix.columns }

  /// - Parameter owner: keeps the memory that `matrix` points into alive.
  public init(_ matrix: MatrixView, owner: AnyObject?) {
    self.matrix = matrix
    self.owner = owner
  }

  /// The head of a checkpoint, its word embedding where the two are tied; mapped, not read.
  /// - Throws: `Failure(.badData)` when it is missing or has another shape than the config says.
  public init(_ checkpoint: Checkpoint) throws {
    let text = checkpoint.config.text
    let tensor = try checkpoint.tensor(
      checkpoint.config.tensorNames.head, shape: [text.vocabularySize, text.hiddenSize])
    self.init(
      MatrixView(
        tensor.pointer, type: tensor.type, rows: text.vocabularySize, columns: text.hiddenSize),
      owner: tensor.owner)
  }

  /// The head cut to the first `rows` tokens: the vocabulary that teacher and student share.
  /// - Throws: `Failure(.badData)` when it has fewer.
  public func prefix(_ rows: Int) throws -> LanguageHead {
    guard rows > 0, rows <= vocabulary else {
      throw Failure(
        .badData, "the language head cannot be cut", expected: "1 to \(vocabulary) rows",
        found: "\(rows)")
    }
    return LanguageHead(
      MatrixView(matrix.pointer, type: matrix.type, rows: rows, columns: width), owner: owner)
  }

  // MARK: Reading

  public struct Wanted: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }
    /// m = Wᵀ softmax(W v).
    public static let expectation = Wanted(rawValue: 1)
    /// H(softmax(W v)).
    public static let entropy = Wanted(rawValue: 2)
    /// The token with the largest logit, the lowest of equal ones.
    public static let argmax = Wanted(rawValue: 4)
  }

  /// What a position's vector says through the head; arrays that were not asked for are empty.
  public struct Reading {
    /// [n]
    public var logSumExp: [Float]
    /// m = Wᵀ softmax(W v) [n, d]
    public var expectation: Buffer?
    /// In nats [n].
    public var entropy: [Float]
    /// [n]
    public var argmax: [Int32]
  }

  /// One pass of `vectors` [positions, d] over the head.
  public func read(
    _ vectors: UnsafePointer<Float>, positions: Int, _ wanted: Wanted = []
  ) -> Reading {
    let stream = VocabularyStream(
      keys: matrix, values: wanted.contains(.expectation) ? matrix : nil,
      wantsEntropy: wanted.contains(.entropy), wantsArgmax: wanted.contains(.argmax),
      largestCount: 0)
    let result = stream.run(vectors, positions: positions)
    withExtendedLifetime(owner) {}
    return Reading(
      logSumExp: (0..<positions).map(result.logSumExp), expectation: result.average,
      entropy: wanted.contains(.entropy) ? (0..<positions).map(result.entropy) : [],
      argmax: result.argmax)
  }

  /// W[token] [d], as products see it.
  func readRow(_ token: Int32, to row: UnsafeMutablePointer<Float>) {
    matrix.widen(rows: Int(token)..<Int(token) + 1, columns: 0..<width, to: row)
    guard matrix.type != .bfloat16, let seen = Multiplier.current.seen(row, width) else { return }
    row.update(from: seen.pointer, count: width)
  }

  /// v · W[label] for every position [n], of vectors as products see them.
  /// - Throws: `Failure(.badData)` for a label outside the vocabulary.
  public func logits(
    of labels: [Int32], _ vectors: UnsafePointer<Float>
  ) throws -> [Float] {
    try check(labels)
    let row = Buffer(count: width)
    return labels.enumerated().map { i, label in
      readRow(label, to: row.pointer)
      return dot(vectors + i * width, row.pointer, width)
    }
  }

  /// - Throws: `Failure(.badData)` naming the first label outside the vocabulary.
  public func check(_ labels: [Int32]) throws {
    if let i = labels.firstIndex(where: { $0 < 0 || Int($0) >= vocabulary }) {
      throw Failure(
        .badData, "a label is not a token of the language head", at: "position \(i)",
        expected: "0 to \(vocabulary - 1)", found: "\(labels[i])")
    }
  }

  // MARK: Targets

  /// A teacher's distribution p = softmax(W v) brought to the student's width [n positions].
  public struct Projection {
    /// c = Wᵀ_student p [n, d of the student]
    public var projected: Buffer
    /// H(p) in nats [n]
    public var entropy: [Float]
    /// Of the teacher's logits [n]
    public var logSumExp: [Float]
  }

  /// The exact targets of METHOD.md: this head speaks for the teacher's `vectors`
  /// [positions, d], and its distribution is averaged over the rows of the student's head.
  /// - Throws: `Failure(.badData)` when the two heads were not cut to the same rows.
  public func project(
    _ vectors: UnsafePointer<Float>, positions: Int, through student: LanguageHead
  ) throws -> Projection {
    guard student.vocabulary == vocabulary else {
      throw Failure(
        .badData, "the heads differ in vocabulary",
        expected: "\(vocabulary) rows of the student's head", found: "\(student.vocabulary)",
        advice: "Cut both to the tokens that they share")
    }
    let stream = VocabularyStream(
      keys: matrix, values: student.matrix, wantsEntropy: true, wantsArgmax: false,
      largestCount: 0, averagesExactly: true)
    let result = stream.run(vectors, positions: positions)
    withExtendedLifetime((owner, student.owner)) {}
    return Projection(
      projected: result.average ?? Buffer(zeros: 0),
      entropy: (0..<positions).map(result.entropy),
      logSumExp: (0..<positions).map(result.logSumExp))
  }

  /// A distribution by its k largest probabilities and the mass of the rest [n positions].
  public struct Largest: Sendable, Equatable {
    public var k: Int
    /// From the largest probability to the smallest [n, k].
    public var indices: [Int32]
    /// [n, k]
    public var probabilities: [Float]
    /// 1 minus the k probabilities [n].
    public var tail: [Float]
    /// H(p) of the whole distribution in nats [n].
    public var entropy: [Float]
  }

  /// The k largest probabilities of softmax(W v) for `vectors` [positions, d].
  /// - Throws: `Failure(.badPreset)` when k is not in 1 ... V.
  public func largest(
    _ k: Int, _ vectors: UnsafePointer<Float>, positions: Int
  ) throws -> Largest {
    guard k > 0, k <= vocabulary else {
      throw Failure(
        .badPreset, "the number of stored probabilities does not fit the vocabulary",
        expected: "1 to \(vocabulary)", found: "\(k)")
    }
    let stream = VocabularyStream(
      keys: matrix, values: nil, wantsEntropy: true, wantsArgmax: false, largestCount: k)
    let result = stream.run(vectors, positions: positions)
    withExtendedLifetime(owner) {}
    var largest = Largest(k: k, indices: [], probabilities: [], tail: [], entropy: [])
    for i in 0..<positions {
      let entries = result.largest[i].descending
      let p = entries.map { exp(Double($0.value - result.maximum[i])) / result.sum[i] }
      largest.indices += entries.map(\.index)
      largest.probabilities += p.map { Float($0) }
      let tail = 1 - p.reduce(0, +)
      // Not `max(0, tail)`, which makes 0 of NaN.
      largest.tail.append(Float(tail < 0 ? 0 : tail))
      largest.entropy.append(result.entropy(i))
    }
    return largest
  }

  // MARK: Gradient of a trainable head

  /// Adds the head's gradient of Σ weights[i] · CE(i) to `gradient` [V, d]: the logits are made
  /// again panel by panel, (softmax(z) - onehot(label)) ⊗ v summed over the positions.
  /// - Parameters:
  ///   - logSumExp: of `read` for the same vectors [n]
  ///   - weights: the gradient of the loss in each position's cross-entropy [n]
  public func addCrossEntropyGradient(
    to gradient: UnsafeMutablePointer<Float>, _ vectors: UnsafePointer<Float>,
    labels: [Int32], logSumExp: [Float], weights: [Float]
  ) {
    let positions = labels.count
    let block = 256
    let multiplier = Multiplier.current
    let factor = multiplier.factor(vectors, positions * width)
    parallelFor(vocabulary, grain: 64) { range in
      let rowsOfPanel = max(16, min((1 << 20) / width, 2048, range.count))
      let panels = Panels(matrix, rows: rowsOfPanel, multiplier)
      let logits = Buffer(count: min(block, positions) * rowsOfPanel)
      let pulls = FactorPanel(multiplier, count: logits.count)
      defer { withExtendedLifetime(logits) {} }
      for start in stride(from: range.lowerBound, to: range.upperBound, by: rowsOfPanel) {
        let rows = start..<min(start + rowsOfPanel, range.upperBound)
        let panel = panels[rows]
        for first in stride(from: 0, to: positions, by: block) {
          let count = min(block, positions - first)
          multiplier.product(
            count, rows.count, width, a: factor + first * width, lda: width,
            b: panel, ldb: width, transposeB: true, c: logits.pointer, ldc: rows.count)
          for line in 0..<count {
            let z = logits.pointer + line * rows.count
            _ = exponentiate(z, minus: logSumExp[first + line], rows.count)
            let label = Int(labels[first + line])
            if rows.contains(label) { z[label - start] -= 1 }
            Kernels.scale(z, weights[first + line], rows.count)
          }
          multiplier.product(
            rows.count, width, count, a: pulls.fill(logits.pointer, count * rows.count),
            lda: rows.count, transposeA: true, b: factor + first * width, ldb: width,
            beta: 1, c: gradient + start * width, ldc: width)
        }
      }
    }
    withExtendedLifetime(owner) {}
  }
}
