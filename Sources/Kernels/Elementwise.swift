import Glibc

typealias Lanes = SIMD8<Float>

@inline(__always)
func load(_ pointer: UnsafePointer<Float>) -> Lanes {
  UnsafeRawPointer(pointer).loadUnaligned(as: Lanes.self)
}

@inline(__always)
func store(_ lanes: Lanes, _ pointer: UnsafeMutablePointer<Float>) {
  UnsafeMutableRawPointer(pointer).storeBytes(of: lanes, as: Lanes.self)
}

/// exp of eight numbers, relative error below 2e-7; below -87 it is 0, above 88 it is held at
/// exp(88). Rounding is by the 1.5 · 2²³ trick: `.rounded()` on vectors is generic code.
@inline(__always)
func exp(_ x: Lanes) -> Lanes {
  let clamped = x.clamped(lowerBound: Lanes(repeating: -87.3), upperBound: Lanes(repeating: 88))
  let magic = Lanes(repeating: 12_582_912)
  let shifted = clamped * 1.442_695_04 + magic
  let n = shifted - magic
  let r = (clamped - n * 0.693_359_375) - n * -2.121_944_4e-4
  var p = Lanes(repeating: 1.987_569_1e-4)
  p = p * r + 1.398_199_9e-3
  p = p * r + 8.333_452e-3
  p = p * r + 4.166_579_6e-2
  p = p * r + 0.166_666_65
  p = p * r + 0.5
  p = p * r * r + r + 1
  let scale = (unsafeBitCast(shifted, to: SIMD8<Int32>.self) &+ 127) &<< 23
  let result = p * unsafeBitCast(scale, to: Lanes.self)
  return result.replacing(with: Lanes(repeating: 0), where: x .< Lanes(repeating: -87.3))
}

@inline(__always)
func sigmoid(_ x: Lanes) -> Lanes { 1 / (1 + exp(-x)) }

/// Calls `wide` for every full group of eight of `range` and `tail` once for what is left.
@inline(__always)
func eights(_ range: Range<Int>, _ wide: (Int) -> Void, _ tail: (Range<Int>) -> Void) {
  var i = range.lowerBound
  while i + 8 <= range.upperBound {
    wide(i)
    i += 8
  }
  if i < range.upperBound { tail(i..<range.upperBound) }
}

/// Runs an elementwise kernel on vectors; the last elements go through a padded vector, so that
/// an element's result does not depend on its place.
@inline(__always)
func mapLanes(
  _ count: Int, _ inputs: (UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>),
  _ output: UnsafeMutablePointer<Float>, _ body: (Lanes, Lanes, Lanes) -> Lanes
) {
  parallelFor(count, grain: 1 << 15) { range in
    eights(range) { i in
      store(body(load(inputs.0 + i), load(inputs.1 + i), load(inputs.2 + i)), output + i)
    } _: { rest in
      var a = Lanes(), b = Lanes(), c = Lanes()
      for (lane, i) in rest.enumerated() {
        a[lane] = inputs.0[i]
        b[lane] = inputs.1[i]
        c[lane] = inputs.2[i]
      }
      let result = body(a, b, c)
      for (lane, i) in rest.enumerated() { output[i] = result[lane] }
    }
  }
}

/// y = alpha x + y.
public func addScaled(
  _ x: UnsafePointer<Float>, _ alpha: Float, to y: UnsafeMutablePointer<Float>, _ count: Int
) {
  mapLanes(count, (x, UnsafePointer(y), x), y) { x, y, _ in x * alpha + y }
}

/// z = x + alpha y.
public func sum(
  _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ alpha: Float,
  into z: UnsafeMutablePointer<Float>, _ count: Int
) {
  mapLanes(count, (x, y, x), z) { x, y, _ in y * alpha + x }
}

/// x = alpha x.
public func scale(_ x: UnsafeMutablePointer<Float>, _ alpha: Float, _ count: Int) {
  mapLanes(count, (UnsafePointer(x), UnsafePointer(x), UnsafePointer(x)), x) { x, _, _ in
    x * alpha
  }
}

/// Adds `row` [columns] to every row of `x` [rows, columns].
public func addRow(
  _ row: UnsafePointer<Float>, to x: UnsafeMutablePointer<Float>, rows: Int, columns: Int
) {
  parallelFor(rows, grain: max(1, (1 << 15) / columns)) { range in
    for r in range {
      let line = x + r * columns
      for j in 0..<columns { line[j] += row[j] }
    }
  }
}

/// Adds the sum of the rows of `x` [rows, columns] to `total` [columns].
public func addColumnSums(
  _ x: UnsafePointer<Float>, rows: Int, columns: Int, to total: UnsafeMutablePointer<Float>
) {
  parallelFor(columns, grain: max(16, (1 << 15) / max(1, rows))) { range in
    for r in 0..<rows {
      let line = x + r * columns
      for j in range { total[j] += line[j] }
    }
  }
}

/// The sum of squares, in double precision.
public func sumOfSquares(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
  var total = 0.0
  var start = 0
  while start < count {
    let end = min(start + 4096, count)
    var lanes = Lanes(repeating: 0)
    var rest: Float = 0
    eights(start..<end) {
      lanes += load(x + $0) * load(x + $0)
    } _: {
      for i in $0 { rest += x[i] * x[i] }
    }
    total += Double(lanes.sum() + rest)
    start = end
  }
  return total
}

/// x · y.
public func dot(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int) -> Float {
  var lanes = Lanes(repeating: 0)
  var rest: Float = 0
  eights(0..<count) {
    lanes += load(x + $0) * load(y + $0)
  } _: {
    for i in $0 { rest += x[i] * y[i] }
  }
  return lanes.sum() + rest
}

/// out = silu(gate) · up.
public func gatedSiLU(
  gate: UnsafePointer<Float>, up: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>,
  _ count: Int
) {
  mapLanes(count, (gate, up, gate), out) { gate, up, _ in gate * sigmoid(gate) * up }
}

/// Adds the gradients of silu(gate) · up, given that of the product.
public func gatedSiLUBackward(
  gate: UnsafePointer<Float>, up: UnsafePointer<Float>, outGradient: UnsafePointer<Float>,
  gateGradient: UnsafeMutablePointer<Float>, upGradient: UnsafeMutablePointer<Float>, _ count: Int
) {
  parallelFor(count, grain: 1 << 14) { range in
    eights(range) { i in
      let g = load(gate + i), u = load(up + i), d = load(outGradient + i)
      let s = sigmoid(g)
      let silu = g * s
      store(load(upGradient + i) + d * silu, upGradient + i)
      store(load(gateGradient + i) + d * u * (s + silu * (1 - s)), gateGradient + i)
    } _: { rest in
      for i in rest {
        let s = 1 / (1 + Glibc.expf(-gate[i]))
        let silu = gate[i] * s
        upGradient[i] += outGradient[i] * silu
        gateGradient[i] += outGradient[i] * up[i] * (s + silu * (1 - s))
      }
    }
  }
}

/// y = x · sigmoid(1.702 x), the vision encoder's activation.
public func quickGELU(
  _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, _ count: Int
) {
  mapLanes(count, (x, x, x), y) { x, _, _ in x * sigmoid(x * 1.702) }
}

/// Adds y' · gradient of quickGELU to `xGradient`.
public func quickGELUBackward(
  _ x: UnsafePointer<Float>, outGradient: UnsafePointer<Float>,
  xGradient: UnsafeMutablePointer<Float>, _ count: Int
) {
  mapLanes(count, (x, outGradient, UnsafePointer(xGradient)), xGradient) { x, d, total in
    let s = sigmoid(x * 1.702)
    return total + d * s * (1 + 1.702 * x * (1 - s))
  }
}

/// y = x Φ(x), the exact GELU of the merger.
public func gelu(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, _ count: Int) {
  parallelFor(count, grain: 1 << 12) { range in
    for i in range { y[i] = 0.5 * x[i] * (1 + Glibc.erff(x[i] * 0.707_106_77)) }
  }
}

/// Adds the gradient of the exact GELU to `xGradient`.
public func geluBackward(
  _ x: UnsafePointer<Float>, outGradient: UnsafePointer<Float>,
  xGradient: UnsafeMutablePointer<Float>, _ count: Int
) {
  parallelFor(count, grain: 1 << 12) { range in
    for i in range {
      let cumulative = 0.5 * (1 + Glibc.erff(x[i] * 0.707_106_77))
      let density = 0.398_942_28 * Glibc.expf(-0.5 * x[i] * x[i])
      xGradient[i] += outGradient[i] * (cumulative + x[i] * density)
    }
  }
}

/// Replaces `x` by exp(x - shift) and returns the sum: one row of a softmax.
public func exponentiate(_ x: UnsafeMutablePointer<Float>, minus shift: Float, _ count: Int)
  -> Float
{
  var lanes = Lanes(repeating: 0)
  var rest: Float = 0
  eights(0..<count) { i in
    let e = exp(load(x + i) - shift)
    store(e, x + i)
    lanes += e
  } _: { tail in
    var padded = Lanes(repeating: -1e30)
    for (lane, i) in tail.enumerated() { padded[lane] = x[i] - shift }
    let e = exp(padded)
    for (lane, i) in tail.enumerated() {
      x[i] = e[lane]
      rest += e[lane]
    }
  }
  return lanes.sum() + rest
}

/// The largest of `count` > 0 numbers.
public func maximum(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
  var best = x[0]
  if count >= 8 {
    var lanes = load(x)
    eights(0..<count) {
      lanes = pointwiseMax(lanes, load(x + $0))
    } _: {
      for i in $0 { best = max(best, x[i]) }
    }
    return max(best, lanes.max())
  }
  for i in 1..<max(1, count) { best = max(best, x[i]) }
  return best
}
