import CTurboJPEG
import Failures

/// JPEG through TurboJPEG.
struct JPEGDecoder {
  private let handle: tjhandle
  private let bytes: [UInt8]
  private let place: String

  static func decode(_ bytes: [UInt8], place: String) throws -> RGBImage {
    guard let handle = tjInitDecompress() else {
      throw Failure(.software, "TurboJPEG cannot start", at: place)
    }
    defer { tjDestroy(handle) }
    return try JPEGDecoder(handle: handle, bytes: bytes, place: place).image()
  }

  private func image() throws -> RGBImage {
    var (width, height, subsampling, space): (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
    try check(
      tjDecompressHeader3(
        handle, bytes, UInt(bytes.count), &width, &height, &subsampling, &space))
    try RGBImage.check(width: Int(width), height: Int(height), place: place)
    // Even an image of one colour takes more: a claim beyond that is not worth the memory.
    guard Int(width) * Int(height) / 4096 <= bytes.count else {
      throw damaged("\(bytes.count) bytes for \(width) x \(height) pixels")
    }
    let isCMYK = space == Int32(TJCS_CMYK.rawValue) || space == Int32(TJCS_YCCK.rawValue)
    let count = Int(width) * Int(height)
    let pixels =
      isCMYK
      ? Self.rgb(cmyk: try pixels(count * 4, TJPF_CMYK)) : try pixels(count * 3, TJPF_RGB)
    return try RGBImage(width: Int(width), height: Int(height), pixels: pixels)
      .oriented(orientation().value)
  }

  private func pixels(_ size: Int, _ format: TJPF) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      func decode(_ flags: Int32) -> Int32 {
        tjDecompress2(
          handle, bytes, UInt(bytes.count), buffer.baseAddress, 0, 0, 0, Int32(format.rawValue),
          flags)
      }
      // The handle keeps the last warning only, so the first is asked for by stopping there.
      let first = decode(TJFLAG_STOPONWARNING)
      try check(first)
      if first != 0 { try check(decode(0)) }
      count = size
    }
  }

  // MARK: Errors

  private func check(_ status: Int32) throws {
    let message = tjGetErrorStr2(handle).map { String(cString: $0) } ?? "unknown error"
    guard status == 0 || isWarning && Self.isHarmless(message) else { throw damaged(message) }
  }

  private var isWarning: Bool { tjGetErrorCode(handle) == Int32(TJERR_WARNING.rawValue) }

  /// Cameras and editors leave stray bytes between markers; that loses no pixel.
  private static func isHarmless(_ message: String) -> Bool {
    let message = message.lowercased()
    return !["premature end", "huffman", "arith", "restart", "rst"].contains {
      message.contains($0)
    }
  }

  private func damaged(_ reason: String) -> Failure {
    Failure(.badData, "the JPEG is damaged or cut short (\(reason))", at: place)
  }

  // MARK: Colours

  /// Adobe's convention stores inverted inks, and Pillow assumes it always.
  private static func rgb(cmyk: [UInt8]) -> [UInt8] {
    let count = cmyk.count / 4
    return [UInt8](unsafeUninitializedCapacity: count * 3) { result, filled in
      for pixel in 0..<count {
        let white = Int(cmyk[4 * pixel + 3])
        for ink in 0..<3 {
          // (255 - black) - ink · (255 - black) / 255, rounded by Pillow's MULDIV255.
          let product = Int(255 - cmyk[4 * pixel + ink]) * white + 128
          result[3 * pixel + ink] = UInt8(max(0, white - ((product >> 8) + product) >> 8))
        }
      }
      filled = count * 3
    }
  }

  // MARK: Metadata

  private func orientation() -> Orientation {
    let xmpPrefix = Array("http://ns.adobe.com/xap/1.0/\0".utf8)
    var found = Orientation()
    var position = 2
    while position + 4 <= bytes.count, bytes[position] == 0xFF {
      let marker = bytes[position + 1]
      if marker == 0xFF {
        position += 1
        continue
      }
      if marker == 0xDA || marker == 0xD9 { break }
      let end = position + 2 + Int(bytes[position + 2]) << 8 + Int(bytes[position + 3])
      guard end >= position + 4, end <= bytes.count else { break }
      let segment = bytes[position + 4..<end]
      if marker == 0xE1, segment.starts(with: Orientation.exifPrefix) {
        // A block too long for one segment goes on in the next.
        found.exif = (found.exif ?? []) + segment.dropFirst(6)
      } else if marker == 0xE1, segment.starts(with: xmpPrefix) {
        found.xmp = Array(segment.dropFirst(xmpPrefix.count))
      }
      position = end
    }
    return found
  }
}
