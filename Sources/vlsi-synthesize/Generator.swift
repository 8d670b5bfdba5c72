import Kernels

/// SplitMix64 with keys: the one source of chance of the data set.
///
/// Every image has a generator of its own, keyed by seed, split and index, so that an image does
/// not depend on how many were made before it, nor on threads. The ways to draw are written out
/// here because the standard library's may change between versions, and the bytes must not.
struct Generator {
  private var numbers: SplitMix64

  init(_ keys: UInt64...) { numbers = SplitMix64(keys: keys) }

  mutating func next() -> UInt64 { numbers.next() }

  /// A hash of `text` that does not change between runs (FNV-1a, then stirred).
  static func hash(_ text: String) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    return SplitMix64.stir(hash)
  }

  /// Uniform over 0 ..< `count`; `count` must be positive.
  mutating func below(_ count: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(count)).high)
  }

  /// Uniform over `range`, both ends included.
  mutating func within(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + below(range.count)
  }

  /// Uniform over [0, 1).
  mutating func unit() -> Double { numbers.uniform() }

  /// Uniform over [`low`, `high`).
  mutating func between(_ low: Double, _ high: Double) -> Double { low + (high - low) * unit() }

  mutating func chance(_ probability: Double) -> Bool { unit() < probability }

  /// One of `items`, which must not be empty.
  mutating func pick<T>(_ items: [T]) -> T { items[below(items.count)] }

  /// `count` different ones of `items`, in random order (Fisher and Yates).
  mutating func draw<T>(_ count: Int, of items: [T]) -> [T] {
    var pool = items
    for index in 0..<min(count, pool.count) {
      pool.swapAt(index, index + below(pool.count - index))
    }
    return Array(pool.prefix(count))
  }

  mutating func shuffled<T>(_ items: [T]) -> [T] { draw(items.count, of: items) }

  /// An index drawn with probability proportional to its weight.
  mutating func weighted(_ weights: [Int]) -> Int {
    var left = below(weights.reduce(0, +))
    for (index, weight) in weights.enumerated() {
      if left < weight { return index }
      left -= weight
    }
    return weights.count - 1
  }
}
