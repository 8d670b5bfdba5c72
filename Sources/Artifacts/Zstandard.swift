import CZstd
import Failures
import Kernels

/// One zstd frame with content size and content checksum.
enum Zstandard {
  /// What a record may unpack to, against hostile frames.
  private static let largest: UInt64 = 1 << 33

  static func compress(_ bytes: UnsafeRawBufferPointer, level: Int32) throws -> Block {
    try packers.use { context in
      ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
      ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
      return try Block(capacity: ZSTD_compressBound(bytes.count)) { out in
        let result = ZSTD_compress2(
          context, out.baseAddress, out.count, bytes.baseAddress, bytes.count)
        guard ZSTD_isError(result) == 0 else {
          throw Failure(
            .software, "zstd cannot compress: \(String(cString: ZSTD_getErrorName(result)))")
        }
        return result
      }
    }
  }

  /// zstd's working memory, which it sets up anew for each frame otherwise: one for each thread.
  private struct Contexts: Sendable {
    private let create: @Sendable () -> OpaquePointer?
    private let free = Guarded<[OpaquePointer]>([])

    init(_ create: @escaping @Sendable () -> OpaquePointer?) { self.create = create }

    func use<Result>(_ body: (OpaquePointer) throws -> Result) throws -> Result {
      guard let context = free.withLock({ $0.popLast() }) ?? create() else {
        throw Failure(.software, "zstd gave no context")
      }
      defer { free.withLock { $0.append(context) } }
      return try body(context)
    }
  }

  private static let packers = Contexts { ZSTD_createCCtx() }
  private static let unpackers = Contexts { ZSTD_createDCtx() }

  /// What is unpacked without a look at its head.
  private static let small = 64 << 20

  /// - Parameter check: sees the first bytes of much content, safetensors' header whole, and the size
  ///   that the frame declares, before memory for all of it is asked for.
  /// Throws 65 for a frame that is damaged, has no content checksum or is not the only one, and what
  /// `check` throws.
  static func decompress(
    _ bytes: UnsafeRawBufferPointer, place: String,
    check: (_ head: UnsafeRawBufferPointer, _ total: Int) throws -> Void
  ) throws -> Block {
    let size = ZSTD_getFrameContentSize(bytes.baseAddress, bytes.count)
    // Both of zstd's error values lie far above any size.
    guard size <= largest else {
      throw Failure(.badData, "damaged: not a zstd frame of known size", at: place)
    }
    // The byte behind the magic number describes the frame; bit 2 announces a checksum at its end.
    guard bytes.count > 4, bytes[4] & 4 != 0 else {
      throw damaged("the zstd frame has no content checksum", place)
    }
    guard ZSTD_findFrameCompressedSize(bytes.baseAddress, bytes.count) == bytes.count else {
      throw damaged("not one whole zstd frame", place)
    }
    if size > small {
      let lengthWord = try head(of: bytes, count: 8, place: place)
      let length = try lengthWord.withUnsafeBytes {
        try SafetensorsHeader.length($0, total: Int(size), place: place)
      }
      try head(of: bytes, count: 8 + length, place: place).withUnsafeBytes {
        try check($0, Int(size))
      }
    }
    return try unpackers.use { context in
      try Block(capacity: Int(size)) { out in
        let result = ZSTD_decompressDCtx(
          context, out.baseAddress, out.count, bytes.baseAddress, bytes.count)
        guard ZSTD_isError(result) == 0, result == out.count else {
          throw damaged(
            ZSTD_isError(result) == 0
              ? "cut off" : String(cString: ZSTD_getErrorName(result)).lowercased(), place)
        }
        return result
      }
    }
  }

  /// The first `count` bytes of a frame's content.
  private static func head(of source: UnsafeRawBufferPointer, count: Int, place: String) throws
    -> [UInt8]
  {
    guard let stream = ZSTD_createDStream() else {
      throw Failure(.software, "zstd gave no context")
    }
    defer { ZSTD_freeDStream(stream) }
    var problem: String?
    let head = [UInt8](unsafeUninitializedCapacity: count) { out, filled in
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
    guard problem == nil, head.count == count else { throw damaged(problem ?? "cut off", place) }
    return head
  }

  private static func damaged(_ what: String, _ place: String) -> Failure {
    Failure(
      .badData, "damaged: \(what)", at: place, advice: CheckedFiles.advice)
  }
}
