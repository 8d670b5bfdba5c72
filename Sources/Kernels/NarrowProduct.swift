// Products of a bfloat16 matrix with few rows, as when a model speaks token by token: a weight is
// used once or a few times, so what counts is to read the matrix at the memory's speed. Rows are
// read whole, in their order, in a few streams that start far apart: the hardware then fetches
// ahead. Neighbouring rows side by side, or rows in pieces, halve the speed; widening panels for
// sgemm, which packs them once more, takes five times as long.

/// The most rows of x that `multiplyNarrow` takes: from about here on sgemm is as fast.
let mostNarrowRows = 16

/// Bytes of the matrix that stay in the second-level cache while all rows of x pass over them.
private let blockBytes = 1 << 18

/// `y[n, rows] = x[n, columns] Wᵀ + beta y` for bfloat16 W and n of at most `mostNarrowRows`.
/// A row's result does not depend on how many rows x has.
/// - Parameter rounding: rounds x to bfloat16 before, as larger products do
func multiplyNarrow(
  _ x: UnsafePointer<Float>, _ n: Int, transposed w: MatrixView, rounding: Bool = false,
  beta: Float, into y: UnsafeMutablePointer<Float>
) {
  let columns = w.columns
  let split = Buffer(count: n * columns)
  for row in 0..<n { splitPairs(x + row * columns, columns, to: split.pointer + row * columns) }
  if rounding { roundInPlace(split.pointer, n * columns, high: split.pointer, low: nil) }
  defer { withExtendedLifetime(split) {} }
  parallelFor(w.rows, grain: max(1, (1 << 15) / columns)) { range in
    let block = n == 1 ? range.count : max(8, blockBytes / (2 * columns))
    for start in stride(from: range.lowerBound, to: range.upperBound, by: block) {
      let rows = start..<min(start + block, range.upperBound)
      var first = 0
      while first < n {
        let lines = split.pointer + first * columns, target = y + first * w.rows
        switch n - first {
        case 1:
          let quarter = rows.count / 4
          for row in start..<start + quarter {
            let sums = dotRows(w.line(row), w.offset(quarter), lines, columns)
            put(sums.0, beta, at: target + row)
            put(sums.1, beta, at: target + row + quarter)
            put(sums.2, beta, at: target + row + 2 * quarter)
            put(sums.3, beta, at: target + row + 3 * quarter)
          }
          for row in start + 4 * quarter..<rows.upperBound {
            put(dot(w.line(row), lines, columns), beta, at: target + row)
          }
          first += 1
        case 2, 3:
          let half = rows.count / 2
          for row in start..<start + half {
            let sums = dotTwo(w.line(row), w.offset(half), lines, columns)
            put(sums.0, beta, at: target + row)
            put(sums.1, beta, at: target + row + half)
            put(sums.2, beta, at: target + w.rows + row)
            put(sums.3, beta, at: target + w.rows + row + half)
          }
          for row in start + 2 * half..<rows.upperBound {
            put(dot(w.line(row), lines, columns), beta, at: target + row)
            put(dot(w.line(row), lines + columns, columns), beta, at: target + w.rows + row)
          }
          first += 2
        default:
          let half = rows.count / 2
          for row in start..<start + half {
            let sums = dotFour(w.line(row), w.offset(half), lines, columns)
            for line in 0..<4 {
              put(sums.0[line], beta, at: target + line * w.rows + row)
              put(sums.1[line], beta, at: target + line * w.rows + row + half)
            }
          }
          for row in start + 2 * half..<rows.upperBound {
            for line in 0..<4 {
              put(
                dot(w.line(row), lines + line * columns, columns), beta,
                at: target + line * w.rows + row)
            }
          }
          first += 4
        }
      }
    }
  }
}

extension MatrixView {
  /// The bfloat16 numbers of a row.
  @inline(__always)
  fileprivate func line(_ row: Int) -> UnsafeRawPointer { pointer + offset(row) }

  /// Bytes of so many bfloat16 rows.
  @inline(__always)
  fileprivate func offset(_ rows: Int) -> Int { rows * columns * 2 }
}

@inline(__always)
private func put(_ sum: Float, _ beta: Float, at target: UnsafeMutablePointer<Float>) {
  target[0] = beta == 0 ? sum : sum + beta * target[0]
}

/// Of every sixteen numbers those in even places, then those in odd places: eight bfloat16 pairs
/// are widened by one shift and one mask, the lower halves of all pairs before the upper ones.
private func splitPairs(
  _ source: UnsafePointer<Float>, _ count: Int, to target: UnsafeMutablePointer<Float>
) {
  let whole = count & ~15
  for start in stride(from: 0, to: whole, by: 16) {
    for i in 0..<8 {
      target[start + i] = source[start + 2 * i]
      target[start + 8 + i] = source[start + 2 * i + 1]
    }
  }
  for i in whole..<count { target[i] = source[i] }
}

@inline(__always)
private func pairs(_ line: UnsafeRawPointer, _ at: Int) -> SIMD8<UInt32> {
  (line + 2 * at).loadUnaligned(as: SIMD8<UInt32>.self)
}

@inline(__always)
private func lower(_ pairs: SIMD8<UInt32>) -> Lanes { unsafeBitCast(pairs &<< 16, to: Lanes.self) }

@inline(__always)
private func upper(_ pairs: SIMD8<UInt32>) -> Lanes {
  unsafeBitCast(pairs & SIMD8(repeating: 0xffff_0000), to: Lanes.self)
}

/// What is left of a row after its last sixteen.
@inline(__always)
private func rest(_ line: UnsafeRawPointer, _ x: UnsafePointer<Float>, _ count: Int) -> Float {
  var total: Float = 0
  for i in (count & ~15)..<count {
    let bits = (line + 2 * i).loadUnaligned(as: UInt16.self)
    total += Float(bitPattern: UInt32(bits) << 16) * x[i]
  }
  return total
}

@inline(__always)
private func dot(_ line: UnsafeRawPointer, _ x: UnsafePointer<Float>, _ count: Int) -> Float {
  var sum = Lanes()
  var i = 0
  while i + 16 <= count {
    let weights = pairs(line, i)
    sum.addProduct(lower(weights), load(x + i))
    sum.addProduct(upper(weights), load(x + i + 8))
    i += 16
  }
  return sum.sum() + rest(line, x, count)
}

/// Four rows that lie `stride` bytes apart, with one line of x.
@inline(__always)
private func dotRows(
  _ line: UnsafeRawPointer, _ stride: Int, _ x: UnsafePointer<Float>, _ count: Int
) -> (Float, Float, Float, Float) {
  var a = Lanes(), b = Lanes(), c = Lanes(), d = Lanes()
  let second = line + stride, third = second + stride, fourth = third + stride
  var i = 0
  while i + 16 <= count {
    let low = load(x + i), high = load(x + i + 8)
    let first = pairs(line, i), next = pairs(second, i)
    let after = pairs(third, i), last = pairs(fourth, i)
    a.addProduct(lower(first), low)
    b.addProduct(lower(next), low)
    c.addProduct(lower(after), low)
    d.addProduct(lower(last), low)
    a.addProduct(upper(first), high)
    b.addProduct(upper(next), high)
    c.addProduct(upper(after), high)
    d.addProduct(upper(last), high)
    i += 16
  }
  return (
    a.sum() + rest(line, x, count), b.sum() + rest(second, x, count),
    c.sum() + rest(third, x, count), d.sum() + rest(fourth, x, count)
  )
}

/// Two rows that lie `stride` bytes apart, with two lines of x: both rows with the first, both with
/// the second.
@inline(__always)
private func dotTwo(
  _ line: UnsafeRawPointer, _ stride: Int, _ x: UnsafePointer<Float>, _ count: Int
) -> (Float, Float, Float, Float) {
  var a = Lanes(), b = Lanes(), c = Lanes(), d = Lanes()
  let other = line + stride, next = x + count
  var i = 0
  while i + 16 <= count {
    let weights = pairs(line, i), others = pairs(other, i)
    a.addProduct(lower(weights), load(x + i))
    b.addProduct(lower(others), load(x + i))
    c.addProduct(lower(weights), load(next + i))
    d.addProduct(lower(others), load(next + i))
    a.addProduct(upper(weights), load(x + i + 8))
    b.addProduct(upper(others), load(x + i + 8))
    c.addProduct(upper(weights), load(next + i + 8))
    d.addProduct(upper(others), load(next + i + 8))
    i += 16
  }
  return (
    a.sum() + rest(line, x, count), b.sum() + rest(other, x, count),
    c.sum() + rest(line, next, count), d.sum() + rest(other, next, count)
  )
}

/// Two rows that lie `stride` bytes apart, each with four lines of x.
@inline(__always)
private func dotFour(
  _ line: UnsafeRawPointer, _ stride: Int, _ x: UnsafePointer<Float>, _ count: Int
) -> (SIMD4<Float>, SIMD4<Float>) {
  var a = (Lanes(), Lanes(), Lanes(), Lanes()), b = (Lanes(), Lanes(), Lanes(), Lanes())
  let other = line + stride
  let second = x + count, third = second + count, fourth = third + count
  var i = 0
  while i + 16 <= count {
    let weights = pairs(line, i), others = pairs(other, i)
    var mine = lower(weights), its = lower(others)
    a.0.addProduct(mine, load(x + i))
    b.0.addProduct(its, load(x + i))
    a.1.addProduct(mine, load(second + i))
    b.1.addProduct(its, load(second + i))
    a.2.addProduct(mine, load(third + i))
    b.2.addProduct(its, load(third + i))
    a.3.addProduct(mine, load(fourth + i))
    b.3.addProduct(its, load(fourth + i))
    mine = upper(weights)
    its = upper(others)
    a.0.addProduct(mine, load(x + i + 8))
    b.0.addProduct(its, load(x + i + 8))
    a.1.addProduct(mine, load(second + i + 8))
    b.1.addProduct(its, load(second + i + 8))
    a.2.addProduct(mine, load(third + i + 8))
    b.2.addProduct(its, load(third + i + 8))
    a.3.addProduct(mine, load(fourth + i + 8))
    b.3.addProduct(its, load(fourth + i + 8))
    i += 16
  }
  return (
    SIMD4(
      a.0.sum() + rest(line, x, count), a.1.sum() + rest(line, second, count),
      a.2.sum() + rest(line, third, count), a.3.sum() + rest(line, fourth, count)),
    SIMD4(
      b.0.sum() + rest(other, x, count), b.1.sum() + rest(other, second, count),
      b.2.sum() + rest(other, third, count), b.3.sum() + rest(other, fourth, count))
  )
}
