import Kernels
import Testing

/// Narrow floats over all 65,536 bit patterns.
@Suite struct ConversionTests {
  private static let patterns = (0...UInt16.max).map { $0 }

  /// The value of a 16-bit float with so many fraction bits, from the format's definition.
  private func value(_ bits: UInt16, fractionBits: Int, bias: Int) -> Float {
    let sign: Float = bits >> 15 == 1 ? -1 : 1
    let fraction = Int(bits) & (1 << fractionBits - 1)
    let exponent = Int(bits & 0x7fff) >> fractionBits
    if exponent == 0x7fff >> fractionBits {
      return fraction == 0 ? sign * .infinity : .nan
    }
    let whole = exponent == 0 ? fraction : fraction + 1 << fractionBits
    let power = max(1, exponent) - bias - fractionBits
    return Float(
      Double(sign) * Double(whole) * Double(sign: .plus, exponent: power, significand: 1))
  }

  private func widened(_ patterns: [UInt16], _ type: ElementType) -> [Float] {
    let target = Buffer(zeros: patterns.count)
    patterns.withUnsafeBytes {
      if let base = $0.baseAddress { widen(base, type, patterns.count, to: target.pointer) }
    }
    return target.array
  }

  private func narrowed(_ values: [Float], _ type: ElementType) -> [UInt16] {
    let source = Buffer(values)
    var result = [UInt16](repeating: 0, count: values.count)
    result.withUnsafeMutableBytes {
      if let base = $0.baseAddress { narrow(source.pointer, values.count, to: type, at: base) }
    }
    return result
  }

  private static let formats: [(ElementType, fractionBits: Int, bias: Int)] = [
    (.float16, 10, 15), (.bfloat16, 7, 127),
  ]

  @Test func everyPatternWidensToItsValueAndComesBack() {
    for (type, fractionBits, bias) in Self.formats {
      let wide = widened(Self.patterns, type)
      let back = narrowed(wide, type)
      for bits in Self.patterns {
        let expected = value(bits, fractionBits: fractionBits, bias: bias)
        let found = wide[Int(bits)]
        if expected.isNaN {
          #expect(found.isNaN)
          let again = widened([back[Int(bits)]], type)[0]
          #expect(again.isNaN, "\(type.rawValue) \(bits)")
        } else {
          let same = found.bitPattern == expected.bitPattern && back[Int(bits)] == bits
          if !same { Issue.record("\(type.rawValue) \(bits): \(found), expected \(expected)") }
        }
      }
    }
  }

  /// Between two neighbours: just below the middle goes down, just above goes up, the middle goes
  /// to the even one. Subnormals and the step to infinity are among them.
  @Test func roundingIsToTheNearestAndTiesGoToEven() {
    for (type, fractionBits, bias) in Self.formats {
      let infinity = UInt16((0x7fff >> fractionBits) << fractionBits)
      for sign in [UInt16(0), 0x8000] {
        let lower = (0..<infinity).map { $0 }
        let middles = lower.map { bits -> Float in
          let a = Double(value(bits, fractionBits: fractionBits, bias: bias))
          // Infinity stands where the next number of the format would.
          let power = max(1, Int(bits) >> fractionBits) - bias - fractionBits
          let ulp = Double(sign: .plus, exponent: power, significand: 1)
          return Float(a + ulp / 2)
        }
        let flip: Float = sign == 0 ? 1 : -1
        let down = narrowed(middles.map { flip * $0.nextDown }, type)
        let middle = narrowed(middles.map { flip * $0 }, type)
        let up = narrowed(middles.map { flip * $0.nextUp }, type)
        for bits in lower {
          let i = Int(bits)
          let even = bits & 1 == 0 ? bits : bits + 1
          let right =
            down[i] == bits | sign && up[i] == (bits + 1) | sign && middle[i] == even | sign
          if !right {
            Issue.record("\(type.rawValue) \(bits): \(down[i]) \(middle[i]) \(up[i])")
            return
          }
        }
      }
    }
  }

  @Test func whatLiesOutsideBecomesInfinity() {
    #expect(
      narrowed([65_519, 65_520, 1e30, -1e30, .infinity], .float16)
        == [0x7bff, 0x7c00, 0x7c00, 0xfc00, 0x7c00])
    #expect(narrowed([.greatestFiniteMagnitude, -.infinity], .bfloat16) == [0x7f80, 0xff80])
    #expect(narrowed([0, -0.0, 1e-10, -1e-10], .float16) == [0, 0x8000, 0, 0x8000])
  }
}
