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
}
