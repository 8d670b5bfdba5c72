import Testing

@testable import Kernels

@Suite struct DynamicCodeTests {
  @Test("The levels are those of bitsandbytes' create_dynamic_map", arguments: [true, false])
  func levels(isSigned: Bool) {
    let code = isSigned ? DynamicCode.signed : .unsigned
    #expect(code.levels.count == 256 && Set(code.levels).count == 256)
    #expect(code.levels == code.levels.sorted())
    #expect(code.levels.last == 1 && code.levels[Int(code.zero)] == 0)
    // The largest decade: middles of 64 (128) parts of 0.1...1, next to 1 itself.
    let parts: Float = isSigned ? 64 : 128
    #expect(abs(code.levels[254] - (1 - 0.45 / parts)) < 1e-6)
    #expect(abs(code.levels[254] - code.levels[253] - 0.9 / parts) < 1e-6)
    // The smallest level: the middle of one (of two) parts of 1e-7...1e-6.
    let least = code.levels[Int(code.zero) + 1]
    #expect(abs(least - (isSigned ? 5.5e-7 : 3.25e-7)) < 1e-12)
    if isSigned { #expect(code.levels.filter { $0 < 0 }.count == 127) }
  }

  @Test("A number gets the nearest level; nothing positive becomes a zero second moment")
  func nearest() {
    for code in [DynamicCode.signed, .unsigned] {
      let isSigned = code.zero > 0
      var values = [Float]()
      for exponent in 0..<30 {
        for step in 0..<97 {
          values.append(Float(sign: .plus, exponent: -exponent, significand: 1 - Float(step) / 200))
        }
      }
      values += [1, 0, .leastNonzeroMagnitude]
      // Right beside every midpoint.
      for (a, b) in zip(code.levels, code.levels.dropFirst()) where a >= 0 {
        values += [((a + b) / 2).nextDown, (a + b) / 2, ((a + b) / 2).nextUp]
      }
      if isSigned { values += values.map { -$0 } }
      code.withTables { tables in
        for value in values {
          let level = code.levels[Int(code.code(value, tables))]
          let best = code.levels.map { abs($0 - value) }.min() ?? 0
          if !isSigned, value > 0, level > 0, level == code.levels[1] {
            #expect(value <= (code.levels[1] + code.levels[2]) / 2)
          } else {
            #expect(abs(level - value) <= best * 1.0001, "\(value) became \(level)")
          }
          #expect(isSigned || value == 0 || level > 0)
        }
      }
    }
  }

  @Test("Blocks are scaled apart, the last one may be short")
  func blocks() {
    let count = 256 * 2 + 7
    let sizes: [Float] = [1e-20, 1, 1e20]
    let values = (0..<count).map { (i: Int) -> Float in Float(i % 13 - 6) * sizes[i / 256] }
    let numbers = BlockwiseNumbers(zeros: count, .signed)
    #expect(numbers.array == [Float](repeating: 0, count: count))
    numbers.set(values)
    for (value, found) in zip(values, numbers.array) {
      let error = abs(value - found)
      #expect(error <= 0.03 * abs(value))
    }
    numbers.set([Float](repeating: 0, count: count))
    #expect(numbers.array == [Float](repeating: 0, count: count))
  }
}
