import Failures

/// What one teacher layer says at n positions, in a form that needs neither the teacher nor its
/// logits any more (METHOD.md, "Exact KL without logits").
public enum SoftTarget: Sendable, Equatable {
  /// c = Wᵀ p [n, d of the student] and H(p) in nats [n].
  case exact(projected: [Float], entropy: [Float])
  /// The k largest probabilities and the mass of the rest.
  case largest(LanguageHead.Largest)

  /// n
  public var positions: Int {
    switch self {
    case .exact(_, let entropy): entropy.count
    case .largest(let largest): largest.tail.count
    }
  }

  /// The entropy of the teacher's whole distribution in nats [n].
  public var entropy: [Float] {
    switch self {
    case .exact(_, let entropy): entropy
    case .largest(let largest): largest.entropy
    }
  }

  /// The positions `range`.
  public func rows(_ range: Range<Int>) -> SoftTarget {
    switch self {
    case .exact(let projected, let entropy):
      let d = entropy.isEmpty ? 0 : projected.count / entropy.count
      return .exact(
        projected: Array(projected[range.lowerBound * d..<range.upperBound * d]),
        entropy: Array(entropy[range]))
    case .largest(let all):
      let entries = range.lowerBound * all.k..<range.upperBound * all.k
      return .largest(
        LanguageHead.Largest(
          k: all.k, indices: Array(all.indices[entries]),
          probabilities: Array(all.probabilities[entries]), tail: Array(all.tail[range]),
          entropy: Array(all.entropy[range])))
    }
  }

  /// The targets of several samples behind one another, as a packed batch has its positions.
  /// - Throws: `Failure(.badData)` when their forms differ.
  public static func joined(_ parts: [SoftTarget]) throws -> SoftTarget {
    guard let first = parts.first else { return .exact(projected: [], entropy: []) }
    switch first {
    case .exact:
      var projected: [Float] = []
      var entropy: [Float] = []
      for part in parts {
        guard case .exact(let c, let h) = part else { throw mixedForms }
        projected += c
        entropy += h
      }
      return .exact(projected: projected, entropy: entropy)
    case .largest(let model):
      var joined = LanguageHead.Largest(
        k: model.k, indices: [], probabilities: [], tail: [], entropy: [])
      for part in parts {
        guard case .largest(let largest) = part, largest.k == model.k else { throw mixedForms }
        joined.indices += largest.indices
        joined.probabilities += largest.probabilities
        joined.tail += largest.tail
        joined.entropy += largest.entropy
      }
      return .largest(joined)
    }
  }

  private static var mixedForms: Failure {
    Failure(.badData, "the targets of one batch have different forms")
  }
}
