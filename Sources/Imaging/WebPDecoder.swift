import CWebP
import Failures

/// WebP through libwebp; of an animation its first frame.
enum WebPDecoder {
  static func decode(_ bytes: [UInt8], place: String) throws -> RGBImage {
    try bytes.withUnsafeBufferPointer { try decode($0, place: place) }
  }

  private static func decode(
    _ bytes: UnsafeBufferPointer<UInt8>, place: String
  ) throws -> RGBImage {
    let damaged = Failure(.badData, "the WebP is damaged or cut short", at: place)
    // The demuxer reads from the buffer until it is deleted.
    var data = WebPData(bytes: bytes.baseAddress, size: bytes.count)
    guard let demuxer = WebPDemux(&data) else { throw damaged }
    defer { WebPDemuxDelete(demuxer) }
    let width = Int(WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH))
    let height = Int(WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT))
    try RGBImage.check(width: width, height: height, place: place)
    var frame = WebPIterator()
    guard WebPDemuxGetFrame(demuxer, 1, &frame) != 0 else { throw damaged }
    defer { WebPDemuxReleaseIterator(&frame) }
    let (x, y) = (Int(frame.x_offset), Int(frame.y_offset))
    guard x >= 0, y >= 0, x + Int(frame.width) <= width, y + Int(frame.height) <= height else {
      throw damaged
    }
    var features = WebPBitstreamFeatures()
    guard WebPGetFeatures(bytes.baseAddress, bytes.count, &features) == VP8_STATUS_OK else {
      throw damaged
    }
    let hasAlpha = features.has_alpha != 0
    let decode = hasAlpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto
    let channels = hasAlpha ? 4 : 3
    // What a first frame leaves free is transparent, or black where nothing can be.
    var pixels = [UInt8](repeating: 0, count: width * height * channels)
    let start = (y * width + x) * channels
    let done = pixels.withUnsafeMutableBufferPointer {
      decode(
        frame.fragment.bytes, frame.fragment.size, $0.baseAddress?.advanced(by: start),
        $0.count - start, Int32(width * channels)) != nil
    }
    guard done else { throw damaged }
    let image =
      hasAlpha
      ? try RGBImage(width: width, height: height, overWhite: pixels)
      : try RGBImage(width: width, height: height, pixels: pixels)
    let orientation = Orientation(exif: chunk("EXIF", demuxer), xmp: chunk("XMP ", demuxer))
    return try image.oriented(orientation.value)
  }

  private static func chunk(_ name: String, _ demuxer: OpaquePointer) -> [UInt8]? {
    var found = WebPChunkIterator()
    guard WebPDemuxGetChunk(demuxer, name, 1, &found) != 0 else { return nil }
    defer { WebPDemuxReleaseChunkIterator(&found) }
    return [UInt8](UnsafeBufferPointer(start: found.chunk.bytes, count: found.chunk.size))
  }
}
