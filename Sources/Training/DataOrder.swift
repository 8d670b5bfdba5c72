import Kernels

/// The order in which a training stage sees its samples: every epoch a new permutation that depends
/// on the seed and the epoch alone, so that a run continues anywhere without replaying.
public struct DataOrder: Sendable {
  public let count: Int
  public let seed: UInt64
  private var epoch = -1
  private var permutation: [Int] = []

  /// An order over `count` > 0 items.
  public init(count: Int, seed: UInt64) {
    self.count = count
    self.seed = seed
  }

  /// The items at the places `range` of the endless sequence of epochs.
  public mutating func items(_ range: Range<Int>) -> [Int] {
    range.map { place in
      if place / count != epoch {
        epoch = place / count
        var generator = SplitMix64(seed: seed &+ UInt64(epoch) &* 0xD1B5_4A32_D192_ED03)
        permutation = Array(0..<count)
        permutation.shuffle(using: &generator)
      }
      return permutation[place % count]
    }
  }
}
