extension Ranks {
  /// Every rank's numbers, which may be of different count, on all ranks.
  public func gather(_ numbers: [Double]) throws -> [[Double]] {
    guard count > 1 else { return [numbers] }
    var lengths = [Double](repeating: 0, count: count)
    lengths[rank] = Double(numbers.count)
    let counts = try sum(lengths).map { Int($0) }
    let starts = counts.indices.map { counts[..<$0].reduce(0, +) }
    let size = MemoryLayout<Double>.stride
    var all = [Double](repeating: 0, count: counts.reduce(0, +))
    all.replaceSubrange(starts[rank]..<starts[rank] + counts[rank], with: numbers)
    try all.withUnsafeMutableBytes { bytes in
      try gather(
        bytes, parts: zip(starts, counts).map { $0 * size..<($0 + $1) * size })
    }
    return zip(starts, counts).map { Array(all[$0..<$0 + $1]) }
  }
}
