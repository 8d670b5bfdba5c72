import Failures

/// What the teacher's layers put out at the supervised positions of a batch, decoded as asked for.
public final class TeacherOutputs {
  private let records: [StoredTargets]
  private let head: LanguageHead?
  private var known: [TargetLayer: SoftTarget] = [:]

  /// - Parameters:
  ///   - records: those of the batch's samples, in its order
  ///   - head: the teacher's, cut to the shared vocabulary, for losses that need its logits
  public init(_ records: [StoredTargets], head: LanguageHead?) {
    self.records = records
    self.head = head
  }

  /// A layer's distributions, decoded once.
  /// - Throws: `Failure(.badData)` as `StoredTargets.soft`.
  func soft(_ layer: TargetLayer) throws -> SoftTarget {
    if let found = known[layer] { return found }
    let joined = try SoftTarget.joined(records.map { try $0.soft(layer) })
    known[layer] = joined
    return joined
  }

  /// A layer's vectors.
  /// - Throws: `Failure(.badData)` as `StoredTargets.vectors`.
  func vectors(_ layer: TargetLayer) throws -> TeacherVectors {
    .joined(try records.map { try $0.vectors(layer) })
  }

  /// A layer as a loss asks for it.
  func layer(_ layer: TargetLayer) -> TeacherLayer {
    TeacherLayer {
      try self.soft(layer)
    } vectors: {
      try self.vectors(layer)
    } head: { [head] in
      guard let head else { throw Failure(.software, "the teacher's head was not opened") }
      return head
    }
  }
}

/// What one teacher layer puts out at a batch's positions, fetched in the form that a loss asks for.
public struct TeacherLayer {
  public var soft: () throws -> SoftTarget
  public var vectors: () throws -> TeacherVectors
  /// The teacher's head, cut to the shared vocabulary.
  public var head: () throws -> LanguageHead

  public init(
    soft: @escaping () throws -> SoftTarget, vectors: @escaping () throws -> TeacherVectors,
    head: @escaping () throws -> LanguageHead
  ) {
    self.soft = soft
    self.vectors = vectors
    self.head = head
  }
}
