import Failures
import Kernels

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
    let taps = ResamplingTaps(bicubicFrom: width, to: newWidth)
    return try RGBImage(
      width: newWidth, height: height,
      pixels: [UInt8](unsafeUninitializedCapacity: newWidth * height * 3) { target, count in
        guard let target = target.baseAddress else { return }
        resampleRows(pixels, height: height, width: width, taps, to: target)
        count = newWidth * height * 3
      })
  }

  private func withHeight(_ newHeight: Int) throws -> RGBImage {
    if newHeight == height { return self }
    let taps = ResamplingTaps(bicubicFrom: height, to: newHeight)
    return try RGBImage(
      width: width, height: newHeight,
      pixels: [UInt8](unsafeUninitializedCapacity: width * newHeight * 3) { target, count in
        guard let target = target.baseAddress else { return }
        resampleColumns(pixels, rowBytes: width * 3, taps, to: target)
        count = width * newHeight * 3
      })
  }
}

extension ResamplingTaps {
  /// Pillow's `precompute_coeffs` for Keys' cubic with a = -0.5.
  init(bicubicFrom old: Int, to new: Int) {
    let scale = Double(old) / Double(new)
    let filterScale = max(scale, 1)
    let support = 2 * filterScale
    let inverse = 1 / filterScale
    self.init(
      (0..<new).map { position in
        let center = (Double(position) + 0.5) * scale
        let start = max(0, Int(center - support + 0.5))
        let end = min(old, Int(center + support + 0.5))
        var weights = (start..<end).map { bicubic((Double($0) - center + 0.5) * inverse) }
        let sum = weights.reduce(0, +)
        if sum != 0 { for index in weights.indices { weights[index] /= sum } }
        return (start, weights)
      })
  }
}

private func bicubic(_ x: Double) -> Double {
  let a = -0.5
  let x = abs(x)
  if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
  if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
  return 0
}
