import Kernels

/// Which numbers of a parameter each of several processes moves, so that each holds the moments of its
/// part alone (ZeRO, stage 1: Rajbhandari et al., SC 2020).
public struct Sharding: Sendable, Equatable {
  /// One process that moves all.
  public static let whole = Sharding(rank: 0, count: 1)

  /// This process, from 0, and how many there are.
  public let rank: Int
  public let count: Int
  /// The process that moves all numbers of every parameter; nil where each has its part.
  public let owner: Int?

  public init(rank: Int, count: Int, owner: Int? = nil) {
    precondition((0..<count).contains(rank) && owner.map { (0..<count).contains($0) } ?? true)
    self.rank = rank
    self.count = count
    self.owner = owner
  }

  /// The part of each process in `length` numbers, one behind the other: nearly equal, and of whole
  /// blocks of eight-bit moments, which are the same blocks whatever the number of processes.
  public func parts(of length: Int) -> [Range<Int>] {
    let blocks = (length + DynamicCode.block - 1) / DynamicCode.block
    return (0..<count).map { rank in
      if let owner {
        return rank < owner ? 0..<0 : rank == owner ? 0..<length : length..<length
      }
      let ends = [rank, rank + 1].map { min(length, blocks * $0 / count * DynamicCode.block) }
      return ends[0]..<ends[1]
    }
  }

  /// This process's.
  public func part(of length: Int) -> Range<Int> { parts(of: length)[rank] }
}
