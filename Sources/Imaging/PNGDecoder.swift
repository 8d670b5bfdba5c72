import CSPNG
import Failures

/// PNG through libspng, which needs no `longjmp` and gives the file's own colours.
///
/// Where a choice exists Pillow is followed: gamma and profiles are ignored, 16-bit colours keep
/// their high byte, 16-bit grey is clipped at 255.
struct PNGDecoder {
  static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  /// Bytes that texts and profiles may take, inflated.
  private static let mostMetadata = 16 << 20

  private let context: OpaquePointer
  private let place: String

  static func decode(_ bytes: [UInt8], place: String) throws -> RGBImage {
    guard let context = spng_ctx_new(0) else {
      throw Failure(.software, "libspng cannot start", at: place)
    }
    defer { spng_ctx_free(context) }
    // The context reads from the buffer until it is freed.
    return try bytes.withUnsafeBufferPointer {
      try PNGDecoder(context: context, place: place).decode($0)
    }
  }

  private func check(_ status: Int32) throws {
    guard status == 0 else {
      throw Failure(
        .badData, "the PNG is damaged or cut short (\(String(cString: spng_strerror(status))))",
        at: place)
    }
  }

  private func decode(_ bytes: UnsafeBufferPointer<UInt8>) throws -> RGBImage {
    try check(spng_set_png_buffer(context, bytes.baseAddress, bytes.count))
    try check(spng_set_chunk_limits(context, Self.mostMetadata, Self.mostMetadata))
    var header = spng_ihdr()
    try check(spng_get_ihdr(context, &header))
    let (width, height) = (Int(header.width), Int(header.height))
    try RGBImage.check(width: width, height: height, place: place)
    let depth = Int(header.bit_depth)
    let channels = [2: 3, 4: 2, 6: 4][header.color_type] ?? 1
    // Deflate cannot shrink below a thousandth: a claim beyond that is not worth the memory.
    guard width * height / 8 * channels * depth / 1040 <= bytes.count else {
      throw Failure(
        .badData, "the PNG is cut short", at: place,
        found: "\(bytes.count) bytes for \(width) x \(height) pixels")
    }
    try check(spng_decode_chunks(context))
    let before = orientation()
    let image = try image(header, width: width, height: height)
    // Metadata may follow the pixels; what is wrong there harms none of them.
    let orientation = spng_decode_chunks(context) == 0 ? orientation() : before
    return try image.oriented(orientation.value)
  }

  // MARK: Pixels

  private func image(_ header: spng_ihdr, width: Int, height: Int) throws -> RGBImage {
    let count = width * height
    var key = spng_trns()
    let hasKey = spng_get_trns(context, &key) == 0
    let type = spng_color_type(UInt32(header.color_type))
    if type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA || type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA
      || type == SPNG_COLOR_TYPE_INDEXED && hasKey
    {
      let rgba = try decode(count * 4, SPNG_FMT_RGBA8, SPNG_DECODE_TRNS)
      return try RGBImage(width: width, height: height, overWhite: rgba)
    }
    var pixels =
      type == SPNG_COLOR_TYPE_GRAYSCALE && header.bit_depth == 16
      ? try clippedGrey(count) : try decode(count * 3, SPNG_FMT_RGB8)
    if hasKey, type != SPNG_COLOR_TYPE_INDEXED {
      // Pillow compares the low byte with the 8-bit pixel, whatever the depth.
      let grey = header.bit_depth == 1 && key.gray != 0 ? 255 : key.gray
      let isGrey = type == SPNG_COLOR_TYPE_GRAYSCALE
      let color = (isGrey ? [grey, grey, grey] : [key.red, key.green, key.blue]).map {
        UInt8(truncatingIfNeeded: $0)
      }
      for start in stride(from: 0, to: pixels.count, by: 3)
      where pixels[start] == color[0] && pixels[start + 1] == color[1]
        && pixels[start + 2] == color[2]
      {
        for channel in 0..<3 { pixels[start + channel] = 255 }
      }
    }
    return try RGBImage(width: width, height: height, pixels: pixels)
  }

  private func decode(
    _ size: Int, _ format: spng_format, _ flags: spng_decode_flags = spng_decode_flags(0)
  ) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      try check(
        spng_decode_image(
          context, buffer.baseAddress, size, Int32(format.rawValue), Int32(flags.rawValue)))
      count = size
    }
  }

  private func clippedGrey(_ count: Int) throws -> [UInt8] {
    let deep = try decode(count * 2, SPNG_FMT_RAW)
    return [UInt8](unsafeUninitializedCapacity: count * 3) { buffer, filled in
      for index in 0..<count {
        let grey = deep[2 * index] > 0 ? 255 : deep[2 * index + 1]
        for channel in 0..<3 { buffer[3 * index + channel] = grey }
      }
      filled = count * 3
    }
  }

  // MARK: Metadata

  private func orientation() -> Orientation {
    let texts = texts()
    var block = spng_exif()
    let exif =
      spng_get_exif(context, &block) == 0
      ? block.data.map { [UInt8](UnsafeRawBufferPointer(start: $0, count: block.length)) }
      : texts["Raw profile type exif"].flatMap(Self.unhexed)
    return Orientation(exif: exif, xmp: texts["XML:com.adobe.xmp"])
  }

  private func texts() -> [String: [UInt8]] {
    var count: UInt32 = 0
    guard spng_get_text(context, nil, &count) == 0 else { return [:] }
    var texts = [spng_text](repeating: spng_text(), count: Int(count))
    guard spng_get_text(context, &texts, &count) == 0 else { return [:] }
    var found: [String: [UInt8]] = [:]
    for text in texts {
      let keyword = withUnsafeBytes(of: text.keyword) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      found[keyword] = text.text.map {
        [UInt8](UnsafeRawBufferPointer(start: $0, count: text.length))
      }
    }
    return found
  }

  /// ImageMagick's way to keep an EXIF block: two lines of heading, then its bytes in hexadecimal.
  private static func unhexed(_ text: [UInt8]) -> [UInt8]? {
    let lines = text.split(separator: 0x0A, omittingEmptySubsequences: false)
    let digits = lines.dropFirst(3).joined().compactMap {
      Character(Unicode.Scalar($0)).hexDigitValue
    }
    guard digits.count % 2 == 0 else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }
}
