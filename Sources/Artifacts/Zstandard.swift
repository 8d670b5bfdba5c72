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

  /// Throws 65 for a frame that is damaged.
  static func decompress(_ bytes: [UInt8], place: String) throws -> [UInt8] {
    let size = ZSTD_getFrameContentSize(bytes, bytes.count)
    // Both of zstd's error values lie far above any size.
    guard size <= largest else {
      throw Failure(.badData, "damaged: not a zstd frame of known size", at: place)
    }
    var result = 0
    let content = [UInt8](unsafeUninitializedCapacity: Int(size)) { out, count in
      result = ZSTD_decompress(out.baseAddress, Int(size), bytes, bytes.count)
      count = ZSTD_isError(result) == 0 ? result : 0
    }
    guard ZSTD_isError(result) == 0, content.count == Int(size) else {
      let reason =
        ZSTD_isError(result) == 0
        ? "cut off" : String(cString: ZSTD_getErrorName(result)).lowercased()
      throw Failure(
        .badData, "damaged: \(reason)", at: place,
        advice: "Delete the shard and run its stage again")
    }
    return content
  }
}
