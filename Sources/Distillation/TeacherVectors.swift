import Failures

/// What one teacher layer says at n positions, whole: the vectors that its head reads. With the
/// head they give every logit; without it they are what a verbalizer without a language head is
/// compared with.
public struct TeacherVectors: Sendable, Equatable {
  /// The teacher's width d.
  public var width: Int
  /// Over the temperature of the targets [n, d].
  public var values: [Float]
  /// Of the head's logits of `values`, cut to the shared vocabulary [n].
  public var logSumExp: [Float]

  public init(width: Int, values: [Float], logSumExp: [Float]) {
    self.width = width
    self.values = values
    self.logSumExp = logSumExp
  }

  /// n
  public var positions: Int { logSumExp.count }

  /// The positions `range`.
  public func rows(_ range: Range<Int>) -> TeacherVectors {
    TeacherVectors(
      width: width, values: Array(values[range.lowerBound * width..<range.upperBound * width]),
      logSumExp: Array(logSumExp[range]))
  }

  /// Several samples behind one another, as a packed batch has them.
  public static func joined(_ parts: [TeacherVectors]) -> TeacherVectors {
    TeacherVectors(
      width: parts.first?.width ?? 0, values: parts.flatMap(\.values),
      logSumExp: parts.flatMap(\.logSumExp))
  }
}
