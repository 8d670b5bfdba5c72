import Kernels

extension Tape {
  /// y [n, out] = x [n, in] Wᵀ + b, with W [out, in] and b [out].
  public func linear(_ x: Tensor, _ weight: Parameter, bias: Parameter? = nil) -> Tensor {
    let view = weight.view
    precondition(x.columns == view.columns, "\(weight.name): \(x.shape) into \(weight.shape)")
    let n = x.rows
    let y = result(
      Array(x.shape.dropLast()) + [view.rows],
      needsGradient: x.needsGradient || weight.trainable || bias?.trainable == true)
    multiply(x.values, n, transposed: weight.factor, into: y.values)
    if let bias { addRow(bias.floats, to: y.values, rows: n, columns: view.rows) }
    record(y) { dy in
      if let (dx, beta) = x.gradientTarget() {
        multiply(dy, n, by: weight.factor, beta: beta, into: dx)
      }
      if let (dw, beta) = weight.gradientTarget() {
        multiply(
          dy, transposedBy: x.values, n, rows: view.rows, columns: view.columns, beta: beta,
          into: dw)
      }
      if let db = bias?.gradientSum() {
        addColumnSums(dy, rows: n, columns: view.rows, to: db)
      }
    }
    return y
  }

  /// x + alpha y, of equal shapes.
  public func add(_ x: Tensor, _ y: Tensor, alpha: Float = 1) -> Tensor {
    precondition(x.shape == y.shape, "\(x.shape) + \(y.shape)")
    let z = result(x.shape, needsGradient: x.needsGradient || y.needsGradient)
    sum(x.values, y.values, alpha, into: z.values, z.count)
    record(z) { dz in
      if let dx = x.gradientSum() { addScaled(dz, 1, to: dx, x.count) }
      if let dy = y.gradientSum() { addScaled(dz, alpha, to: dy, y.count) }
    }
    return z
  }

  /// The columns `range` of x.
  public func columns(_ x: Tensor, _ range: Range<Int>) -> Tensor {
    let rows = x.rows, width = x.columns
    let y = result([rows, range.count], needsGradient: x.needsGradient)
    for r in 0..<rows {
      (y.values + r * range.count).update(
        from: x.values + r * width + range.lowerBound, count: range.count)
    }
    record(y) { dy in
      guard let dx = x.gradientSum() else { return }
      for r in 0..<rows {
        let target = dx + r * width + range.lowerBound, source = dy + r * range.count
        for j in 0..<range.count { target[j] += source[j] }
      }
    }
    return y
  }

  /// The mean over rows of the squared distance |x - y|² [rows, d], y fixed, divided by
  /// `normaliser` instead of the number of rows where given. One element.
  public func squaredDistance(_ x: Tensor, to y: Tensor, normaliser: Float? = nil) -> Tensor {
    precondition(x.shape == y.shape, "\(x.shape) to \(y.shape)")
    let loss = result([1], needsGradient: x.needsGradient)
    let scale = 1 / (normaliser ?? Float(max(1, x.rows)))
    let difference = result(x.shape, needsGradient: false)
    sum(x.values, y.values, -1, into: difference.values, x.count)
    loss.values[0] = Float(sumOfSquares(difference.values, x.count)) * scale
    record(loss) { d in
      if let dx = x.gradientSum() {
        addScaled(difference.values, 2 * scale * d[0], to: dx, x.count)
      }
    }
    return loss
  }

  /// alpha x.
  public func scaled(_ x: Tensor, by alpha: Float) -> Tensor {
    let y = result(x.shape, needsGradient: x.needsGradient)
    y.values.update(from: x.values, count: x.count)
    scale(y.values, alpha, y.count)
    record(y) { dy in
      if let dx = x.gradientSum() { addScaled(dy, alpha, to: dx, x.count) }
    }
    return y
  }
}
