import CTurboJPEG
import Failures

/// JPEG through TurboJPEG.
enum JPEGDecoder {
  static func decode(_ bytes: [UInt8], place: String) throws -> RGBImage {
    guard let handle = tjInitDecompress() else {
      throw Failure(.software, "TurboJPEG cannot start", at: place)
    }
    defer { tjDestroy(handle) }
    var width: Int32 = 0
    var height: Int32 = 0
    var subsampling: Int32 = 0
    var space: Int32 = 0
    guard
      tjDecompressHeader3(
        handle, bytes, UInt(bytes.count), &width, &height, &subsampling, &space) == 0
    else { throw corrupt(handle, place) }
    try RGBImage.check(width: Int(width), height: Int(height), place: place)
    let isCMYK = space == Int32(TJCS_CMYK.rawValue) || space == Int32(TJCS_YCCK.rawValue)
    let channels = isCMYK ? 4 : 3
    let format = isCMYK ? TJPF_CMYK.rawValue : TJPF_RGB.rawValue
    var failed = false
    var pixels = [UInt8](unsafeUninitializedCapacity: Int(width) * Int(height) * channels) {
      buffer, count in
      failed =
        tjDecompress2(
          handle, bytes, UInt(bytes.count), buffer.baseAddress, width, 0, height, Int32(format), 0)
        != 0
      count = failed ? 0 : buffer.count
      // A warning leaves a whole image behind where nothing is missing from the data.
      if failed, tjGetErrorCode(handle) == Int32(TJERR_WARNING.rawValue), isHarmless(handle) {
        failed = false
        count = buffer.count
      }
    }
    if failed { throw corrupt(handle, place) }
    if isCMYK { pixels = rgb(cmyk: pixels) }
    return try RGBImage(width: Int(width), height: Int(height), pixels: pixels)
      .oriented(orientation(bytes))
  }

  private static func message(_ handle: tjhandle) -> String {
    tjGetErrorStr2(handle).map { String(cString: $0) } ?? "unknown error"
  }

  /// Cameras and editors leave stray bytes between markers; that loses no pixel.
  private static func isHarmless(_ handle: tjhandle) -> Bool {
    let message = message(handle).lowercased()
    return !message.contains("premature end") && !message.contains("huffman")
      && !message.contains("arith")
  }

  private static func corrupt(_ handle: tjhandle, _ place: String) -> Failure {
    Failure(.badData, "the JPEG is damaged (\(message(handle)))", at: place)
  }

  /// Adobe's convention stores inverted inks, and Pillow assumes it always.
  private static func rgb(cmyk: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(cmyk.count / 4 * 3)
    for start in stride(from: 0, to: cmyk.count, by: 4) {
      let white = Int(cmyk[start + 3])
      for ink in 0..<3 {
        // (255 - black) - ink · (255 - black) / 255, rounded by Pillow's MULDIV255.
        let product = Int(255 - cmyk[start + ink]) * white + 128
        result.append(UInt8(max(0, white - ((product >> 8) + product) >> 8)))
      }
    }
    return result
  }

  private static func orientation(_ bytes: [UInt8]) -> Int {
    var position = 2
    while position + 4 <= bytes.count, bytes[position] == 0xFF {
      let marker = bytes[position + 1]
      if marker == 0xFF {
        position += 1
        continue
      }
      if marker == 0xDA || marker == 0xD9 { break }
      let length = Int(bytes[position + 2]) << 8 | Int(bytes[position + 3])
      let end = position + 2 + length
      guard length >= 2, end <= bytes.count else { break }
      let segment = bytes[position + 4..<end]
      if marker == 0xE1, segment.starts(with: [0x45, 0x78, 0x69, 0x66, 0, 0]) {
        return Exif.orientation(segment)
      }
      position = end
    }
    return 1
  }
}
