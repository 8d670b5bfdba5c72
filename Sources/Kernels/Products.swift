// The products of activations with a matrix, split over threads. What a factor is made of, and who
// multiplies, is `Multiplier`'s.

/// Numbers of a matrix panel that is brought into form: small enough for the cache, large enough for
/// the product.
private let panelSize = 1 << 20

/// Below this the hand-over to another thread costs more than it saves.
private func grain(_ side: Int, _ k: Int) -> Int { max(16, (1 << 19) / max(1, side * k)) }

/// `y[n, rows] = x[n, columns] Wᵀ + beta y`. A matrix in another form than products take is brought
/// into form panel by panel, or read as it is where x has few rows.
public func multiply(
  _ x: UnsafePointer<Float>, _ n: Int, transposed w: MatrixView, beta: Float = 0,
  into y: UnsafeMutablePointer<Float>
) {
  let multiplier = Multiplier.current
  if w.type == .bfloat16, n <= mostNarrowRows {
    multiplyNarrow(
      x, n, transposed: w, rounding: multiplier.rounds && !multiplier.keepsRest, beta: beta, into: y
    )
    return
  }
  let a = multiplier.factor(x, n * w.columns)
  func product(_ lines: Range<Int>, _ rows: Range<Int>, _ b: Factor) {
    multiplier.product(
      lines.count, rows.count, w.columns, a: a + lines.lowerBound * w.columns, lda: w.columns,
      b: b, ldb: w.columns, transposeB: true, beta: beta,
      c: y + lines.lowerBound * w.rows + rows.lowerBound, ldc: w.rows)
  }
  guard multiplier.takes(w.type) else {
    let panel = max(16, min(panelSize / w.columns, w.rows))
    parallelFor(w.rows, grain: min(panel, 64)) { range in
      let panels = Panels(w, rows: min(panel, range.count), multiplier)
      for start in stride(from: range.lowerBound, to: range.upperBound, by: panel) {
        let rows = start..<min(start + panel, range.upperBound)
        product(0..<n, rows, panels[rows])
      }
    }
    return
  }
  let whole = Panels(w, rows: 0, multiplier)
  if n >= w.rows {
    parallelFor(n, grain: grain(w.rows, w.columns)) { product($0, 0..<w.rows, whole[0..<w.rows]) }
  } else {
    parallelFor(w.rows, grain: grain(n, w.columns)) { product(0..<n, $0, whole[$0]) }
  }
}

/// `x[n, columns] = y[n, rows] W + beta x`. A matrix in another form than products take is brought
/// into form panel by panel.
public func multiply(
  _ y: UnsafePointer<Float>, _ n: Int, by w: MatrixView, beta: Float = 0,
  into x: UnsafeMutablePointer<Float>
) {
  let multiplier = Multiplier.current
  let a = multiplier.factor(y, n * w.rows)
  guard multiplier.takes(w.type) else {
    parallelFor(w.columns, grain: 64) { columns in
      let height = max(16, min(panelSize / columns.count, w.rows))
      let panel = FactorPanel(multiplier, count: height * columns.count)
      for start in stride(from: 0, to: w.rows, by: height) {
        let rows = start..<min(start + height, w.rows)
        multiplier.product(
          n, columns.count, rows.count, a: a + start, lda: w.rows,
          b: panel.fill(w, rows: rows, columns: columns), ldb: columns.count,
          beta: start == 0 ? beta : 1, c: x + columns.lowerBound, ldc: w.columns)
      }
    }
    return
  }
  let b = Panels(w, rows: 0, multiplier)[0..<w.rows]
  func product(_ lines: Range<Int>, _ columns: Range<Int>) {
    multiplier.product(
      lines.count, columns.count, w.rows, a: a + lines.lowerBound * w.rows, lda: w.rows,
      b: b + columns.lowerBound, ldb: w.columns, beta: beta,
      c: x + lines.lowerBound * w.columns + columns.lowerBound, ldc: w.columns)
  }
  if n >= w.columns {
    parallelFor(n, grain: grain(w.columns, w.rows)) { product($0, 0..<w.columns) }
  } else {
    parallelFor(w.columns, grain: grain(n, w.rows)) { product(0..<n, $0) }
  }
}

/// `dw[rows, columns] = dy[n, rows]ᵀ x[n, columns] + beta dw`: a matrix's gradient.
public func multiply(
  _ dy: UnsafePointer<Float>, transposedBy x: UnsafePointer<Float>, _ n: Int, rows: Int,
  columns: Int, beta: Float, into dw: UnsafeMutablePointer<Float>
) {
  let multiplier = Multiplier.current
  let a = multiplier.factor(dy, n * rows), b = multiplier.factor(x, n * columns)
  func product(_ lines: Range<Int>, _ part: Range<Int>) {
    multiplier.product(
      lines.count, part.count, n, a: a + lines.lowerBound, lda: rows, transposeA: true,
      b: b + part.lowerBound, ldb: columns, beta: beta,
      c: dw + lines.lowerBound * columns + part.lowerBound, ldc: columns)
  }
  if rows >= columns {
    parallelFor(rows, grain: grain(columns, n)) { product($0, 0..<columns) }
  } else {
    parallelFor(columns, grain: grain(rows, n)) { product(0..<rows, $0) }
  }
}
