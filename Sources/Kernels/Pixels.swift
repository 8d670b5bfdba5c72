/// Gathers 3-byte pixels: target [height, width, 3], its pixel (x, y) being the source's pixel
/// number first + x · right + y · down.
public func gatherPixels(
  _ source: UnsafePointer<UInt8>, first: Int, right: Int, down: Int, height: Int, width: Int,
  to target: UnsafeMutablePointer<UInt8>
) {
  // By tiles: where a step right jumps a row, the rows that a tile reads stay in the cache.
  let side = 32
  for top in stride(from: 0, to: height, by: side) {
    for left in stride(from: 0, to: width, by: side) {
      for y in top..<min(top + side, height) {
        var output = target + (y * width + left) * 3
        var pixel = source + (first + left * right + y * down) * 3
        for _ in left..<min(left + side, width) {
          output[0] = pixel[0]
          output[1] = pixel[1]
          output[2] = pixel[2]
          output += 3
          pixel += right * 3
        }
      }
    }
  }
}

/// Lays red, green, blue and alpha [count, 4] over white: target [count, 3], rounded as Pillow's
/// `alpha_composite` rounds.
public func layOverWhite(
  _ source: UnsafePointer<UInt8>, count: Int, to target: UnsafeMutablePointer<UInt8>
) {
  for pixel in 0..<count {
    let alpha = UInt32(source[4 * pixel + 3])
    for channel in 0..<3 {
      // Seven bits more than a byte, until the division by 255 is done.
      let sum = UInt32(source[4 * pixel + channel]) * alpha + 255 * (255 - alpha)
      let wide = (sum + 128) << 7
      target[3 * pixel + channel] = UInt8(truncatingIfNeeded: (wide >> 8 + wide) >> 15)
    }
  }
}
