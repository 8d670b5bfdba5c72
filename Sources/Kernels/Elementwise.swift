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

@inline(__always)
func magnitudes(_ x: Lanes) -> Lanes {
  unsafeBitCast(unsafeBitCast(x, to: SIMD8<UInt32>.self) & 0x7FFF_FFFF, to: Lanes.self)
}

/// exp of eight numbers, relative error below 2e-7; below -87.3 it is 0, above 88 it is held at
/// exp(88), NaN stays NaN. Rounding is by the 1.5 · 2²³ trick, limits are by comparing: `.rounded()`
/// and `.clamped()` on vectors are generic code.
@inline(__always)
func exp(_ x: Lanes) -> Lanes {
  let lowest = Lanes(repeating: -87.3), highest = Lanes(repeating: 88)
  let clamped = x.replacing(with: lowest, where: x .< lowest)
    .replacing(with: highest, where: x .> highest)
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
  return result.replacing(with: Lanes(repeating: 0), where: x .< lowest)
}

/// The square roots of numbers not below zero, as exact as the processor's own to the last bit but one:
/// Newton's steps from a guess by the exponent, since `.squareRoot()` takes vectors apart. Below the
/// smallest normal number they come out too small, and that of infinity is a large number.
@inline(__always)
func squareRoot(_ x: Lanes) -> Lanes {
  let most = Lanes(repeating: .greatestFiniteMagnitude)
  let x = x.replacing(with: most, where: x .> most)
  let guess = 0x5F37_5A86 &- (unsafeBitCast(x, to: SIMD8<UInt32>.self) &>> 1)
  var inverse = unsafeBitCast(guess, to: Lanes.self)
  let half = -0.5 * x
  for _ in 0..<3 {
    inverse *= Lanes(repeating: 1.5).addingProduct(half * inverse, inverse)
  }
  let root = x * inverse
  return root.addingProduct(0.5 * inverse, x.addingProduct(-root, root))
}

/// The elements `range`, at most eight of them, in the first lanes; zeros in the others.
@inline(__always)
func load(_ pointer: UnsafePointer<Float>, only range: Range<Int>) -> Lanes {
  var lanes = Lanes()
  for (lane, i) in range.enumerated() { lanes[lane] = pointer[i] }
  return lanes
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
      let result = body(
        load(inputs.0, only: rest), load(inputs.1, only: rest), load(inputs.2, only: rest))
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

/// The sum of squares, in double precision; the same for any number of threads.
public func sumOfSquares(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
  let part = 1 << 18
  guard count > part else { return sumOfSquaresSerial(x, count) }
  let parts = (count + part - 1) / part
  return withUnsafeTemporaryAllocation(of: Double.self, capacity: parts) { sums in
    guard let base = sums.baseAddress else { return 0 }
    parallelFor(parts, grain: 1) { range in
      for i in range {
        base[i] = sumOfSquaresSerial(x + i * part, min(part, count - i * part))
      }
    }
    return (0..<parts).reduce(0) { $0 + base[$1] }
  }
}

private func sumOfSquaresSerial(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
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
  // What is added to the two gradients.
  @inline(__always) func parts(_ g: Lanes, _ u: Lanes, _ d: Lanes) -> (gate: Lanes, up: Lanes) {
    let s = sigmoid(g)
    let silu = g * s
    return (d * u * (s + silu * (1 - s)), d * silu)
  }
  parallelFor(count, grain: 1 << 14) { range in
    eights(range) { i in
      let add = parts(load(gate + i), load(up + i), load(outGradient + i))
      store(load(upGradient + i) + add.up, upGradient + i)
      store(load(gateGradient + i) + add.gate, gateGradient + i)
    } _: { rest in
      let add = parts(
        load(gate, only: rest), load(up, only: rest), load(outGradient, only: rest))
      for (lane, i) in rest.enumerated() {
        upGradient[i] += add.up[lane]
        gateGradient[i] += add.gate[lane]
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

/// The normal distribution's Φ(x), relative error below 1e-6 + 1e-7 x², and exp(-x²/2).
///
/// Φ(-|x|) = erfcx(z) exp(-z²) / 2 with z = |x| / √2, and the smooth erfcx(z) is fitted as a
/// polynomial in 1 / (1 + z/2) on 0 ... 20 with the largest relative error made least.
@inline(__always)
private func normal(_ x: Lanes) -> (cumulative: Lanes, bell: Lanes) {
  let negative = x .< Lanes(repeating: 0)
  let z = x.replacing(with: -x, where: negative) * 0.707_106_77
  let t = 1 / (1 + 0.5 * z)
  let bell = exp(-(z * z))
  var p = Lanes(repeating: -0.059_069_33)
  p = p * t + 0.284_576_73
  p = p * t - 0.487_203_43
  p = p * t + 0.278_071_04
  p = p * t - 0.026_628_22
  p = p * t + 0.202_687_89
  p = p * t + 0.243_103_52
  p = p * t + 0.282_375_34
  p = p * t + 0.282_086_42
  let lower = p * t * bell * 0.5
  return ((1 - lower).replacing(with: lower, where: negative), bell)
}

/// y = x Φ(x), the exact GELU of the merger.
public func gelu(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, _ count: Int) {
  mapLanes(count, (x, x, x), y) { x, _, _ in x * normal(x).cumulative }
}

/// Adds the gradient of the exact GELU to `xGradient`.
public func geluBackward(
  _ x: UnsafePointer<Float>, outGradient: UnsafePointer<Float>,
  xGradient: UnsafeMutablePointer<Float>, _ count: Int
) {
  mapLanes(count, (x, outGradient, UnsafePointer(xGradient)), xGradient) { x, d, total in
    let (cumulative, bell) = normal(x)
    return total + d * (cumulative + x * bell * 0.398_942_28)
  }
}

/// GELU by the hyperbolic tangent, x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2: x · sigmoid(2 …).
public func geluTanh(
  _ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, _ count: Int
) {
  mapLanes(count, (x, x, x), y) { x, _, _ in
    x * sigmoid(x * (1.595_769_1 + 0.071_354_82 * x * x))
  }
}

/// Adds the gradient of `geluTanh` to `xGradient`.
public func geluTanhBackward(
  _ x: UnsafePointer<Float>, outGradient: UnsafePointer<Float>,
  xGradient: UnsafeMutablePointer<Float>, _ count: Int
) {
  mapLanes(count, (x, outGradient, UnsafePointer(xGradient)), xGradient) { x, d, total in
    let square = x * x
    let s = sigmoid(x * (1.595_769_1 + 0.071_354_82 * square))
    return total + d * s * (1 + x * (1 - s) * (1.595_769_1 + 0.214_064_45 * square))
  }
}

/// Replaces `x` by exp(x - shift) and returns the sum: one row of a softmax.
public func exponentiate(_ x: UnsafeMutablePointer<Float>, minus shift: Float, _ count: Int)
  -> Float
{
  guard count >= 8 else {
    var total: Float = 0
    let e = exp(load(UnsafePointer(x), only: 0..<count) - shift)
    for i in 0..<count {
      x[i] = e[i]
      total += e[i]
    }
    return total
  }
  // The last eight overlap the group before them: they are computed first, from untouched numbers,
  // and only those that are new enter the sum.
  let last = exp(load(x + count - 8) - shift)
  var lanes = Lanes(repeating: 0)
  var i = 0
  while i + 8 <= count {
    let e = exp(load(x + i) - shift)
    store(e, x + i)
    lanes += e
    i += 8
  }
  store(last, x + count - 8)
  let seen = Lanes(repeating: Float(8 - (count - i)))
  return (lanes + last.replacing(with: 0, where: laneNumbers .< seen)).sum()
}

private let laneNumbers = Lanes(0, 1, 2, 3, 4, 5, 6, 7)

/// The largest of `count` > 0 numbers.
public func maximum(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
  guard count >= 8 else {
    var best = x[0]
    for i in 1..<max(1, count) where x[i] > best { best = x[i] }
    return best
  }
  var lanes = load(x + count - 8)
  var i = 0
  while i + 8 <= count {
    let next = load(x + i)
    lanes.replace(with: next, where: next .> lanes)
    i += 8
  }
  let four = lanes.lowHalf.replacing(
    with: lanes.highHalf, where: lanes.highHalf .> lanes.lowHalf)
  return max(max(four[0], four[1]), max(four[2], four[3]))
}

/// The place of the largest of `count` > 0 numbers, the first among equals.
public func indexOfMaximum(_ x: UnsafePointer<Float>, _ count: Int) -> Int {
  let highest = maximum(x, count)
  var i = 0
  while i < count - 1, x[i] != highest { i += 1 }
  return i
}

/// Replaces `x` by log softmax(x).
public func logSoftmax(_ x: UnsafeMutablePointer<Float>, _ count: Int) {
  let copy = Buffer(count: count)
  copy.pointer.update(from: x, count: count)
  let highest = maximum(x, count)
  let shift = highest + log(exponentiate(copy.pointer, minus: highest, count))
  for i in 0..<count { x[i] -= shift }
}
