import Kernels

extension Tape {
  /// The rows of `weight` [vocabulary, d] that `ids` name. Ids must lie in the vocabulary.
  public func embedding(_ ids: [Int32], _ weight: Parameter) -> Tensor {
    let view = weight.view
    let d = view.columns
    let y = result([ids.count, d], needsGradient: weight.trainable)
    for (row, id) in ids.enumerated() {
      precondition(id >= 0 && Int(id) < view.rows, "token \(id) outside \(view.rows)")
      widen(view.pointer + Int(id) * d * view.type.size, view.type, d, to: y.values + row * d)
    }
    record(y) { dy in
      guard let dw = weight.gradientSum() else { return }
      for (row, id) in ids.enumerated() {
        let target = dw + Int(id) * d, source = dy + row * d
        for j in 0..<d { target[j] += source[j] }
      }
    }
    return y
  }

  /// The rows of `x` that `indices` name, in that order.
  public func gatherRows(_ x: Tensor, _ indices: [Int]) -> Tensor {
    let d = x.columns
    let y = result([indices.count, d], needsGradient: x.needsGradient)
    for (row, index) in indices.enumerated() {
      (y.values + row * d).update(from: x.values + index * d, count: d)
    }
    record(y) { dy in
      guard let dx = x.gradientSum() else { return }
      for (row, index) in indices.enumerated() {
        let target = dx + index * d, source = dy + row * d
        for j in 0..<d { target[j] += source[j] }
      }
    }
    return y
  }

  /// `x` with its rows `indices` replaced by the rows of `source`, in that order.
  public func replaceRows(_ x: Tensor, at indices: [Int], by source: Tensor) -> Tensor {
    precondition(source.shape == [indices.count, x.columns], "\(source.shape) into \(x.shape)")
    let d = x.columns
    let y = result(x.shape, needsGradient: x.needsGradient || source.needsGradient)
    y.values.update(from: x.values, count: x.count)
    for (row, index) in indices.enumerated() {
      (y.values + index * d).update(from: source.values + row * d, count: d)
    }
    record(y) { dy in
      if let ds = source.gradientSum() {
        for (row, index) in indices.enumerated() {
          let target = ds + row * d, from = dy + index * d
          for j in 0..<d { target[j] += from[j] }
        }
      }
      if let dx = x.gradientSum() {
        for index in indices { (dy + index * d).update(repeating: 0, count: d) }
        addScaled(dy, 1, to: dx, x.count)
      }
    }
    return y
  }

  /// `x` with the rows of `source` added to its rows `indices`, in that order; none comes twice.
  public func addRows(_ x: Tensor, at indices: [Int], _ source: Tensor) -> Tensor {
    precondition(source.shape == [indices.count, x.columns], "\(source.shape) into \(x.shape)")
    let d = x.columns
    let y = result(x.shape, needsGradient: x.needsGradient || source.needsGradient)
    y.values.update(from: x.values, count: x.count)
    for (row, index) in indices.enumerated() {
      addScaled(source.values + row * d, 1, to: y.values + index * d, d)
    }
    record(y) { dy in
      if let dx = x.gradientSum() { addScaled(dy, 1, to: dx, x.count) }
      if let ds = source.gradientSum() {
        for (row, index) in indices.enumerated() {
          addScaled(dy + index * d, 1, to: ds + row * d, d)
        }
      }
    }
    return y
  }

  /// Sums of rows of `x`, each with its weight: row i of the result is Σ weight · x[row] over
  /// `taps[i]`. Interpolation, and any rearrangement.
  public func weightedRows(_ x: Tensor, _ taps: [[(row: Int, weight: Float)]]) -> Tensor {
    let d = x.columns
    let y = result([taps.count, d], needsGradient: x.needsGradient)
    y.values.update(repeating: 0, count: y.count)
    for (row, sum) in taps.enumerated() {
      for tap in sum { addScaled(x.values + tap.row * d, tap.weight, to: y.values + row * d, d) }
    }
    record(y) { dy in
      guard let dx = x.gradientSum() else { return }
      for (row, sum) in taps.enumerated() {
        for tap in sum { addScaled(dy + row * d, tap.weight, to: dx + tap.row * d, d) }
      }
    }
    return y
  }

  /// A weight as one row [1, count].
  public func row(_ weight: Parameter) -> Tensor {
    let y = result([1, weight.count], needsGradient: weight.trainable)
    y.values.update(from: weight.floats, count: weight.count)
    record(y) { dy in
      if let dw = weight.gradientSum() { addScaled(dy, 1, to: dw, weight.count) }
    }
    return y
  }

  /// Tensors of equal width below one another.
  public func stacked(_ parts: [Tensor]) -> Tensor {
    let d = parts.first?.columns ?? 0
    precondition(parts.allSatisfy { $0.columns == d }, "\(parts.map(\.shape))")
    let y = result(
      [parts.reduce(0) { $0 + $1.rows }, d], needsGradient: parts.contains(where: \.needsGradient))
    var start = 0
    for part in parts {
      (y.values + start).update(from: part.values, count: part.count)
      start += part.count
    }
    record(y) { dy in
      var start = 0
      for part in parts {
        if let dx = part.gradientSum() { addScaled(dy + start, 1, to: dx, part.count) }
        start += part.count
      }
    }
    return y
  }

  /// Tensors of equally many rows beside one another.
  public func sideBySide(_ parts: [Tensor]) -> Tensor {
    if parts.count == 1 { return parts[0] }
    let rows = parts.first?.rows ?? 0, width = parts.reduce(0) { $0 + $1.columns }
    precondition(parts.allSatisfy { $0.rows == rows }, "\(parts.map(\.shape))")
    let y = result([rows, width], needsGradient: parts.contains(where: \.needsGradient))
    var start = 0
    for part in parts {
      for row in 0..<rows {
        (y.values + row * width + start).update(
          from: part.values + row * part.columns, count: part.columns)
      }
      start += part.columns
    }
    record(y) { dy in
      var start = 0
      for part in parts {
        if let dx = part.gradientSum() {
          for row in 0..<rows {
            addScaled(dy + row * width + start, 1, to: dx + row * part.columns, part.columns)
          }
        }
        start += part.columns
      }
    }
    return y
  }
}
