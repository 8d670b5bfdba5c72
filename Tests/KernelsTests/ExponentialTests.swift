import Foundation
import Kernels
import Testing

/// The vector functions against the C library's in double precision.
@Suite struct ExponentialTests {
  /// exp of every number, eight at a time.
  private func exponentials(_ x: [Float]) -> [Float] {
    var values = x
    values.withUnsafeMutableBufferPointer {
      if let base = $0.baseAddress { _ = exponentiate(base, minus: 0, $0.count) }
    }
    return values
  }

  @Test func exponentialIsWithinTwoRoundingsOfTheLibrary() {
    // Every float exponent's neighbourhood and a fine grid over the range of normal results.
    var x = stride(from: Float(-87.2), through: 88, by: 0.000_7).map { $0 }
    for exponent in -40..<7 {
      for step in 0..<64 {
        let magnitude = Float(sign: .plus, exponent: exponent, significand: 1 + Float(step) / 64)
        if magnitude < 87 { x += [magnitude, -magnitude] }
      }
    }
    var worst = 0.0
    for (value, found) in zip(x, exponentials(x)) {
      let expected = Foundation.exp(Double(value))
      worst = max(worst, abs(Double(found) - expected) / expected)
    }
    #expect(worst < 2e-7, "relative error \(worst)")
  }

  @Test func exponentialAtItsLimits() {
    let far: [Float] = [-88, -100, -1e30, -.infinity, 0, -0.0, .nan, 1000, .infinity, 88]
    let found = exponentials(far)
    #expect(found[..<4].allSatisfy { $0 == 0 })
    #expect(found[4] == 1 && found[5] == 1)
    #expect(found[6].isNaN, "a NaN must not turn into a number")
    #expect(found[7] == found[9] && found[8] == found[9] && found[9].isFinite)
  }

  @Test func activationsFollowTheirFormulas() {
    let x = stride(from: Float(-12), through: 12, by: 0.003).map { $0 }
    let count = x.count
    func check(
      _ name: String, _ kernel: (UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void,
      _ formula: (Double) -> Double
    ) {
      let input = Buffer(x), output = Buffer(zeros: count)
      kernel(UnsafePointer(input.pointer), output.pointer)
      for (value, found) in zip(x, output.array) {
        let expected = formula(Double(value))
        let error = abs(Double(found) - expected)
        // Relative to the value on the falling side too, where the square in the exponent is
        // itself rounded.
        let bound = 3e-6 + 1e-7 * Double(value * value)
        guard error > bound * abs(expected) + 1e-37 else { continue }
        Issue.record("\(name)(\(value)): \(found), expected \(expected)")
        return
      }
    }
    func logistic(_ x: Double) -> Double { 1 / (1 + Foundation.exp(-x)) }
    func cumulative(_ x: Double) -> Double { 0.5 * Foundation.erfc(-x / 2.0.squareRoot()) }
    let ones = Buffer([Float](repeating: 1, count: count))
    check("silu") {
      gatedSiLU(gate: $0, up: ones.pointer, into: $1, count)
    } _: {
      $0 * logistic($0)
    }
    check("quickGELU") {
      quickGELU($0, into: $1, count)
    } _: {
      $0 * logistic(1.702 * $0)
    }
    check("gelu") {
      gelu($0, into: $1, count)
    } _: {
      $0 * cumulative($0)
    }
  }

  /// Rows of every length around the vector's eight lanes; what lies behind a row stays as it was.
  @Test func softmaxRows() {
    for count in 1...41 {
      var draw = Draw(UInt64(count))
      let x = draw.numbers(count).map { $0 * 5 }
      let row = Buffer(x + [7, 8, 9, 10, 11, 12, 13, 14])
      let largest = maximum(row.pointer, count)
      #expect(largest == x.max())
      let total = exponentiate(row.pointer, minus: largest, count)
      let expected = x.map { Foundation.exp(Double($0) - Double(largest)) }
      #expect(relativeError(Array(row.array[..<count]), expected) < 1e-6, "count \(count)")
      let sum = expected.reduce(0, +)
      #expect(abs(Double(total) - sum) < 1e-6 * sum, "count \(count)")
      #expect(Array(row.array[count...]) == [7, 8, 9, 10, 11, 12, 13, 14])
    }
  }

  @Test func anElementDoesNotDependOnItsPlace() {
    var draw = Draw(3)
    let x = draw.numbers(29)
    for start in 0..<9 {
      #expect(exponentials(Array(x[start...])) == Array(exponentials(x)[start...]))
    }
  }
}
