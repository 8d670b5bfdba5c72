import CGlibc
import COneDNN
import Glibc

/// A product of bfloat16 matrices with float32 sums, by oneDNN: compiled once for each shape. It runs
/// on the thread that calls it; how work is split over threads stays ours.
final class BFloat16Product: @unchecked Sendable {
  struct Shape: Hashable {
    var m: Int, n: Int, k: Int
    var lda: Int, ldb: Int, ldc: Int
    var transposeA: Bool, transposeB: Bool
    var beta: Float
  }

  private var product = bf16_product()
  nonisolated(unsafe) private static let engine: dnnl_engine_t? = {
    // Some products ask malloc for their working memory, each time anew; as pages of its own it would
    // be cleared each time.
    _ = mallopt(M_MMAP_THRESHOLD, 32 << 20)
    _ = mallopt(M_TRIM_THRESHOLD, 16 << 20)
    // What is kept is kept here.
    dnnl_set_primitive_cache_capacity(0)
    var engine: dnnl_engine_t?
    return dnnl_engine_create(&engine, dnnl_cpu, 0) == dnnl_success ? engine : nil
  }()

  static let hasHardware = bf16_in_hardware() != 0

  private init(_ shape: Shape) {
    func layout(_ rows: Int, _ columns: Int, _ ld: Int, _ transposed: Bool) -> bf16_layout {
      bf16_layout(
        rows: rows, columns: columns, row_stride: transposed ? 1 : ld,
        column_stride: transposed ? ld : 1)
    }
    let status = bf16_product_create(
      &product, Self.engine, layout(shape.m, shape.k, shape.lda, shape.transposeA),
      layout(shape.k, shape.n, shape.ldb, shape.transposeB),
      layout(shape.m, shape.n, shape.ldc, false), shape.beta)
    guard status == dnnl_success else { Self.fail(status, shape) }
  }

  deinit { bf16_product_destroy(&product) }

  /// The products compiled last. Lengths vary, so there is no end of shapes, and each takes some 30 KB:
  /// those that were not asked for since so many others go; what a thread still runs is held by it.
  private struct Compiled {
    static let most = 192
    var recent: [Shape: BFloat16Product] = [:]
    var before: [Shape: BFloat16Product] = [:]

    mutating func find(_ shape: Shape) -> BFloat16Product? {
      if let found = recent[shape] { return found }
      guard let found = before[shape] else { return nil }
      keep(found, shape)
      return found
    }

    mutating func keep(_ product: BFloat16Product, _ shape: Shape) {
      if recent.count >= Compiled.most { (before, recent) = (recent, [:]) }
      recent[shape] = product
    }
  }
  private static let compiled = Guarded(Compiled())

  static func of(_ shape: Shape) -> BFloat16Product {
    if let found = compiled.withLock({ $0.find(shape) }) { return found }
    // Apart from the lock: compiling may take milliseconds, and the other threads have work.
    let made = BFloat16Product(shape)
    return compiled.withLock { known in
      if let found = known.find(shape) { return found }
      known.keep(made, shape)
      return made
    }
  }

  /// Whether the calling thread's products were told to use no other thread.
  private static let settled: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  static func settleThread() {
    guard pthread_getspecific(settled) == nil else { return }
    bf16_single_thread()
    pthread_setspecific(settled, UnsafeRawPointer(bitPattern: 1))
  }

  func run(a: UnsafeRawPointer, b: UnsafeRawPointer, c: UnsafeMutablePointer<Float>) {
    let scratch = Buffer(count: product.scratch_bytes / 4 + 32)
    let aligned = UnsafeMutableRawPointer(scratch.pointer).alignedUp(toMultipleOf: 64)
    let status = withUnsafePointer(to: product) {
      bf16_product_run($0, Self.engine, a, b, c, aligned)
    }
    withExtendedLifetime(scratch) {}
    guard status == dnnl_success else { Self.fail(status, nil) }
  }

  /// Only memory can be lacking: shapes are checked by the callers.
  private static func fail(_ status: dnnl_status_t, _ shape: Shape?) -> Never {
    let text =
      "error: oneDNN cannot multiply (status \(status.rawValue))\(shape.map { ": \($0)" } ?? "")\n"
    _ = write(STDERR_FILENO, text, text.utf8.count)
    exit(70)
  }
}
