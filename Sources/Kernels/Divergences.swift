/// A distance between what two distributions over one vocabulary say, a position at a time, from
/// their logits z (student) and y (teacher). All of them are sums over the vocabulary, so they are
/// taken panel by panel.
public enum LogitDistance: Sendable {
  /// Σ q (log q - log p): reverse KL.
  case reverseKullbackLeibler
  /// Σ p/2 log(p/m) + q/2 log(q/m) with m = (p + q)/2.
  case jensenShannon
  /// Σ (z - y)²: of the logits themselves, no softmax.
  case squared
}

/// Adds up one panel of a distance and leaves in place of the student's logits what pulls at each:
/// with `pull` a panel's entries and q = softmax(z), the gradient in z is pull - q Σ pull, the sum
/// over the whole vocabulary; for `squared` it is `pull` alone, and `pulls` is 0.
/// - Parameters:
///   - student, teacher: logits of one position [count]
///   - logSumExp: of each over the whole vocabulary; not used by `squared`
public func foldDistance(
  _ distance: LogitDistance, student: UnsafeMutablePointer<Float>,
  teacher: UnsafePointer<Float>, logSumExp: (student: Float, teacher: Float), _ count: Int
) -> (value: Float, pulls: Float) {
  switch distance {
  case .reverseKullbackLeibler:
    fold(student, teacher, count) { z, y in
      let logQ = z - logSumExp.student
      let pull = exp(logQ) * (logQ - (y - logSumExp.teacher))
      return (pull, pull, pull)
    }
  case .jensenShannon:
    fold(student, teacher, count) { z, y in
      let q = exp(z - logSumExp.student), p = exp(y - logSumExp.teacher)
      // Where both vanish the ratio is of no account: it is multiplied by zero.
      let least = Lanes(repeating: 1e-37)
      let sum = q + p
      let mean = 0.5 * sum.replacing(with: least, where: sum .< least)
      let logQ = log(q.replacing(with: least, where: q .< least) / mean)
      let logP = log(p.replacing(with: least, where: p .< least) / mean)
      let pull = 0.5 * q * logQ
      return (pull + 0.5 * p * logP, pull, pull)
    }
  case .squared:
    fold(student, teacher, count) { z, y in
      let difference = z - y
      return (difference * difference, 2 * difference, Lanes(repeating: 0))
    }
  }
}

@inline(__always)
private func fold(
  _ student: UnsafeMutablePointer<Float>, _ teacher: UnsafePointer<Float>, _ count: Int,
  _ body: (Lanes, Lanes) -> (value: Lanes, pull: Lanes, counted: Lanes)
) -> (value: Float, pulls: Float) {
  var values = Lanes(repeating: 0), pulls = Lanes(repeating: 0)
  var rest: (value: Float, pulls: Float) = (0, 0)
  eights(0..<count) { i in
    let found = body(load(student + i), load(teacher + i))
    values += found.value
    pulls += found.counted
    store(found.pull, student + i)
  } _: { tail in
    let found = body(load(student, only: tail), load(teacher, only: tail))
    for (lane, i) in tail.enumerated() {
      rest.value += found.value[lane]
      rest.pulls += found.counted[lane]
      student[i] = found.pull[lane]
    }
  }
  return (values.sum() + rest.value, pulls.sum() + rest.pulls)
}

/// The natural logarithm of eight positive normal numbers, relative error below 2e-7 (Cephes'
/// `logf`). Numbers are taken apart by their bits: see `exp`.
@inline(__always)
func log(_ x: Lanes) -> Lanes {
  let bits = unsafeBitCast(x, to: SIMD8<Int32>.self)
  // The mantissa in [0.5, 1), then in [√½, √2) less one.
  let half = unsafeBitCast((bits & 0x007F_FFFF) | 0x3F00_0000, to: Lanes.self)
  let isSmall = half .< Lanes(repeating: 0.707_106_77)
  let exponent = (bits &>> 23) &- 126
  let magic = Lanes(repeating: 12_582_912)
  let whole =
    unsafeBitCast(exponent &+ unsafeBitCast(magic, to: SIMD8<Int32>.self), to: Lanes.self) - magic
  let e = whole.replacing(with: whole - 1, where: isSmall)
  let m = half.replacing(with: half + half, where: isSmall) - 1
  var p = Lanes(repeating: 7.037_683_6e-2)
  p = p * m - 1.151_461_03e-1
  p = p * m + 1.167_699_87e-1
  p = p * m - 1.242_014_08e-1
  p = p * m + 1.424_932_28e-1
  p = p * m - 1.666_805_77e-1
  p = p * m + 2.000_071_48e-1
  p = p * m - 2.499_999_40e-1
  p = p * m + 3.333_333_12e-1
  let square = m * m
  let y = m * square * p - e * 2.121_944_4e-4 - 0.5 * square
  return m + y + e * 0.693_359_375
}
