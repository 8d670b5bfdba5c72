import Glibc

/// A small seeded generator whose whole state is one word. (Steele, Lea, Flood: "Fast Splittable
/// Pseudorandom Number Generators", OOPSLA 2014.)
@frozen
public struct SplitMix64: RandomNumberGenerator, Sendable, Equatable {
  @usableFromInline
  var state: UInt64
  /// What a call of `next` adds to the state.
  @inlinable
  static var gamma: UInt64 { 0x9E37_79B9_7F4A_7C15 }

  @inlinable
  public init(seed: UInt64) {
    state = seed
  }

  /// The stream of `keys`: each is stirred in, so that neighbouring keys give unrelated streams.
  public init(keys: [UInt64]) {
    var mixed: UInt64 = 0x9E37_79B9_7F4A_7C15
    for key in keys { mixed = SplitMix64.stir(mixed ^ SplitMix64.stir(key &+ mixed)) }
    state = mixed
  }

  @inlinable
  public mutating func next() -> UInt64 {
    state &+= SplitMix64.gamma
    return SplitMix64.stir(state)
  }

  /// The output function, by itself a good 64-bit hash.
  @inlinable
  public static func stir(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number in [0, 1) with 53 random bits.
  @inlinable
  public mutating func uniform() -> Double {
    Double(next() >> 11) * 0x1p-53
  }

  /// A whole number in 0 ..< bound, every one equally likely.
  public mutating func below(_ bound: Int) -> Int {
    Int(next(upperBound: UInt64(bound)))
  }

  /// A standard normal number (Box and Muller's transform, the cosine branch alone, so that the
  /// state stays one word).
  public mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * Double.pi * uniform())
  }

  /// As many calls of `next` as that, at once.
  mutating func skip(_ draws: Int) { state &+= UInt64(draws) &* SplitMix64.gamma }

  /// `count` normal numbers times `deviation`, drawn on all threads: the same as one after another.
  public mutating func normals(_ count: Int, deviation: Double) -> Buffer {
    let numbers = Buffer(count: count)
    let start = self
    parallelFor(count, grain: 1 << 12) { range in
      var generator = start
      generator.skip(SplitMix64.drawsOfNormal * range.lowerBound)
      for i in range { numbers.pointer[i] = Float(generator.normal() * deviation) }
    }
    skip(SplitMix64.drawsOfNormal * count)
    return numbers
  }

  /// Calls of `next` by one of `normal`.
  private static var drawsOfNormal: Int { 2 }
}
