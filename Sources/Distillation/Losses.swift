import Failures
import Foundation
import Kernels
import Tensors

/// Vectors v [n, d] together with what the head made of them in one pass: every loss of a layer,
/// against however many teacher layers, starts from here.
public struct SpokenLayer {
  /// [n, d], as products see them.
  public let vectors: Tensor
  public let head: LanguageHead
  /// `expectation` is there when `vectors` needs a gradient.
  public let reading: LanguageHead.Reading
  /// The head as a weight that learns, else nil.
  let trainable: Parameter?

  public var positions: Int { vectors.rows }

  // MARK: Divergence

  /// KL(teacher ‖ this layer) in nats at every position [n].
  /// - Throws: `Failure(.badData)` when the target was not made for these positions and this head.
  public func divergences(from target: SoftTarget) throws -> [Float] {
    try check(target)
    switch target {
    case .exact(let projected, let entropy):
      let d = head.width
      return projected.withUnsafeBufferPointer { c in
        guard let c = c.baseAddress else { return [] }
        return (0..<positions).map { i in
          reading.logSumExp[i] - dot(vectors.values + i * d, c + i * d, d) - entropy[i]
        }
      }
    case .largest(let largest):
      return tails(largest).map(\.divergence)
    }
  }

  /// The mean of `divergences` over the positions: KL(i, j) of Algorithm 1.
  public func divergence(from target: SoftTarget) throws -> Float {
    guard positions > 0 else { return 0 }
    let sum = try divergences(from: target).reduce(0.0) { $0 + Double($1) }
    return Float(sum / Double(positions))
  }

  func check(_ target: SoftTarget) throws {
    var problem: (expected: String, found: String)?
    if target.positions != positions {
      problem = ("\(positions) positions", "\(target.positions)")
    }
    switch target {
    case .exact(let projected, _):
      if projected.count != target.positions * head.width {
        problem = (
          "projections of the student's width \(head.width)",
          "\(projected.count) numbers for \(target.positions) positions"
        )
      }
    case .largest(let largest):
      if let index = largest.indices.first(where: { $0 < 0 || Int($0) >= head.vocabulary }) {
        problem = ("tokens below \(head.vocabulary)", "\(index)")
      }
    }
    if let problem {
      throw Failure(
        .badData, "the soft targets do not fit the student's layer", expected: problem.expected,
        found: problem.found, advice: "Make the targets again for this student and these samples")
    }
  }

  /// One position of the top-k form with its tail.
  struct Tail {
    var divergence: Float = 0
    /// The student's probabilities of the k tokens.
    var q: [Float] = []
    /// tail / q_tail: how much the gradient pulls at the tail, 0 where q_tail vanishes.
    var ratio: Float = 0
    /// The factor of m in the gradient.
    var factor: Float = 0
  }

  /// Below this the student's tail is rounding error of 1 - Σ q.
  private static let leastTail = 1e-6

  /// KL = Σ p (log p - log q) over the k tokens + tail (log tail - log q_tail), whose gradient in v
  /// is (P - r Q) m - Σ (p - r q) W[token], with r = tail / q_tail, P = Σ p, Q = Σ q.
  func tails(_ largest: LanguageHead.Largest) -> [Tail] {
    let k = largest.k
    let d = head.width
    var tails = [Tail](repeating: Tail(), count: positions)
    tails.withUnsafeMutableBufferPointer { tails in
      nonisolated(unsafe) let tails = tails
      parallelFor(positions, grain: 8) { range in
        let row = Buffer(count: d)
        for i in range {
          var tail = Tail()
          var kl = 0.0
          var massP = 0.0
          var massQ = 0.0
          for entry in i * k..<(i + 1) * k {
            head.readRow(largest.indices[entry], to: row.pointer)
            let logQ = Double(dot(vectors.values + i * d, row.pointer, d) - reading.logSumExp[i])
            let p = Double(largest.probabilities[entry])
            tail.q.append(Float(exp(logQ)))
            if p > 0 { kl += p * (log(p) - logQ) }
            massP += p
            massQ += exp(logQ)
          }
          let mass = Double(largest.tail[i])
          let rest = 1 - massQ
          if mass > 0 { kl += mass * (log(mass) - log(max(rest, Self.leastTail))) }
          tail.divergence = Float(kl)
          tail.ratio = rest > Self.leastTail ? Float(mass / rest) : 0
          tail.factor = Float(massP - Double(tail.ratio) * massQ)
          tails[i] = tail
        }
        withExtendedLifetime(row) {}
      }
    }
    return tails
  }
}

/// The table KL(i, j) of Algorithm 1 [t_s, t_l]: one pass over the head for each student layer
/// serves all teacher layers.
/// - Throws: `Failure(.badData)` when a target does not fit its layer.
public func divergenceTable(
  _ student: [SpokenLayer], _ teacher: [SoftTarget]
) throws -> [[Float]] {
  try student.map { layer in try teacher.map { try layer.divergence(from: $0) } }
}

extension LanguageHead {
  /// A view of a weight as it is now: make it again after `Parameter.train`.
  public init(_ parameter: Parameter) {
    self.init(parameter.factor, owner: parameter)
  }
}

extension Tape {
  /// Reads `vectors` [n, d] with a frozen head, cut to the shared vocabulary where need be.
  public func speak(
    _ vectors: Tensor, _ head: LanguageHead, _ wanted: LanguageHead.Wanted = []
  ) -> SpokenLayer {
    speak(vectors, head, wanted, trainable: nil)
  }

  /// Reads `vectors` [n, d] with a head that may learn.
  public func speak(
    _ vectors: Tensor, _ head: Parameter, _ wanted: LanguageHead.Wanted = []
  ) -> SpokenLayer {
    speak(vectors, LanguageHead(head), wanted, trainable: head.trainable ? head : nil)
  }

  private func speak(
    _ vectors: Tensor, _ head: LanguageHead, _ wanted: LanguageHead.Wanted, trainable: Parameter?
  ) -> SpokenLayer {
    precondition(vectors.columns == head.width, "\(vectors.shape) into a head of \(head.width)")
    // The head's pass gives logsumexp of rounded vectors: the logits that are taken from it must be of
    // the same, or a loss could fall below zero, and training would find out how.
    let vectors = vectors.seenByProducts()
    var wanted = wanted
    if recording && vectors.needsGradient { wanted.insert(.expectation) }
    return SpokenLayer(
      vectors: vectors, head: head,
      reading: head.read(vectors.values, positions: vectors.rows, wanted), trainable: trainable)
  }

  /// Σ over positions of logsumexp(W v) - v · W[label], divided by `normaliser` (the number of
  /// positions when nil). One element. The gradient reaches v, m - W[label], and W where it learns.
  /// - Throws: `Failure(.badData)` for a label outside the vocabulary.
  public func crossEntropy(
    _ layer: SpokenLayer, labels: [Int32], normaliser: Float? = nil
  ) throws -> Tensor {
    let v = layer.vectors
    let head = layer.head
    precondition(labels.count == v.rows, "\(labels.count) labels for \(v.shape)")
    let chosen = try head.logits(of: labels, v.values)
    let total = zip(layer.reading.logSumExp, chosen).reduce(0.0) {
      $0 + Double($1.0) - Double($1.1)
    }
    let scale = 1 / (normaliser ?? Float(max(1, v.rows)))
    let loss = result([1], needsGradient: v.needsGradient || layer.trainable != nil)
    loss.values[0] = Float(total) * scale
    record(loss) { upstream in
      let weight = scale * upstream[0]
      let d = head.width
      if let dv = v.gradientSum(), let m = layer.reading.expectation {
        addScaled(m.pointer, weight, to: dv, v.count)
        let row = Buffer(count: d)
        for (i, label) in labels.enumerated() {
          head.readRow(label, to: row.pointer)
          addScaled(row.pointer, -weight, to: dv + i * d, d)
        }
      }
      if let dw = layer.trainable?.gradientSum() {
        head.addCrossEntropyGradient(
          to: dw, v.values, labels: labels, logSumExp: layer.reading.logSumExp,
          weights: [Float](repeating: weight, count: labels.count))
      }
    }
    return loss
  }

  /// `crossEntropy` of vectors [n, d] through a head, frozen or not, in one call.
  public func crossEntropy(
    _ vectors: Tensor, _ head: Parameter, labels: [Int32], normaliser: Float? = nil
  ) throws -> Tensor {
    try crossEntropy(speak(vectors, head), labels: labels, normaliser: normaliser)
  }

  /// Σ over positions of KL(teacher ‖ layer), divided by `normaliser` (the number of positions when
  /// nil). One element. The head is frozen in this step, so the gradient reaches v alone: m - c.
  /// - Throws: `Failure(.badData)` when the target does not fit the layer.
  public func kullbackLeibler(
    _ layer: SpokenLayer, _ target: SoftTarget, normaliser: Float? = nil
  ) throws -> Tensor {
    guard layer.trainable == nil else {
      throw Failure(.software, "soft targets are made for a frozen head, this one learns")
    }
    let v = layer.vectors
    let d = layer.head.width
    let scale = 1 / (normaliser ?? Float(max(1, v.rows)))
    let total = try layer.divergences(from: target).reduce(0.0) { $0 + Double($1) }
    let loss = result([1], needsGradient: v.needsGradient)
    loss.values[0] = Float(total) * scale
    record(loss) { upstream in
      guard let dv = v.gradientSum(), let m = layer.reading.expectation else { return }
      let weight = scale * upstream[0]
      switch target {
      case .exact(let projected, _):
        addScaled(m.pointer, weight, to: dv, v.count)
        projected.withUnsafeBufferPointer { c in
          if let c = c.baseAddress { addScaled(c, -weight, to: dv, v.count) }
        }
      case .largest(let largest):
        let row = Buffer(count: d)
        for (i, tail) in layer.tails(largest).enumerated() {
          addScaled(m.pointer + i * d, weight * tail.factor, to: dv + i * d, d)
          for (rank, q) in tail.q.enumerated() {
            let entry = i * largest.k + rank
            layer.head.readRow(largest.indices[entry], to: row.pointer)
            let pull = largest.probabilities[entry] - tail.ratio * q
            addScaled(row.pointer, -weight * pull, to: dv + i * d, d)
          }
        }
      }
    }
    return loss
  }
}
