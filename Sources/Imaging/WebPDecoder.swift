import CWebP
import Failures

/// WebP through libwebp.
enum WebPDecoder {
  static func decode(_ bytes: [UInt8], place: String) throws -> RGBImage {
    var features = WebPBitstreamFeatures()
    guard WebPGetFeatures(bytes, bytes.count, &features) == VP8_STATUS_OK else {
      throw Failure(.badData, "the WebP is damaged", at: place)
    }
    guard features.has_animation == 0 else {
      throw Failure(.badData, "the WebP is animated", at: place, expected: "a single image")
    }
    let (width, height) = (Int(features.width), Int(features.height))
    try RGBImage.check(width: width, height: height, place: place)
    var done = false
    let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { buffer, count in
      done =
        WebPDecodeRGBInto(
          bytes, bytes.count, buffer.baseAddress, buffer.count, Int32(width * 3)) != nil
      count = done ? buffer.count : 0
    }
    guard done else {
      throw Failure(.badData, "the WebP is damaged or cut short", at: place)
    }
    return try RGBImage(width: width, height: height, pixels: pixels).oriented(orientation(bytes))
  }

  private static func orientation(_ bytes: [UInt8]) -> Int {
    var position = 12
    while position + 8 <= bytes.count {
      let size = (0..<4).reduce(0) { $0 | Int(bytes[position + 4 + $1]) << (8 * $1) }
      let end = position + 8 + size
      guard end <= bytes.count else { break }
      if bytes[position..<position + 4].elementsEqual("EXIF".utf8) {
        return Exif.orientation(bytes[position + 8..<end])
      }
      position = end + size % 2
    }
    return 1
  }
}
