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

  /// Numbers of every size, and right beside every midpoint and level.
  private func numbers(_ code: DynamicCode) -> [Float] {
    var values = [Float]()
    for exponent in 0..<30 {
      for step in 0..<97 {
        values.append(Float(sign: .plus, exponent: -exponent, significand: 1 - Float(step) / 200))
      }
    }
    values += [1, 0, .leastNonzeroMagnitude]
    for (a, b) in zip(code.levels, code.levels.dropFirst()) where a >= 0 {
      values += [a, b.nextDown, ((a + b) / 2).nextDown, (a + b) / 2, ((a + b) / 2).nextUp]
    }
    return values
  }

  /// The codes that `code` gives to numbers, eight by eight.
  private func codes(
    of values: [Float], _ code: (SIMD8<Float>) -> SIMD8<UInt8>
  ) -> [UInt8] {
    stride(from: 0, to: values.count, by: 8).flatMap { start -> [UInt8] in
      let rest = values[start..<min(start + 8, values.count)]
      var lanes = SIMD8<Float>()
      for (lane, value) in rest.enumerated() { lanes[lane] = value }
      let found = code(lanes)
      return rest.indices.map { found[$0 - start] }
    }
  }

  @Test("A number gets the nearest level; nothing positive becomes a zero second moment")
  func nearest() {
    for code in [DynamicCode.signed, .unsigned] {
      let isSigned = code.zero > 0
      var values = numbers(code)
      if isSigned { values += values.map { -$0 } }
      let found = codes(of: values) { code.codes($0, thresholds: .init(repeating: 0.5)) }
      for (value, found) in zip(values, found) {
        let level = code.levels[Int(found)]
        let best = code.levels.map { abs($0 - value) }.min() ?? 0
        if !isSigned, value > 0, level > 0, level == code.levels[1] {
          #expect(value <= (code.levels[1] + code.levels[2]) / 2 * 1.00001)
        } else {
          // Halfway between two levels either is near enough.
          #expect(
            abs(level - value) <= best * 1.0001 + 1e-6 * abs(value), "\(value) became \(level)")
        }
        #expect(isSigned || value == 0 || level > 0)
      }
    }
  }

  @Test("By a threshold it gets the level below or above; nothing positive becomes zero")
  func thresholds() {
    let code = DynamicCode.unsigned
    let values = numbers(code)
    func gap(_ value: Float) -> (below: Float, above: Float) {
      (code.levels.last { $0 <= value } ?? 0, code.levels.first { $0 > value } ?? 1)
    }
    func wanted(_ value: Float, _ threshold: Float) -> Float {
      let (below, above) = gap(value)
      return max((value - below) / (above - below) > threshold ? above : below, code.levels[1])
    }
    for threshold in [0, 0.25, 0.5, 0.999] as [Float] {
      let found = codes(of: values) { code.codes($0, thresholds: .init(repeating: threshold)) }
      for (value, found) in zip(values, found) {
        let level = code.levels[Int(found)]
        guard value > 0 else {
          #expect(level == 0)
          continue
        }
        // Right on a level, or at the threshold itself, rounding decides.
        let (below, above) = gap(value)
        let hair = 2e-4 * (above - below)
        let right = [-hair, 0, hair].map { wanted(min(max(value + $0, 0), 1), threshold) }
        #expect(right.contains(level), "\(value) at \(threshold) became \(level)")
      }
    }
  }

  /// A block is coded by a shorter way where none of its numbers is small.
  @Test func blocksAreCodedAsTheirNumbers() {
    for code in [DynamicCode.signed, .unsigned] {
      var values = numbers(code).sorted()
      if code.zero > 0 { for i in stride(from: 0, to: values.count, by: 3) { values[i].negate() } }
      values += [Float](repeating: 0.25, count: 256 - values.count % 256)
      let single = codes(of: values) { code.codes($0, thresholds: .init(repeating: 0.5)) }
      var found = [UInt8](repeating: 0, count: values.count)
      values.withUnsafeBufferPointer { values in
        found.withUnsafeMutableBufferPointer { found in
          guard let values = values.baseAddress, let found = found.baseAddress else { return }
          for start in stride(from: 0, to: single.count, by: 256) {
            code.encode(values + start, times: 1, step: nil, place: start, to: found + start)
          }
        }
      }
      #expect(found == single)
    }
  }

  /// A fraction of the way to a level is taken in that fraction of the steps, anywhere.
  @Test func thresholdsAreSpreadEvenly() {
    let count = 256, steps = 400
    let (low, high) = (DynamicCode.unsigned.levels[200], DynamicCode.unsigned.levels[201])
    for part in [0.03, 0.3, 0.8] as [Float] {
      // The first one is the block's scale.
      let values = [1] + [Float](repeating: low + part * (high - low), count: count - 1)
      var ups = [Int](repeating: 0, count: count)
      var codes = [UInt8](repeating: 0, count: count)
      for step in 1...steps {
        DynamicCode.unsigned.encode(values, times: 1, step: step, place: 512, to: &codes)
        #expect(codes[0] == 255)
        for i in 1..<count { ups[i] += Int(codes[i]) - 200 }
      }
      for i in 1..<count {
        #expect(abs(Float(ups[i]) - part * Float(steps)) < 5, "place \(i): \(ups[i])")
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
    for block in 0..<3 {
      let own = values[block * 256..<min(count, (block + 1) * 256)]
      #expect(numbers.scales[block] == own.map(abs).max())
    }
    for (value, found) in zip(values, numbers.array) {
      let error = abs(value - found)
      #expect(error <= 0.03 * abs(value))
    }
    numbers.set([Float](repeating: 0, count: count))
    #expect(numbers.array == [Float](repeating: 0, count: count))
  }
}
