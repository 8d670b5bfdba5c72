import COneDNN
import Glibc
import Testing

@testable import Kernels

/// Matrix products against plain sums in double precision.
@Suite struct GemmTests {
  @Test(arguments: [1, 2, 3]) func allTransposesAndSplits(threads: Int) {
    // Rows decide the split in the first three, columns in the others; padding between the rows.
    let shapes = [(1, 1, 1), (130, 17, 9), (700, 33, 64), (5, 900, 40), (19, 257, 130)]
    for (m, n, k) in shapes {
      for transposeA in [false, true] {
        for transposeB in [false, true] {
          var draw = Draw(UInt64(m + n))
          let pad = 3
          let lda = (transposeA ? m : k) + pad, ldb = (transposeB ? k : n) + pad, ldc = n + pad
          let a = draw.numbers((transposeA ? k : m) * lda)
          let b = draw.numbers((transposeB ? n : k) * ldb)
          let before = draw.numbers(m * ldc)
          let c = Buffer(before)
          Parallelism.withThreads(threads) {
            gemm(
              m, n, k, alpha: 0.5, a: a, lda: lda, transposeA: transposeA, b: b, ldb: ldb,
              transposeB: transposeB, beta: -2, c: c.pointer, ldc: ldc)
          }
          let found = c.array
          var worst = 0.0
          for i in 0..<m {
            for j in 0..<ldc {
              var expected = Double(before[i * ldc + j])
              if j < n {
                var total = 0.0
                for l in 0..<k {
                  total +=
                    Double(a[transposeA ? l * lda + i : i * lda + l])
                    * Double(b[transposeB ? j * ldb + l : l * ldb + j])
                }
                expected = 0.5 * total - 2 * expected
              }
              worst = max(worst, abs(Double(found[i * ldc + j]) - expected))
            }
          }
          #expect(
            worst < 2e-5, "\(m) \(n) \(k) \(transposeA) \(transposeB): \(worst)")
        }
      }
    }
  }

  /// Debian's OpenBLAS takes a processor that is newer than it for one of 2004.
  @Test func kernelsSuitTheProcessor() {
    let avx2: UInt32 = 0x7, avx512: UInt32 = 0x27, bfloat16: UInt32 = 0xe7, amx: UInt32 = 0x3e7
    for (chosen, abilities, better) in [
      ("Prescott", avx2, "Haswell"), ("Prescott", avx512, "SkylakeX"),
      ("Prescott", amx, "Cooperlake"),
      ("Zen", bfloat16, "Cooperlake"), ("Haswell", avx512, "SkylakeX"),
      ("Nehalem", avx2, "Haswell"),
    ] {
      #expect(OpenBLASCore.better(than: chosen, abilities: abilities) == better, "\(chosen)")
    }
    for (chosen, abilities) in [
      ("Prescott", 0x3 as UInt32), ("Zen", avx2), ("Haswell", avx2), ("SkylakeX", avx512),
      ("SkylakeX", bfloat16), ("Cooperlake", amx), ("SapphireRapids", amx),
    ] {
      #expect(OpenBLASCore.better(than: chosen, abilities: abilities) == nil, "\(chosen)")
    }
  }

  @Test(.enabled(if: getenv("OPENBLAS_CORETYPE") == nil, "OPENBLAS_CORETYPE says which"))
  func kernelsAreChosen() {
    let abilities = dnnl_get_effective_cpu_isa().rawValue
    #expect(OpenBLASCore.better(than: OpenBLASCore.name, abilities: abilities) == nil)
  }

  @Test func zeroBetaOverwritesWhateverWasThere() {
    let c = Buffer([Float](repeating: .nan, count: 6))
    gemm(2, 3, 1, a: [1, 2], lda: 1, b: [3, 4, 5], ldb: 3, c: c.pointer, ldc: 3)
    #expect(c.array == [3, 4, 5, 6, 8, 10])
    // No inner dimension: an empty sum.
    gemm(2, 3, 0, a: [1], lda: 1, b: [1, 1, 1], ldb: 3, c: c.pointer, ldc: 3)
    #expect(c.array == [Float](repeating: 0, count: 6))
  }

  /// Narrow weights, wider than a panel of a million numbers: the same as their widened copies.
  @Test(arguments: [ElementType.bfloat16, .float16, .float32], [1, 2])
  func narrowWeights(type: ElementType, threads: Int) {
    for (rows, columns, n) in [(40, 40_000, 2), (1_100, 1_000, 3), (77, 64, 33), (1, 5, 4)] {
      var draw = Draw(7)
      // One number drawn for some hundred: drawing a million would take longer than the product.
      let seeds = draw.numbers(997)
      let weights = (0..<rows * columns).map { seeds[$0 % 997] }
      let stored = Buffer(weights)
      let bytes = UnsafeMutableRawPointer.allocate(
        byteCount: weights.count * type.size, alignment: 64)
      defer { bytes.deallocate() }
      narrow(stored.pointer, weights.count, to: type, at: bytes)
      widen(bytes, type, weights.count, to: stored.pointer)
      let narrowView = MatrixView(bytes, type: type, rows: rows, columns: columns)
      let wideView = MatrixView(stored.pointer, type: .float32, rows: rows, columns: columns)

      func both(_ size: (into: Int, from: Int), _ multiply: (MatrixView, Buffer, Buffer) -> Void) {
        var draw = Draw(8)
        let x = Buffer(draw.numbers(n * size.from)), start = draw.numbers(n * size.into)
        let narrow = Buffer(start), wide = Buffer(start)
        Parallelism.withThreads(threads) { multiply(narrowView, x, narrow) }
        Parallelism.withThreads(1) { multiply(wideView, x, wide) }
        let error = relativeError(narrow.array, wide.array.map(Double.init))
        #expect(error < 3e-6, "\(type.rawValue) \(rows) × \(columns), \(threads) threads: \(error)")
      }
      for beta in [Float(0), 1] {
        both((into: rows, from: columns)) { w, x, y in
          multiply(x.pointer, n, transposed: w, beta: beta, into: y.pointer)
        }
        both((into: columns, from: rows)) { w, y, x in
          multiply(y.pointer, n, by: w, beta: beta, into: x.pointer)
        }
      }
    }
  }

  /// A row's product with bfloat16 weights is the same number whatever lies beside it, as long as
  /// there are few rows: an answer does not depend on what is answered with it.
  @Test func fewRowsStandAlone() {
    let rows = 150, columns = 77
    var draw = Draw(9)
    let weights = draw.numbers(rows * columns), x = draw.numbers(16 * columns)
    var bits = weights.map(roundToBFloat16)
    bits.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      let view = MatrixView(base, type: .bfloat16, rows: rows, columns: columns)
      let alone = Buffer(zeros: 16 * rows), together = Buffer(zeros: 16 * rows)
      for row in 0..<16 {
        let line = Buffer(Array(x[row * columns..<(row + 1) * columns]))
        multiply(line.pointer, 1, transposed: view, into: alone.pointer + row * rows)
      }
      for n in 2...16 {
        multiply(x, n, transposed: view, into: together.pointer)
        #expect(together.array[..<(n * rows)] == alone.array[..<(n * rows)], "\(n) rows")
      }
      let expected = (0..<16 * rows).map { place in
        (0..<columns).reduce(0.0) { total, j in
          let weight = Float(
            bitPattern: UInt32(roundToBFloat16(weights[place % rows * columns + j])) << 16)
          return total + Double(x[place / rows * columns + j]) * Double(weight)
        }
      }
      #expect(relativeError(together.array, expected) < 1e-6)
    }
  }
}
