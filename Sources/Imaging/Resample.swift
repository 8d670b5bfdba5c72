import Failures

extension RGBImage {
  /// The image resized by bicubic interpolation with antialiasing, bit for bit as Pillow's
  /// `resize((width, height), BICUBIC)` (`src/libImaging/Resample.c`): coefficients in fixed
  /// point, each pass rounded to 8 bits.
  ///
  /// Pillow 13 goes down the columns first where the height shrinks by more than twice what the
  /// width does; Pillow 12 always began with the rows, and differs from it by one step of 255 in
  /// some of those pixels.
  ///
  /// - Throws: `Failure(.badData)` for a size out of range.
  public func resized(width newWidth: Int, height newHeight: Int) throws -> RGBImage {
    try RGBImage.check(width: newWidth, height: newHeight, place: "resize")
    let columnsFirst = newHeight < height && height - newHeight > 2 * (width - newWidth)
    return columnsFirst
      ? try withHeight(newHeight).withWidth(newWidth)
      : try withWidth(newWidth).withHeight(newHeight)
  }

  private func withWidth(_ newWidth: Int) throws -> RGBImage {
    if newWidth == width { return self }
    let weights = BicubicWeights(from: width, to: newWidth)
    return try RGBImage(
      width: newWidth, height: height,
      pixels: RGBImage.resampleRows(pixels, height: height, from: width, to: newWidth, weights))
  }

  private func withHeight(_ newHeight: Int) throws -> RGBImage {
    if newHeight == height { return self }
    let weights = BicubicWeights(from: height, to: newHeight)
    return try RGBImage(
      width: width, height: newHeight,
      pixels: RGBImage.resampleColumns(pixels, rowBytes: width * 3, to: newHeight, weights))
  }

  private static func resampleRows(
    _ source: [UInt8], height: Int, from width: Int, to newWidth: Int, _ weights: BicubicWeights
  ) -> [UInt8] {
    let bytes = newWidth * height * 3
    return source.withUnsafeBufferPointer { source in
      [UInt8](unsafeUninitializedCapacity: bytes) { target, count in
        for y in 0..<height {
          let line = y * width * 3
          var position = y * newWidth * 3
          for x in 0..<newWidth {
            var (red, green, blue) = (
              BicubicWeights.half, BicubicWeights.half, BicubicWeights.half
            )
            var index = line + weights.starts[x] * 3
            for weight in x * weights.size..<x * weights.size + weights.counts[x] {
              let factor = weights.values[weight]
              red &+= Int32(source[index]) &* factor
              green &+= Int32(source[index + 1]) &* factor
              blue &+= Int32(source[index + 2]) &* factor
              index += 3
            }
            target[position] = BicubicWeights.clipped(red)
            target[position + 1] = BicubicWeights.clipped(green)
            target[position + 2] = BicubicWeights.clipped(blue)
            position += 3
          }
        }
        count = bytes
      }
    }
  }

  private static func resampleColumns(
    _ source: [UInt8], rowBytes: Int, to newHeight: Int, _ weights: BicubicWeights
  ) -> [UInt8] {
    let bytes = rowBytes * newHeight
    var sums = [Int32](repeating: 0, count: rowBytes)
    return source.withUnsafeBufferPointer { source in
      sums.withUnsafeMutableBufferPointer { sums in
        [UInt8](unsafeUninitializedCapacity: bytes) { target, count in
          for y in 0..<newHeight {
            for index in 0..<rowBytes { sums[index] = BicubicWeights.half }
            for offset in 0..<weights.counts[y] {
              let factor = weights.values[y * weights.size + offset]
              let line = (weights.starts[y] + offset) * rowBytes
              for index in 0..<rowBytes { sums[index] &+= Int32(source[line + index]) &* factor }
            }
            for index in 0..<rowBytes {
              target[y * rowBytes + index] = BicubicWeights.clipped(sums[index])
            }
          }
          count = bytes
        }
      }
    }
  }
}

/// For each new pixel along one axis: which old pixels it is made of, and their weights in fixed
/// point.
private struct BicubicWeights {
  /// Fractional bits: 8 of 32 hold the pixel, 2 the overshoot of the filter.
  static let bits: Int32 = 32 - 8 - 2
  static let half: Int32 = 1 << (bits - 1)

  /// Weights of one new pixel, the stride of `values`.
  let size: Int
  var starts: [Int] = []
  var counts: [Int] = []
  var values: [Int32] = []

  init(from old: Int, to new: Int) {
    let scale = Double(old) / Double(new)
    let filterScale = max(scale, 1)
    let support = 2 * filterScale
    size = Int(support.rounded(.up)) * 2 + 1
    values.reserveCapacity(new * size)
    let inverse = 1 / filterScale
    for position in 0..<new {
      let center = (Double(position) + 0.5) * scale
      let start = max(0, Int(center - support + 0.5))
      let end = min(old, Int(center + support + 0.5))
      var weights = (start..<end).map {
        BicubicWeights.filter((Double($0) - center + 0.5) * inverse)
      }
      let sum = weights.reduce(0, +)
      if sum != 0 { for index in weights.indices { weights[index] /= sum } }
      starts.append(start)
      counts.append(weights.count)
      for weight in weights {
        let scaled = weight * Double(1 << BicubicWeights.bits)
        values.append(Int32(weight < 0 ? scaled - 0.5 : scaled + 0.5))
      }
      for _ in weights.count..<size { values.append(0) }
    }
  }

  /// Keys' cubic with a = -0.5.
  private static func filter(_ x: Double) -> Double {
    let a = -0.5
    let x = abs(x)
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
    return 0
  }

  @inline(__always)
  static func clipped(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: max(0, min(255, sum >> bits)))
  }
}
