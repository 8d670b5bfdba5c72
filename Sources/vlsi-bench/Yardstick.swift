import CZstd
import Failures
import Foundation
import Kernels

/// Reaches a limit as simply as can be, again and again.
struct Yardstick {
  private let amount: Double
  private let body: () throws -> Void

  /// Units a second, the best of some trials.
  func best() throws -> Double {
    amount / (try (0..<3).reduce(Double.infinity) { best, _ in min(best, try seconds(body)) })
  }

  init(_ limit: Limit) throws {
    switch limit {
    case .sgemm: self.init(products: .float32)
    case .bf16: self.init(products: .bfloat16)
    case .read: self.init(readingOf: Self.bytes)
    case .write: self.init(writingOf: Self.bytes)
    case .compress, .decompress:
      try self.init(
        zstdOf: FeatureRecords.content(records: 8), packing: limit == .compress)
    }
    // The first time brings memory and code.
    try body()
  }

  private init(_ amount: Int, _ body: @escaping () throws -> Void) {
    self.amount = Double(amount)
    self.body = body
  }

  /// A square product, its factors rounded beforehand.
  private init(products precision: Precision) {
    let side = 2048
    let x = RandomNumbers.float32(side * side), y = Buffer(count: side * side)
    let multiplier = precision.use { Multiplier.current }
    let factor = multiplier.factor(x.pointer, side * side)
    self.init(2 * side * side * side) {
      parallelFor(side) { rows in
        multiplier.product(
          rows.count, side, side, a: factor + rows.lowerBound * side, lda: side, b: factor,
          ldb: side, transposeB: true, c: y.pointer + rows.lowerBound * side, ldc: side)
      }
      withExtendedLifetime(x) {}
    }
  }

  /// Far more than the caches hold.
  private static let bytes = 512 << 20

  /// Every thread reads four streams, as fetching ahead likes it best.
  private init(readingOf bytes: Int) {
    let buffer = Buffer(zeros: bytes / 4)
    let found = Guarded(SIMD8<UInt64>())
    self.init(bytes) {
      let words = UnsafeRawPointer(buffer.pointer)
      parallelFor(bytes / 256) { blocks in
        let start = words + blocks.lowerBound * 256, quarter = blocks.count * 64
        var a = SIMD8<UInt64>(), b = a, c = a, d = a
        for place in stride(from: 0, to: quarter, by: 64) {
          a ^= (start + place).load(as: SIMD8<UInt64>.self)
          b ^= (start + place + quarter).load(as: SIMD8<UInt64>.self)
          c ^= (start + place + 2 * quarter).load(as: SIMD8<UInt64>.self)
          d ^= (start + place + 3 * quarter).load(as: SIMD8<UInt64>.self)
        }
        // What was read is kept, or the loop would be left out.
        found.withLock { [a, b, c, d] in $0 ^= a ^ b ^ c ^ d }
      }
    }
  }

  private init(writingOf bytes: Int) {
    let buffer = Buffer(count: bytes / 4)
    self.init(bytes) {
      parallelFor(bytes / 4) { range in
        memset(buffer.pointer + range.lowerBound, 1, 4 * range.count)
      }
    }
  }

  /// zstd on its own, with the level and the checksum that records have: packing on all threads, as
  /// records are packed, unpacking on one.
  private init(zstdOf content: [UInt8], packing: Bool) throws {
    let packers = (0..<(packing ? Parallelism.threads : 1)).map { _ in Packer(content) }
    self.init(content.count * packers.count) {
      let sound = Guarded(true)
      parallelTasks(packers.count) { i in
        let size = packing ? packers[i].pack(content) : packers[i].unpack()
        if ZSTD_isError(size) != 0 { sound.withLock { $0 = false } }
      }
      guard sound.withLock({ $0 }) else { throw Failure(.software, "zstd failed") }
    }
  }

  private final class Packer {
    private let packer = ZSTD_createCCtx(), unpacker = ZSTD_createDCtx()
    private var packed: [UInt8], unpacked: [UInt8]
    private var size = 0

    init(_ content: [UInt8]) {
      packed = [UInt8](repeating: 0, count: ZSTD_compressBound(content.count))
      unpacked = content
      ZSTD_CCtx_setParameter(packer, ZSTD_c_compressionLevel, 1)
      ZSTD_CCtx_setParameter(packer, ZSTD_c_checksumFlag, 1)
      size = pack(content)
    }

    deinit {
      ZSTD_freeCCtx(packer)
      ZSTD_freeDCtx(unpacker)
    }

    func pack(_ content: [UInt8]) -> Int {
      ZSTD_compress2(packer, &packed, packed.count, content, content.count)
    }

    func unpack() -> Int {
      ZSTD_decompressDCtx(unpacker, &unpacked, unpacked.count, packed, size)
    }
  }
}
