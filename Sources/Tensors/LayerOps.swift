import Kernels

extension Tape {
  /// RMS normalisation over the columns, times `weight` [columns].
  public func rmsNorm(_ x: Tensor, _ weight: Parameter, epsilon: Float) -> Tensor {
    precondition(x.columns == weight.count, "\(weight.name): \(x.shape)")
    let y = result(x.shape, needsGradient: x.needsGradient || weight.trainable)
    let inverse = Tensor([x.rows])
    Kernels.rmsNorm(
      x.values, rows: x.rows, columns: x.columns, weight: weight.floats, epsilon: epsilon,
      into: y.values, inverse: inverse.values)
    record(y) { dy in
      rmsNormBackward(
        x.values, rows: x.rows, columns: x.columns, weight: weight.floats,
        inverse: inverse.values, outGradient: dy,
        xGradient: x.gradientSum(), weightGradient: weight.gradientSum())
    }
    return y
  }

  /// Layer normalisation over the columns, with weight and bias [columns].
  public func layerNorm(
    _ x: Tensor, _ weight: Parameter, bias: Parameter, epsilon: Float
  ) -> Tensor {
    precondition(x.columns == weight.count, "\(weight.name): \(x.shape)")
    let y = result(
      x.shape, needsGradient: x.needsGradient || weight.trainable || bias.trainable)
    let mean = Tensor([x.rows]), inverse = Tensor([x.rows])
    Kernels.layerNorm(
      x.values, rows: x.rows, columns: x.columns, weight: weight.floats, bias: bias.floats,
      epsilon: epsilon, into: y.values, mean: mean.values, inverse: inverse.values)
    record(y) { dy in
      layerNormBackward(
        x.values, rows: x.rows, columns: x.columns, weight: weight.floats,
        mean: mean.values, inverse: inverse.values, outGradient: dy,
        xGradient: x.gradientSum(), weightGradient: weight.gradientSum(),
        biasGradient: bias.gradientSum())
    }
    return y
  }

  /// silu(gate) · up.
  public func gatedSiLU(_ gate: Tensor, _ up: Tensor) -> Tensor {
    precondition(gate.shape == up.shape, "\(gate.shape) · \(up.shape)")
    let y = result(gate.shape, needsGradient: gate.needsGradient || up.needsGradient)
    Kernels.gatedSiLU(gate: gate.values, up: up.values, into: y.values, y.count)
    record(y) { dy in
      // A side without a gradient of its own gets a place to write that nobody reads.
      let spare = gate.needsGradient && up.needsGradient ? nil : Buffer(zeros: gate.count)
      defer { withExtendedLifetime(spare) {} }
      guard let gateGradient = gate.gradientSum() ?? spare?.pointer,
        let upGradient = up.gradientSum() ?? spare?.pointer
      else { return }
      gatedSiLUBackward(
        gate: gate.values, up: up.values, outGradient: dy,
        gateGradient: gateGradient, upGradient: upGradient, gate.count)
    }
    return y
  }

  /// silu(x).
  public func silu(_ x: Tensor) -> Tensor {
    let ones = Tensor([Float](repeating: 1, count: x.count), x.shape)
    return gatedSiLU(x, ones)
  }

  /// x · sigmoid(1.702 x).
  public func quickGELU(_ x: Tensor) -> Tensor {
    let y = result(x.shape, needsGradient: x.needsGradient)
    Kernels.quickGELU(x.values, into: y.values, y.count)
    record(y) { dy in
      guard let dx = x.gradientSum() else { return }
      quickGELUBackward(x.values, outGradient: dy, xGradient: dx, x.count)
    }
    return y
  }

  /// The exact GELU, x Φ(x).
  public func gelu(_ x: Tensor) -> Tensor {
    let y = result(x.shape, needsGradient: x.needsGradient)
    Kernels.gelu(x.values, into: y.values, y.count)
    record(y) { dy in
      guard let dx = x.gradientSum() else { return }
      geluBackward(x.values, outGradient: dy, xGradient: dx, x.count)
    }
    return y
  }

  /// GELU by the hyperbolic tangent (torch's `approximate="tanh"`).
  public func geluTanh(_ x: Tensor) -> Tensor {
    let y = result(x.shape, needsGradient: x.needsGradient)
    Kernels.geluTanh(x.values, into: y.values, y.count)
    record(y) { dy in
      guard let dx = x.gradientSum() else { return }
      geluTanhBackward(x.values, outGradient: dy, xGradient: dx, x.count)
    }
    return y
  }

  /// Rotary position embedding of x [n, heads · size] by cosine and sine [n, size / 2].
  public func rotary(_ x: Tensor, heads: Int, cosine: Tensor, sine: Tensor) -> Tensor {
    let y = result(x.shape, needsGradient: x.needsGradient)
    let size = x.columns / heads
    precondition(cosine.shape == [x.rows, size / 2], "\(cosine.shape) for \(x.shape)")
    Kernels.rotary(
      x.values, rows: x.rows, heads: heads, headSize: size, cosine: cosine.values,
      sine: sine.values, direction: 1, adding: false, into: y.values)
    record(y) { dy in
      guard let dx = x.gradientSum() else { return }
      Kernels.rotary(
        dy, rows: x.rows, heads: heads, headSize: size, cosine: cosine.values,
        sine: sine.values, direction: -1, adding: true, into: dx)
    }
    return y
  }

  /// Scaled dot-product attention; q [n, heads · size], k and v [n, keyValueHeads · size].
  public func attention(
    _ q: Tensor, _ k: Tensor, _ v: Tensor, heads: AttentionHeads, layout: AttentionLayout
  ) -> Tensor {
    let y = result(q.shape, needsGradient: q.needsGradient || k.needsGradient || v.needsGradient)
    Kernels.attention(
      q: q.values, k: k.values, v: v.values, layout: layout, heads: heads, into: y.values)
    record(y) { dy in
      let spare = Tensor(k.shape, needsGradient: true),
        spareQ = Tensor(q.shape, needsGradient: true)
      guard let dq = q.gradientSum() ?? spareQ.gradientSum(),
        let dk = k.gradientSum() ?? spare.gradientSum(),
        let dv = v.gradientSum() ?? spare.gradientSum()
      else { return }
      attentionBackward(
        q: q.values, k: k.values, v: v.values, layout: layout, heads: heads, outGradient: dy,
        qGradient: dq, kGradient: dk, vGradient: dv)
      withExtendedLifetime((spare, spareQ)) {}
    }
    return y
  }
}
