/// The pixels along one axis that each new pixel is made of, with their weights in fixed point.
public struct ResamplingTaps: Sendable {
  /// Fractional bits of a weight: 8 of 32 hold the pixel, 2 the overshoot of the filter.
  public static let bits: Int32 = 32 - 8 - 2

  /// Weights kept for each new pixel, at least the largest of `counts`; even.
  public let size: Int
  /// [new] the first old pixel of each new one, and how many follow.
  public let starts: [Int]
  public let counts: [Int]
  /// [new, size], zero beyond a new pixel's count.
  public let values: [Int32]

  /// - Parameter weights: of each new pixel the first old one and the weights, which add up to 1.
  public init(_ weights: [(start: Int, values: [Double])]) {
    let size = ((weights.map(\.values.count).max() ?? 0) + 1) & ~1
    self.size = size
    starts = weights.map(\.start)
    counts = weights.map(\.values.count)
    values = weights.flatMap { _, values in
      values.map { Int32($0 * Double(1 << Self.bits) + ($0 < 0 ? -0.5 : 0.5)) }
        + [Int32](repeating: 0, count: size - values.count)
    }
  }

}

private typealias Sums = SIMD8<Int32>

/// What sums start from, so that dropping the fraction rounds.
private let half = Sums(repeating: 1 << (ResamplingTaps.bits - 1))

/// Eight bytes, widened.
@inline(__always)
private func bytes(_ source: UnsafePointer<UInt8>) -> Sums {
  Sums(
    truncatingIfNeeded: UnsafeRawPointer(source).loadUnaligned(as: SIMD8<UInt8>.self))
}

@inline(__always)
private func clipped(_ sums: Sums) -> SIMD8<UInt8> {
  // By sign bits: comparisons of vectors fall to slow generic code.
  let whole = sums &>> Sums(repeating: ResamplingTaps.bits)
  let sign = Sums(repeating: 31)
  let positive = whole & ~(whole &>> sign)
  let over = (Sums(repeating: 255) &- positive) &>> sign
  return SIMD8(truncatingIfNeeded: positive | over)
}

/// Resamples columns of bytes: target [new, rowBytes] of source [old, rowBytes].
public func resampleColumns(
  _ source: UnsafePointer<UInt8>, rowBytes: Int, _ taps: ResamplingTaps,
  to target: UnsafeMutablePointer<UInt8>
) {
  taps.values.withUnsafeBufferPointer { values in
    for y in 0..<taps.starts.count {
      let first = source + taps.starts[y] * rowBytes
      let own = y * taps.size
      let count = taps.counts[y]
      let output = target + y * rowBytes
      var column = 0
      while column + 32 <= rowBytes {
        var sums = (half, half, half, half)
        var line = first + column
        for tap in 0..<count {
          let weight = Sums(repeating: values[own + tap])
          sums.0 &+= bytes(line) &* weight
          sums.1 &+= bytes(line + 8) &* weight
          sums.2 &+= bytes(line + 16) &* weight
          sums.3 &+= bytes(line + 24) &* weight
          line += rowBytes
        }
        let raw = UnsafeMutableRawPointer(output + column)
        raw.storeBytes(of: clipped(sums.0), as: SIMD8<UInt8>.self)
        raw.storeBytes(of: clipped(sums.1), toByteOffset: 8, as: SIMD8<UInt8>.self)
        raw.storeBytes(of: clipped(sums.2), toByteOffset: 16, as: SIMD8<UInt8>.self)
        raw.storeBytes(of: clipped(sums.3), toByteOffset: 24, as: SIMD8<UInt8>.self)
        column += 32
      }
      while column < rowBytes {
        var sum = half[0]
        for tap in 0..<count { sum &+= Int32(first[column + tap * rowBytes]) &* values[own + tap] }
        output[column] = UInt8(truncatingIfNeeded: max(0, min(255, sum >> ResamplingTaps.bits)))
        column += 1
      }
    }
  }
}

/// Resamples rows of 3-byte pixels: target [height, new, 3] of source [height, width, 3].
public func resampleRows(
  _ source: UnsafePointer<UInt8>, height: Int, width: Int, _ taps: ResamplingTaps,
  to target: UnsafeMutablePointer<UInt8>
) {
  let new = taps.starts.count
  let pairs = taps.size / 2
  // Two pixels fill six lanes of eight; their weights are laid out likewise.
  let weights = UnsafeMutablePointer<Sums>.allocate(capacity: new * pairs)
  defer { weights.deallocate() }
  for pair in 0..<new * pairs {
    let (first, second) = (taps.values[2 * pair], taps.values[2 * pair + 1])
    weights[pair] = Sums(first, first, first, second, second, second, 0, 0)
  }
  // A load reaches up to five bytes past the pixels it needs, which are two pixels of a later row;
  // the last rows are read from a copy with room.
  let rowBytes = width * 3
  let room = UnsafeMutablePointer<UInt8>.allocate(capacity: 4 * rowBytes + 16)
  defer { room.deallocate() }
  var y = 0
  while y < height {
    let rows = min(4, height - y)
    var input = source + y * rowBytes
    if height - y < 4 + 2 {
      room.update(repeating: 0, count: 4 * rowBytes + 16)
      room.update(from: input, count: rows * rowBytes)
      input = UnsafePointer(room)
    }
    for x in 0..<new {
      var sums = (half, half, half, half)
      var pixel = input + taps.starts[x] * 3
      let own = weights + x * pairs
      for pair in 0..<(taps.counts[x] + 1) / 2 {
        let weight = own[pair]
        sums.0 &+= bytes(pixel) &* weight
        sums.1 &+= bytes(pixel + rowBytes) &* weight
        sums.2 &+= bytes(pixel + 2 * rowBytes) &* weight
        sums.3 &+= bytes(pixel + 3 * rowBytes) &* weight
        pixel += 6
      }
      let output = target + (y * new + x) * 3
      write(sums.0, output)
      if rows > 1 { write(sums.1, output + new * 3) }
      if rows > 2 { write(sums.2, output + 2 * new * 3) }
      if rows > 3 { write(sums.3, output + 3 * new * 3) }
    }
    y += rows
  }
}

/// Adds the two pixels' lanes up and writes one pixel.
@inline(__always)
private func write(_ sums: Sums, _ target: UnsafeMutablePointer<UInt8>) {
  for channel in 0..<3 {
    // `half` was in both.
    let sum = sums[channel] &+ sums[channel + 3] &- half[0]
    target[channel] = UInt8(truncatingIfNeeded: max(0, min(255, sum >> ResamplingTaps.bits)))
  }
}
