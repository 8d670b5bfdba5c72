import Failures
import Kernels
import Tensors

/// One term of the interaction's loss: what a student layer is to learn, how much it counts, and at
/// which temperature both sides speak (METHOD.md's ablation of losses).
///
/// With z the student's logits, y the teacher's, q and p their softmax at temperature T, per
/// position and averaged over the supervised positions:
///
/// | kind | value | needs |
/// |---|---|---|
/// | ce | -log softmax(z)[label], at temperature 1 | labels |
/// | kl | T² KL(p ‖ q) | any targets |
/// | reverse-kl | T² KL(q ‖ p) | the teacher's vectors |
/// | jensen-shannon | T² (KL(p ‖ m) + KL(q ‖ m)) / 2, m = (p + q) / 2 | the teacher's vectors |
/// | l2 | mean over the vocabulary of (z - y)² | the teacher's vectors |
///
/// T² keeps the gradients' size as T changes (Hinton, Vinyals, Dean 2015, section 2); l2 does not
/// depend on T. Our reading of the paper's L2: the distance between what two verbalizers put out,
/// logits through a language head, vectors where there is none (torch's `mse_loss` of either).
public struct LossTerm: Sendable, Equatable {
  public enum Kind: String, Sendable, CaseIterable {
    case none
    /// The labels, no teacher.
    case crossEntropy = "ce"
    /// The paper's.
    case kullbackLeibler = "kl"
    case reverseKullbackLeibler = "reverse-kl"
    case jensenShannon = "jensen-shannon"
    case squared = "l2"

    /// Whether it compares with a layer of the teacher.
    public var needsTeacher: Bool { self != .none && self != .crossEntropy }
    /// Whether it needs all of the teacher's logits, where c = Wᵀp and H(p) do not do.
    public var needsVectors: Bool { needsTeacher && self != .kullbackLeibler }

    var distance: LogitDistance? {
      switch self {
      case .reverseKullbackLeibler: .reverseKullbackLeibler
      case .jensenShannon: .jensenShannon
      case .squared: .squared
      case .none, .crossEntropy, .kullbackLeibler: nil
      }
    }
  }

  public var kind: Kind
  public var weight: Double
  public var temperature: Float

  public init(_ kind: Kind, weight: Double = 1, temperature: Float = 1) {
    self.kind = kind
    self.weight = weight
    self.temperature = temperature
  }

  /// Whether it takes part at all.
  public var counts: Bool { kind != .none && weight > 0 }

  /// Reads a student layer's vectors [n, d] with the head, at the temperature of this loss.
  public func speak(_ tape: Tape, _ vectors: Tensor, _ head: LanguageHead) -> SpokenLayer {
    guard kind.needsTeacher, temperature != 1 else { return tape.speak(vectors, head) }
    return tape.speak(tape.scaled(vectors, by: 1 / temperature), head)
  }

  /// The weighted loss of one student layer: the sum over its positions over `normaliser`.
  /// - Parameters:
  ///   - layer: from `speak`
  ///   - labels: the tokens to be said [n]
  ///   - teacher: what a teacher layer says; nil for a loss that needs none
  /// - Throws: `Failure(.badData)` when labels or targets do not fit the layer.
  public func callAsFunction(
    _ tape: Tape, _ layer: SpokenLayer, labels: [Int32], teacher: TeacherLayer?, normaliser: Float
  ) throws -> Tensor {
    // Both the weight and T² go into what the sum is divided by.
    var normaliser = normaliser / Float(weight)
    if kind == .crossEntropy || kind == .none {
      return try tape.crossEntropy(layer, labels: labels, normaliser: normaliser)
    }
    guard let teacher else { throw Failure(.software, "a loss without its teacher layer") }
    if temperature != 1 { normaliser /= temperature * temperature }
    guard let distance = kind.distance else {
      return try tape.kullbackLeibler(layer, teacher.soft(), normaliser: normaliser)
    }
    return try tape.distance(
      distance, layer, teacher.vectors(), head: teacher.head(), normaliser: normaliser)
  }
}

extension LossTerm {
  /// The weighted loss of a student layer without a language head: the sum over positions of the
  /// mean over the teacher's d of (x - u)², over `normaliser`.
  /// - Parameters:
  ///   - vectors: what the layer puts out, widened to the teacher's d [n, d of the teacher]
  ///   - teacher: stored over the temperature, which means nothing without a softmax
  /// - Throws: `Failure(.badData)` when the two have different shapes.
  public func callAsFunction(
    _ tape: Tape, _ vectors: Tensor, teacher: TeacherVectors, normaliser: Float
  ) throws -> Tensor {
    guard vectors.shape == [teacher.positions, teacher.width] else {
      throw Failure(
        .badData, "the teacher's vectors have another shape than the student's",
        expected: "\(vectors.shape)", found: "[\(teacher.positions), \(teacher.width)]",
        advice: "Make the targets again for this student and these samples")
    }
    let fixed = Tensor(teacher.values, vectors.shape)
    if temperature != 1 { Kernels.scale(fixed.values, temperature, fixed.count) }
    return tape.squaredDistance(
      vectors, to: fixed, normaliser: normaliser / Float(weight) * Float(vectors.columns))
  }
}

extension Tape {
  /// Σ over positions of a distance between the layer's logits and the teacher's, divided by
  /// `normaliser` (the number of positions when nil); the squared one is averaged over the
  /// vocabulary. One element. Both heads are frozen, so the gradient reaches v alone; it is made in
  /// the forward pass, where the logits are at hand.
  /// - Parameter head: the teacher's, cut to the rows of the layer's.
  /// - Throws: `Failure(.badData)` when the teacher's side does not fit the layer.
  public func distance(
    _ distance: LogitDistance, _ layer: SpokenLayer, _ teacher: TeacherVectors,
    head: LanguageHead, normaliser: Float? = nil
  ) throws -> Tensor {
    guard layer.trainable == nil else {
      throw Failure(.software, "soft targets are made for a frozen head, this one learns")
    }
    let v = layer.vectors
    guard teacher.positions == v.rows, teacher.width == head.width || v.rows == 0,
      head.vocabulary == layer.head.vocabulary
    else {
      throw Failure(
        .badData, "the teacher's vectors do not fit the student's layer",
        expected: "\(v.rows) positions of width \(head.width), \(layer.head.vocabulary) tokens",
        found: "\(teacher.positions) of width \(teacher.width), \(head.vocabulary) tokens",
        advice: "Make the targets again for this student and these samples")
    }
    let stream = DistanceStream(
      distance: distance, student: layer.head.matrix, teacher: head.matrix)
    let result = teacher.values.withUnsafeBufferPointer { u in
      withExtendedLifetime((layer.head, head)) {
        u.baseAddress.map {
          stream.run(
            DistanceStream.Side(vectors: v.values, logSumExp: layer.reading.logSumExp),
            DistanceStream.Side(vectors: $0, logSumExp: teacher.logSumExp),
            positions: v.rows, gradient: recording && v.needsGradient)
        }
      }
    }
    var scale = 1 / (normaliser ?? Float(max(1, v.rows)))
    if case .squared = distance { scale /= Float(head.vocabulary) }
    let loss = self.result([1], needsGradient: v.needsGradient)
    loss.values[0] = Float(result?.values.reduce(0, +) ?? 0) * scale
    record(loss) { upstream in
      guard let result, let average = result.average, let dv = v.gradientSum() else { return }
      let weight = scale * upstream[0]
      addScaled(average.pointer, weight, to: dv, v.count)
      guard let m = layer.reading.expectation else { return }
      let d = v.columns
      for i in 0..<v.rows where result.pulls[i] != 0 {
        addScaled(m.pointer + i * d, -weight * Float(result.pulls[i]), to: dv + i * d, d)
      }
    }
    return loss
  }
}
