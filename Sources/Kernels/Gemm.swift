import COpenBLAS

/// `C = alpha op(A) op(B) + beta C` on the calling thread. Row-major; op(A) is [m, k], op(B) is
/// [k, n], C is [m, n]; `ld*` are the distances between stored rows.
public func gemmSerial(
  _ m: Int, _ n: Int, _ k: Int, alpha: Float = 1,
  a: UnsafePointer<Float>, lda: Int, transposeA: Bool = false,
  b: UnsafePointer<Float>, ldb: Int, transposeB: Bool = false,
  beta: Float = 0, c: UnsafeMutablePointer<Float>, ldc: Int
) {
  OpenBLASCore.settle()
  guard m > 0, n > 0 else { return }
  cblas_sgemm(
    CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
    Int32(m), Int32(n), Int32(k), alpha, a, Int32(lda), b, Int32(ldb), beta, c, Int32(ldc))
}

/// `C = alpha op(A) op(B) + beta C`, as `gemmSerial`, over `Parallelism.threads` threads.
public func gemm(
  _ m: Int, _ n: Int, _ k: Int, alpha: Float = 1,
  a: UnsafePointer<Float>, lda: Int, transposeA: Bool = false,
  b: UnsafePointer<Float>, ldb: Int, transposeB: Bool = false,
  beta: Float = 0, c: UnsafeMutablePointer<Float>, ldc: Int
) {
  // Below this the hand-over to another thread costs more than it saves.
  let grain = max(16, (1 << 19) / max(1, min(m, n) * k))
  if m >= n {
    parallelFor(m, grain: grain) { rows in
      gemmSerial(
        rows.count, n, k, alpha: alpha,
        a: a + rows.lowerBound * (transposeA ? 1 : lda), lda: lda, transposeA: transposeA,
        b: b, ldb: ldb, transposeB: transposeB,
        beta: beta, c: c + rows.lowerBound * ldc, ldc: ldc)
    }
  } else {
    parallelFor(n, grain: grain) { columns in
      gemmSerial(
        m, columns.count, k, alpha: alpha,
        a: a, lda: lda, transposeA: transposeA,
        b: b + columns.lowerBound * (transposeB ? ldb : 1), ldb: ldb, transposeB: transposeB,
        beta: beta, c: c + columns.lowerBound, ldc: ldc)
    }
  }
}

/// A weight matrix as it lies in memory or in a mapped checkpoint: [rows, columns], row-major,
/// float32, bfloat16 or float16. The pointer's owner must outlive the view.
public struct MatrixView: @unchecked Sendable {
  public let pointer: UnsafeRawPointer
  public let type: ElementType
  public let rows: Int
  public let columns: Int

  public init(_ pointer: UnsafeRawPointer, type: ElementType, rows: Int, columns: Int) {
    self.pointer = pointer
    self.type = type
    self.rows = rows
    self.columns = columns
  }

  /// The float32 numbers themselves, when they are stored so.
  public var floats: UnsafePointer<Float>? {
    type == .float32 ? pointer.assumingMemoryBound(to: Float.self) : nil
  }

  /// Writes `rows` of the columns `columns` to `target` as float32, row by row.
  public func widen(
    rows: Range<Int>, columns: Range<Int>, to target: UnsafeMutablePointer<Float>
  ) {
    for (line, row) in rows.enumerated() {
      let source = pointer + (row * self.columns + columns.lowerBound) * type.size
      Kernels.widen(source, type, columns.count, to: target + line * columns.count)
    }
  }
}
