import Testing

@testable import Kernels

/// Products of rounded factors against sums in double precision of the numbers that they are said to
/// use, in every precision: by OpenBLAS, and by oneDNN where the processor multiplies bfloat16.
@Suite struct PrecisionTests {
  private static func rounded(_ x: [Float]) -> [Float] {
    x.map { Float(bitPattern: UInt32(roundToBFloat16($0)) << 16) }
  }

  @Test(
    arguments: [Precision.float32, .bfloat16, .bfloat16x2],
    Precision.hasHardware ? [true, false] : [false])
  func everyProductOfAMultiplier(precision: Precision, hardware: Bool) {
    let multiplier = Multiplier(precision, hardware: hardware)
    for (m, n, k) in [(1, 1, 1), (3, 70, 33), (64, 17, 129), (40, 40, 256)] {
      for transposeA in [false, true] {
        for transposeB in [false, true] {
          for beta in [Float(0), 1] {
            var draw = Draw(UInt64(m + n + k))
            let lda = (transposeA ? m : k) + 5, ldb = (transposeB ? k : n) + 2, ldc = n + 3
            let a = Buffer(draw.numbers((transposeA ? k : m) * lda))
            let b = Buffer(draw.numbers((transposeB ? n : k) * ldb))
            let before = draw.numbers(m * ldc)
            let c = Buffer(before)
            multiplier.product(
              m, n, k, a: multiplier.factor(a.pointer, a.count), lda: lda, transposeA: transposeA,
              b: multiplier.factor(b.pointer, b.count), ldb: ldb, transposeB: transposeB,
              beta: beta, c: c.pointer, ldc: ldc)
            let exact =
              precision == .bfloat16
              ? (Self.rounded(a.array), Self.rounded(b.array))
              : (a.array, b.array)
            var worst = 0.0, size = 0.0
            for i in 0..<m {
              for j in 0..<ldc {
                var expected = Double(before[i * ldc + j])
                if j < n {
                  expected *= Double(beta)
                  for l in 0..<k {
                    expected +=
                      Double(exact.0[transposeA ? l * lda + i : i * lda + l])
                      * Double(exact.1[transposeB ? j * ldb + l : l * ldb + j])
                  }
                }
                size = max(size, abs(expected))
                worst = max(worst, abs(Double(c.array[i * ldc + j]) - expected))
              }
            }
            // What two parts of a number leave is 2⁻¹⁷ of it.
            let bound = precision == .bfloat16x2 ? 4e-5 : 2e-6
            #expect(
              worst < bound * max(1, size),
              "\(m) \(n) \(k) \(transposeA) \(transposeB) \(beta): \(worst) of \(size)")
          }
        }
      }
    }
  }

  /// The three products of a layer, with a matrix of each type, against those of rounded numbers in
  /// float32; shapes that rows split, that columns split, and larger than a panel.
  @Test(arguments: [Precision.bfloat16, .bfloat16x2], [ElementType.float32, .float16, .bfloat16])
  func productsOfALayer(precision: Precision, type: ElementType) {
    for (n, rows, columns) in [(5, 33, 64), (40, 24, 129), (20, 1_500, 1_024)] {
      var draw = Draw(UInt64(n))
      let seeds = draw.numbers(997)
      let w = Buffer((0..<rows * columns).map { seeds[$0 % 997] })
      let bytes = UnsafeMutableRawPointer.allocate(byteCount: w.count * type.size, alignment: 64)
      defer { bytes.deallocate() }
      narrow(w.pointer, w.count, to: type, at: bytes)
      widen(bytes, type, w.count, to: w.pointer)
      let matrix = MatrixView(bytes, type: type, rows: rows, columns: columns)
      let x = Buffer(draw.numbers(n * columns)), y = Buffer(draw.numbers(n * rows))
      func results(_ x: Buffer, _ y: Buffer, _ w: MatrixView) -> [[Float]] {
        let out = Buffer(count: n * rows), back = Buffer(count: n * columns)
        let gradient = Buffer(zeros: rows * columns)
        Parallelism.withThreads(2) {
          multiply(x.pointer, n, transposed: w, into: out.pointer)
          multiply(y.pointer, n, by: w, into: back.pointer)
          multiply(
            y.pointer, transposedBy: x.pointer, n, rows: rows, columns: columns,
            beta: 1, into: gradient.pointer)
        }
        return [out.array, back.array, gradient.array]
      }
      let found = precision.use { results(x, y, matrix) }
      let isRounded = precision == .bfloat16
      let exact = Precision.float32.use {
        let numbers = isRounded ? Buffer(Self.rounded(w.array)) : w
        return results(
          isRounded ? Buffer(Self.rounded(x.array)) : x,
          isRounded ? Buffer(Self.rounded(y.array)) : y,
          MatrixView(numbers.pointer, type: .float32, rows: rows, columns: columns))
      }
      for (one, other) in zip(found, exact) {
        #expect(relativeError(one, other.map(Double.init)) < (isRounded ? 1e-5 : 6e-5), "\(n)")
      }
      // The same bytes twice.
      #expect(precision.use { results(x, y, matrix) } == found)
    }
  }

  @Test func roundingKeepsWhatIsNoNumberAndTiesGoToEven() {
    let values: [Float] = [
      .nan, .infinity, -.infinity, 0, -0.0, 1.00390625, 1.01171875, .leastNonzeroMagnitude, 3.14159,
      .greatestFiniteMagnitude, -1.00390625, 2,
    ]
    let buffer = Buffer(values), high = Buffer(count: values.count),
      low = Buffer(count: values.count)
    roundInPlace(buffer.pointer, values.count, high: high.pointer, low: low.pointer)
    let bits = UnsafeMutablePointer<UInt16>.allocate(capacity: values.count)
    defer { bits.deallocate() }
    narrow(buffer.pointer, values.count, to: .bfloat16, at: bits)
    for (i, value) in values.enumerated() {
      let expected = Float(bitPattern: UInt32(roundToBFloat16(value)) << 16)
      #expect(high.array[i] == expected || (expected.isNaN && high.array[i].isNaN), "\(value)")
      #expect(bits[i] == roundToBFloat16(value) || value.isNaN, "\(value)")
      if value.isNaN { #expect(Float(bitPattern: UInt32(bits[i]) << 16).isNaN) }
    }
    #expect(high.array[5] == 1 && high.array[6] == 1.015625)
  }

  @Test func precisionIsTheCallersOwn() {
    #expect(Precision.current == .float32)
    Precision.bfloat16.use {
      #expect(Precision.current == .bfloat16)
      Precision.bfloat16x2.use { #expect(Precision.current == .bfloat16x2) }
      #expect(Precision.current == .bfloat16)
    }
    #expect(Precision.current == .float32)
  }
}
