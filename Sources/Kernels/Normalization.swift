/// RMS normalisation of the rows of `x` [rows, columns]: y = x / sqrt(mean(x²) + epsilon) · weight.
/// `inverse` [rows] keeps 1 / sqrt(…) for the gradient.
public func rmsNorm(
  _ x: UnsafePointer<Float>, rows: Int, columns: Int, weight: UnsafePointer<Float>, epsilon: Float,
  into y: UnsafeMutablePointer<Float>, inverse: UnsafeMutablePointer<Float>
) {
  parallelFor(rows, grain: max(1, (1 << 14) / columns)) { range in
    for r in range {
      let source = x + r * columns, target = y + r * columns
      let scale = 1 / (dot(source, source, columns) / Float(columns) + epsilon).squareRoot()
      inverse[r] = scale
      for j in 0..<columns { target[j] = source[j] * scale * weight[j] }
    }
  }
}

/// Adds the gradients of `rmsNorm`: to `xGradient` [rows, columns] and, where asked for, to
/// `weightGradient` [columns].
public func rmsNormBackward(
  _ x: UnsafePointer<Float>, rows: Int, columns: Int, weight: UnsafePointer<Float>,
  inverse: UnsafePointer<Float>, outGradient: UnsafePointer<Float>,
  xGradient: UnsafeMutablePointer<Float>?, weightGradient: UnsafeMutablePointer<Float>?
) {
  if let xGradient {
    parallelFor(rows, grain: max(1, (1 << 14) / columns)) { range in
      for r in range {
        let source = x + r * columns, d = outGradient + r * columns
        let target = xGradient + r * columns
        let scale = inverse[r]
        var lanes = Lanes(repeating: 0)
        eights(0..<columns) {
          lanes += load(d + $0) * load(weight + $0) * load(source + $0)
        } _: {
          lanes += load(d, only: $0) * load(weight, only: $0) * load(source, only: $0)
        }
        let projection = lanes.sum() * scale * scale * scale / Float(columns)
        for j in 0..<columns {
          target[j] += d[j] * weight[j] * scale - source[j] * projection
        }
      }
    }
  }
  if let weightGradient {
    parallelFor(columns, grain: max(16, (1 << 14) / max(1, rows))) { range in
      for r in 0..<rows {
        let source = x + r * columns, d = outGradient + r * columns
        let scale = inverse[r]
        for j in range { weightGradient[j] += d[j] * source[j] * scale }
      }
    }
  }
}

/// Layer normalisation of the rows of `x` [rows, columns], with weight and bias [columns].
/// `mean` and `inverse` [rows] are kept for the gradient.
public func layerNorm(
  _ x: UnsafePointer<Float>, rows: Int, columns: Int, weight: UnsafePointer<Float>,
  bias: UnsafePointer<Float>, epsilon: Float, into y: UnsafeMutablePointer<Float>,
  mean: UnsafeMutablePointer<Float>, inverse: UnsafeMutablePointer<Float>
) {
  parallelFor(rows, grain: max(1, (1 << 14) / columns)) { range in
    for r in range {
      let source = x + r * columns, target = y + r * columns
      var total = Lanes(repeating: 0)
      eights(0..<columns) {
        total += load(source + $0)
      } _: {
        total += load(source, only: $0)
      }
      let center = total.sum() / Float(columns)
      var squares = Lanes(repeating: 0)
      var rest: Float = 0
      eights(0..<columns) {
        let distance = load(source + $0) - center
        squares += distance * distance
      } _: {
        for j in $0 { rest += (source[j] - center) * (source[j] - center) }
      }
      let scale = 1 / ((squares.sum() + rest) / Float(columns) + epsilon).squareRoot()
      mean[r] = center
      inverse[r] = scale
      for j in 0..<columns { target[j] = (source[j] - center) * scale * weight[j] + bias[j] }
    }
  }
}

/// Adds the gradients of `layerNorm`.
public func layerNormBackward(
  _ x: UnsafePointer<Float>, rows: Int, columns: Int, weight: UnsafePointer<Float>,
  mean: UnsafePointer<Float>, inverse: UnsafePointer<Float>, outGradient: UnsafePointer<Float>,
  xGradient: UnsafeMutablePointer<Float>?, weightGradient: UnsafeMutablePointer<Float>?,
  biasGradient: UnsafeMutablePointer<Float>?
) {
  if let xGradient {
    parallelFor(rows, grain: max(1, (1 << 14) / columns)) { range in
      for r in range {
        let source = x + r * columns, d = outGradient + r * columns
        let target = xGradient + r * columns
        let center = mean[r], scale = inverse[r]
        var total = Lanes(repeating: 0), products = Lanes(repeating: 0)
        eights(0..<columns) {
          let g = load(d + $0) * load(weight + $0)
          total += g
          products += g * (load(source + $0) - center)
        } _: {
          let g = load(d, only: $0) * load(weight, only: $0)
          total += g
          products += g * (load(source, only: $0) - center)
        }
        let sum = total.sum() / Float(columns)
        let projection = products.sum() * scale * scale / Float(columns)
        for j in 0..<columns {
          target[j] += scale * (d[j] * weight[j] - sum - (source[j] - center) * projection)
        }
      }
    }
  }
  parallelFor(columns, grain: max(16, (1 << 14) / max(1, rows))) { range in
    for r in 0..<rows {
      let source = x + r * columns, d = outGradient + r * columns
      let center = mean[r], scale = inverse[r]
      if let weightGradient {
        for j in range { weightGradient[j] += d[j] * (source[j] - center) * scale }
      }
      if let biasGradient { for j in range { biasGradient[j] += d[j] } }
    }
  }
}
