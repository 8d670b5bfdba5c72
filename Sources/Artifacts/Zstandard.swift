import CZstd
import Failures

/// One zstd frame with content size and content checksum.
enum Zstandard {
  /// What a record may unpack to, against hostile frames.
  private static let largest: UInt64 = 1 << 33

  static func compress(_ bytes: [UInt8], level: Int32) throws -> [UInt8] {
    guard let context = ZSTD_createCCtx() else {
      throw Failure(.software, "zstd gave no context")
    }
    defer { ZSTD_freeCCtx(context) }
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    let bound = ZSTD_compressBound(bytes.count)
    var result = 0
    let packed = [UInt8](unsafeUninitializedCapacity: bound) { out, count in
      result = ZSTD_compress2(context, out.baseAddress, bound, bytes, bytes.count)
      count = ZSTD_isError(result) == 0 ? result : 0
    }
    guard ZSTD_isError(result) == 0 else {
      throw Failure(
        .software, "zstd cannot compress: \(String(cString: ZSTD_getErrorName(result)))")
    }
    return packed
  }

  /// - Parameter check: sees the first bytes of the content, safetensors' header whole, and the size
  ///   that the frame declares, before memory for all of it is asked for.
  /// Throws 65 for a frame that is damaged, has no content checksum or is not the only one, and what
  /// `check` throws.
  static func decompress(
    _ bytes: [UInt8], place: String,
    check: (_ head: UnsafeRawBufferPointer, _ total: Int) throws -> Void
  ) throws -> [UInt8] {
    let size = ZSTD_getFrameContentSize(bytes, bytes.count)
    // Both of zstd's error values lie far above any size.
    guard size <= largest else {
      throw Failure(.badData, "damaged: not a zstd frame of known size", at: place)
    }
    // The byte behind the magic number describes the frame; bit 2 announces a checksum at its end.
    guard bytes.count > 4, bytes[4] & 4 != 0 else {
      throw damaged("the zstd frame has no content checksum", place)
    }
    guard ZSTD_findFrameCompressedSize(bytes, bytes.count) == bytes.count else {
      throw damaged("not one whole zstd frame", place)
    }
    let lengthWord = try head(of: bytes, count: min(8, Int(size)), place: place)
    let length = try lengthWord.withUnsafeBytes {
      try SafetensorsHeader.length($0, total: Int(size), place: place)
    }
    try head(of: bytes, count: 8 + length, place: place).withUnsafeBytes {
      try check($0, Int(size))
    }
    var result = 0
    let content = [UInt8](unsafeUninitializedCapacity: Int(size)) { out, count in
      result = ZSTD_decompress(out.baseAddress, Int(size), bytes, bytes.count)
      count = ZSTD_isError(result) == 0 ? result : 0
    }
    guard ZSTD_isError(result) == 0, content.count == Int(size) else {
      throw damaged(
        ZSTD_isError(result) == 0
          ? "cut off" : String(cString: ZSTD_getErrorName(result)).lowercased(), place)
    }
    return content
  }

  /// The first `count` bytes of a frame's content.
  private static func head(of bytes: [UInt8], count: Int, place: String) throws -> [UInt8] {
    guard let stream = ZSTD_createDStream() else {
      throw Failure(.software, "zstd gave no context")
    }
    defer { ZSTD_freeDStream(stream) }
    var problem: String?
    let head = [UInt8](unsafeUninitializedCapacity: count) { out, filled in
      bytes.withUnsafeBytes { source in
        var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
        var output = ZSTD_outBuffer(dst: out.baseAddress, size: count, pos: 0)
        while output.pos < count {
          let before = (input.pos, output.pos)
          let result = ZSTD_decompressStream(stream, &output, &input)
          if ZSTD_isError(result) != 0 {
            problem = String(cString: ZSTD_getErrorName(result)).lowercased()
            break
          }
          if result == 0 || before == (input.pos, output.pos) { break }
        }
        filled = output.pos
      }
    }
    guard problem == nil, head.count == count else { throw damaged(problem ?? "cut off", place) }
    return head
  }

  private static func damaged(_ what: String, _ place: String) -> Failure {
    Failure(
      .badData, "damaged: \(what)", at: place, advice: CheckedFiles.advice)
  }
}
