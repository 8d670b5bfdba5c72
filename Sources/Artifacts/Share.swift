/// Which shards of an artifact one process makes, beside others that make the rest.
public enum Share: Sendable, Equatable {
  /// Every shard: the process that makes them writes the manifest too.
  case all
  /// Of `count` shares the one with this number, from 0: every `count`-th shard, so that stretches of
  /// long samples are dealt out evenly.
  case part(Int, of: Int)
  /// Shards by number.
  case shards(Range<Int>)

  public func contains(_ shard: Int) -> Bool {
    switch self {
    case .all: true
    case .part(let number, let count): shard % count == number
    case .shards(let range): range.contains(shard)
    }
  }

  /// Whether some shard would be in both.
  func overlaps(_ other: Share) -> Bool {
    switch (self, other) {
    case (.all, _), (_, .all): true
    case (.part(let a, let m), .part(let b, let n)): (a - b) % greatestCommonDivisor(m, n) == 0
    case (.shards(let a), .shards(let b)): a.overlaps(b)
    case (.part(let number, let count), .shards(let range)),
      (.shards(let range), .part(let number, let count)):
      range.prefix(count).contains { $0 % count == number }
    }
  }

  /// As the command line has it, and file names do: `0-of-4`, `12-to-15`.
  public var name: String {
    switch self {
    case .all: "all"
    case .part(let number, let count): "\(number)-of-\(count)"
    case .shards(let range): "\(range.lowerBound)-to-\(range.upperBound)"
    }
  }

  /// What `name` says.
  init?(name: some StringProtocol) {
    let words = name.split(separator: "-", omittingEmptySubsequences: false)
    if name == "all" {
      self = .all
    } else if words.count == 3, let a = Int(words[0]), let b = Int(words[2]), a >= 0 {
      switch words[1] {
      case "of" where a < b: self = .part(a, of: b)
      case "to" where a < b: self = .shards(a..<b)
      default: return nil
      }
    } else {
      return nil
    }
  }
}

private func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
  b == 0 ? a : greatestCommonDivisor(b, a % b)
}
