import Foundation
import Kernels
import Testing

/// Kernels over rows against their formulas in double precision, at widths around eight lanes.
@Suite struct RowKernelTests {
  @Test func norms() {
    for columns in [1, 5, 8, 13, 64, 200] {
      for rows in [1, 7] {
        var draw = Draw(UInt64(columns))
        // Far from zero, so that a mean taken carelessly would show.
        let x = draw.numbers(rows * columns).map { $0 + 30 }
        let weight = draw.numbers(columns), bias = draw.numbers(columns)
        let y = Buffer(zeros: x.count), mean = Buffer(zeros: rows), inverse = Buffer(zeros: rows)
        rmsNorm(
          x, rows: rows, columns: columns, weight: weight, epsilon: 1e-6, into: y.pointer,
          inverse: inverse.pointer)
        var expected: [Double] = []
        for r in 0..<rows {
          let row = x[r * columns..<(r + 1) * columns].map(Double.init)
          let scale = (row.map { $0 * $0 }.reduce(0, +) / Double(columns) + 1e-6).squareRoot()
          expected += zip(row, weight).map { $0 / scale * Double($1) }
        }
        #expect(relativeError(y.array, expected) < 1e-6, "rms, \(columns) columns")

        layerNorm(
          x, rows: rows, columns: columns, weight: weight, bias: bias, epsilon: 1e-6,
          into: y.pointer, mean: mean.pointer, inverse: inverse.pointer)
        expected = []
        for r in 0..<rows {
          let row = x[r * columns..<(r + 1) * columns].map(Double.init)
          let center = row.reduce(0, +) / Double(columns)
          let squares = row.map { ($0 - center) * ($0 - center) }.reduce(0, +)
          let scale = (squares / Double(columns) + 1e-6).squareRoot()
          expected += row.indices.map {
            (row[$0] - center) / scale * Double(weight[$0]) + Double(bias[$0])
          }
        }
        #expect(relativeError(y.array, expected) < 2e-5, "layer, \(columns) columns")
      }
    }
  }

  @Test func sumsAndProducts() {
    for count in [1, 7, 8, 9, 31, 5000] {
      var draw = Draw(UInt64(count))
      let x = draw.numbers(count), y = draw.numbers(count)
      let products = zip(x, y).map { Double($0) * Double($1) }.reduce(0, +)
      #expect(abs(Double(dot(x, y, count)) - products) < 1e-6 * Double(count) + 1e-6)
      let squares = x.map { Double($0) * Double($0) }.reduce(0, +)
      #expect(abs(sumOfSquares(x, count) - squares) < 1e-6 * squares)
    }
  }

  @Test func rotaryTurnsBack() {
    let rows = 3, heads = 2, size = 10
    var draw = Draw(4)
    let x = draw.numbers(rows * heads * size), angles = draw.numbers(rows * size / 2)
    let cosine = angles.map { cos($0) }, sine = angles.map { sin($0) }
    let turned = Buffer(zeros: x.count), back = Buffer(zeros: x.count)
    rotary(
      x, rows: rows, heads: heads, headSize: size, cosine: cosine, sine: sine, direction: 1,
      adding: false, into: turned.pointer)
    rotary(
      turned.pointer, rows: rows, heads: heads, headSize: size, cosine: cosine, sine: sine,
      direction: -1, adding: true, into: back.pointer)
    #expect(relativeError(back.array, x.map(Double.init)) < 1e-6)
    // Row 1, head 1, pair 2 by the definition: (a, b) turned by the row's second angle.
    let at = heads * size + size + 2, angle = Double(angles[size / 2 + 2])
    let a = Double(x[at]), b = Double(x[at + size / 2])
    #expect(abs(Double(turned.pointer[at]) - (a * cos(angle) - b * sin(angle))) < 1e-6)
    #expect(abs(Double(turned.pointer[at + size / 2]) - (b * cos(angle) + a * sin(angle))) < 1e-6)
  }
}
