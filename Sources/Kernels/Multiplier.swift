/// The one seam through which activations meet stored matrices: it brings both factors into the form
/// that the precision asks for and multiplies them, by OpenBLAS or by oneDNN.
///
/// A kernel takes `current` before it splits its work over threads; `factor` and `FactorPanel` make
/// the factors, `product` multiplies them on the calling thread.
public struct Multiplier: Sendable {
  /// What factors consist of when they are multiplied: bfloat16 by oneDNN, float32 by OpenBLAS.
  let elements: ElementType
  /// Whether float32 numbers are rounded to bfloat16: always for bfloat16 elements.
  let rounds: Bool
  /// Whether what rounding leaves becomes a second factor.
  private(set) var keepsRest: Bool

  /// That of `Precision.current` on this processor.
  public static var current: Multiplier { Multiplier(Precision.current) }

  /// - Parameter hardware: whether bfloat16 factors go to oneDNN; elsewhere they are rounded numbers
  ///   in float32, with the same products.
  init(_ precision: Precision, hardware: Bool = Precision.hasHardware) {
    rounds = precision != .float32
    keepsRest = precision == .bfloat16x2
    elements = rounds && hardware ? .bfloat16 : .float32
  }

  /// Whether a matrix of this type is multiplied as it lies.
  func takes(_ type: ElementType) -> Bool { type == elements && (type == .bfloat16 || !rounds) }

  /// Activations as a factor: `count` numbers in their order, rounded over several threads where the
  /// precision rounds. `x` must outlive the factor.
  public func factor(_ x: UnsafePointer<Float>, _ count: Int) -> Factor {
    guard rounds else { return Factor(high: x, low: nil, elements: .float32) }
    let panel = FactorPanel(self, count: count)
    let high = panel.high.pointer, low = panel.low?.pointer
    parallelFor(count, grain: 1 << 15) { range in
      split(x + range.lowerBound, range.count, high, low, at: range.lowerBound)
    }
    return panel.factor(low: keepsRest)
  }

  /// Activations as products see them, where that is not as they are: rounded. What is computed from
  /// them besides has to start from the same numbers, or the two do not belong together.
  public func seen(_ x: UnsafePointer<Float>, _ count: Int) -> Buffer? {
    guard rounds, !keepsRest else { return nil }
    let rounded = Buffer(count: count)
    parallelFor(count, grain: 1 << 15) { range in
      roundInPlace(
        x + range.lowerBound, range.count, high: rounded.pointer + range.lowerBound, low: nil)
    }
    return rounded
  }

  /// The same, but with what rounding leaves of activations as a second factor.
  public var keepingRest: Multiplier {
    var other = self
    other.keepsRest = rounds
    return other
  }

  /// Rounds numbers to `high` and what that leaves to `low`, from number `place` of both on.
  func split(
    _ x: UnsafePointer<Float>, _ count: Int, _ high: UnsafeMutablePointer<Float>,
    _ low: UnsafeMutablePointer<Float>?, at place: Int
  ) {
    if elements == .bfloat16 {
      roundApart(
        x, count, high: UnsafeMutableRawPointer(high) + 2 * place,
        low: low.map { UnsafeMutableRawPointer($0) + 2 * place })
    } else {
      roundInPlace(x, count, high: high + place, low: low.map { $0 + place })
    }
  }

  /// `C = op(A) op(B) + beta C` on the calling thread, row-major, as `gemmSerial`.
  public func product(
    _ m: Int, _ n: Int, _ k: Int, a: Factor, lda: Int, transposeA: Bool = false,
    b: Factor, ldb: Int, transposeB: Bool = false, beta: Float = 0,
    c: UnsafeMutablePointer<Float>, ldc: Int
  ) {
    guard m > 0, n > 0 else { return }
    func add(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, beta: Float) {
      if elements == .float32 || k == 0 {
        gemmSerial(
          m, n, k, a: a.assumingMemoryBound(to: Float.self), lda: lda, transposeA: transposeA,
          b: b.assumingMemoryBound(to: Float.self), ldb: ldb, transposeB: transposeB, beta: beta,
          c: c, ldc: ldc)
        return
      }
      BFloat16Product.settleThread()
      BFloat16Product.of(
        BFloat16Product.Shape(
          m: m, n: n, k: k, lda: lda, ldb: ldb, ldc: ldc, transposeA: transposeA,
          transposeB: transposeB, beta: beta)
      ).run(a: a, b: b, c: c)
    }
    add(a.high, b.high, beta: beta)
    if let low = a.low { add(low, b.high, beta: 1) }
    if let low = b.low { add(a.high, low, beta: 1) }
  }
}

/// A matrix in the form in which `Multiplier.product` takes it; of its own memory, or where it lay.
public struct Factor: @unchecked Sendable {
  let high: UnsafeRawPointer
  /// What rounding left of the numbers.
  let low: UnsafeRawPointer?
  let elements: ElementType
  private var owner: FactorPanel?

  init(
    high: UnsafeRawPointer, low: UnsafeRawPointer?, elements: ElementType,
    owner: FactorPanel? = nil
  ) {
    self.high = high
    self.low = low
    self.elements = elements
    self.owner = owner
  }

  /// The factor from its number `offset` on.
  public static func + (factor: Factor, offset: Int) -> Factor {
    let bytes = offset * factor.elements.size
    return Factor(
      high: factor.high + bytes, low: factor.low.map { $0 + bytes }, elements: factor.elements,
      owner: factor.owner)
  }
}

/// Memory for a factor that is filled again and again: one thread's panel of a matrix, or a block of
/// activations.
public final class FactorPanel: @unchecked Sendable {
  private let multiplier: Multiplier
  private let count: Int
  // Made when they are needed: float32 is often taken where it lies.
  private(set) lazy var high = Buffer(count: words)
  private(set) lazy var low = multiplier.keepsRest ? Buffer(count: words) : nil
  /// Numbers in float32 on their way.
  private lazy var wide = Buffer(count: count)

  /// - Parameter count: the most numbers that it will hold.
  public init(_ multiplier: Multiplier, count: Int) {
    self.multiplier = multiplier
    self.count = count
  }

  private var words: Int { multiplier.elements == .bfloat16 ? (count + 1) / 2 : count }

  func factor(low isWanted: Bool) -> Factor {
    Factor(
      high: high.pointer, low: isWanted ? low.map { UnsafeRawPointer($0.pointer) } : nil,
      elements: multiplier.elements, owner: self)
  }

  /// Fills it with activations; float32 that needs no rounding is taken where it lies.
  public func fill(_ x: UnsafePointer<Float>, _ count: Int) -> Factor {
    guard multiplier.rounds else { return Factor(high: x, low: nil, elements: .float32) }
    multiplier.split(x, count, high.pointer, low?.pointer, at: 0)
    return factor(low: multiplier.keepsRest)
  }

  /// Fills it with a part of a matrix, row by row without gaps. For whole rows see `Panels`.
  func fill(_ matrix: MatrixView, rows: Range<Int>, columns: Range<Int>) -> Factor {
    let numbers = rows.count * columns.count
    switch (multiplier.elements, matrix.type) {
    case (.float32, .bfloat16):
      matrix.widen(rows: rows, columns: columns, to: high.pointer)
    case (.float32, _):
      guard multiplier.rounds else {
        matrix.widen(rows: rows, columns: columns, to: high.pointer)
        break
      }
      matrix.widen(rows: rows, columns: columns, to: wide.pointer)
      return fill(wide.pointer, numbers)
    case (_, .bfloat16):
      for (line, row) in rows.enumerated() {
        (UnsafeMutableRawPointer(high.pointer) + 2 * line * columns.count).copyMemory(
          from: matrix.pointer + 2 * (row * matrix.columns + columns.lowerBound),
          byteCount: 2 * columns.count)
      }
    default:
      matrix.widen(rows: rows, columns: columns, to: wide.pointer)
      return fill(wide.pointer, numbers)
    }
    return factor(low: false)
  }
}

/// A matrix that a thread walks through in panels of whole rows: where it lies, if products take it
/// so, else brought into form panel by panel.
public struct Panels {
  private let matrix: MatrixView
  private let panel: FactorPanel?
  private let multiplier: Multiplier

  /// - Parameter rows: the most rows of a panel.
  public init(_ matrix: MatrixView, rows: Int, _ multiplier: Multiplier) {
    self.matrix = matrix
    self.multiplier = multiplier
    panel =
      multiplier.takes(matrix.type) ? nil : FactorPanel(multiplier, count: rows * matrix.columns)
  }

  public subscript(rows: Range<Int>) -> Factor {
    panel?.fill(matrix, rows: rows, columns: 0..<matrix.columns)
      ?? Factor(high: matrix.pointer, low: nil, elements: matrix.type)
      + rows.lowerBound * matrix.columns
  }
}
