import Glibc

/// Eight-bit codes of numbers in -1...1 or 0...1: the dynamic data type of Dettmers et al., "8-bit
/// Optimizers via Block-wise Quantization" (ICLR 2022), as bitsandbytes lays it out. Each of seven
/// decades has half the levels of the next larger one, so that small numbers keep a magnitude and
/// large ones are exact to about a percent.
public struct DynamicCode: Sendable {
  /// Numbers that share one scale, their largest magnitude.
  public static let block = 256
  /// For the first moments.
  public static let signed = DynamicCode(isSigned: true)
  /// For the roots of the second moments. A number above zero never becomes zero: dividing by it
  /// would throw a weight far off.
  public static let unsigned = DynamicCode(isSigned: false)

  /// What each code stands for, ascending [256].
  public let levels: [Float]
  /// The code of 0.
  public let zero: UInt8
  private let isSigned: Bool
  /// Those that `place` speaks of.
  private let lines: [Line]

  private init(isSigned: Bool) {
    var levels: [Float] = [0, 1]
    for decade in 0..<7 {
      let size = powf(10, Float(decade - 6))
      let count = isSigned ? 1 << decade : 2 << decade
      for item in 0..<count {
        // The middle of one of `count` equal parts of 0.1...1.
        let level = size * (0.1 + 0.9 * (Float(item) + 0.5) / Float(count))
        levels.append(level)
        if isSigned { levels.append(-level) }
      }
    }
    levels.sort()
    self.levels = levels
    self.isSigned = isSigned
    zero = UInt8(levels.firstIndex(of: 0) ?? 0)
    lines = DynamicCode.lines(
      through: levels.suffix(from: isSigned ? Int(zero) : 1), first: isSigned ? 0 : 1)
  }

  /// The lines through neighbours among `levels`, which are counted from `first`, each line once: 14.
  private static func lines(through levels: ArraySlice<Float>, first: Int) -> [Line] {
    var lines = [Line]()
    var last = 0.0
    for (place, (below, above)) in zip(levels, levels.dropFirst()).enumerated() {
      let slope = 1 / (Double(above) - Double(below))
      guard abs(slope - last) > 0.1 * last else { continue }
      last = slope
      lines.append(
        Line(
          slope: Lanes(repeating: Float(slope)),
          offset: Lanes(repeating: Float(Double(first + place) - slope * Double(below)))))
    }
    return lines
  }

  /// y = slope · x + offset, for eight x at once.
  private struct Line {
    let slope: Lanes, offset: Lanes

    @inline(__always)
    func callAsFunction(_ x: Lanes) -> Lanes { offset.addingProduct(x, slope) }
  }

  /// Where magnitudes in 0...1 stand among the levels from zero on: a whole number on a level, between
  /// two the part of the way besides.
  ///
  /// Levels are evenly spaced within a decade. From its last one to the next decade's first it is three
  /// times as far, then five times: so of the straight lines through neighbours the least is wanted.
  /// Only to 1 it is half as far again.
  /// - Parameter fromFew: whether all are at least `few`, and half of the lines are enough
  @inline(__always)
  private func place(_ x: Lanes, _ lines: UnsafePointer<Line>, fromFew: Bool) -> Lanes {
    var least = lines[12](x)
    for other in 6..<12 { lower(&least, lines[other](x)) }
    if !fromFew { for other in 0..<6 { lower(&least, lines[other](x)) } }
    let last = lines[13](x)
    return least.replacing(with: last, where: last .> least)
  }

  @inline(__always)
  private func lower(_ least: inout Lanes, _ other: Lanes) {
    least = least.replacing(with: other, where: other .< least)
  }

  /// Above the first level of the fourth decade.
  private static var few: Float { 2e-4 }

  /// The codes of one of the two levels around each of `values`, which lie in -1...1, of the unsigned
  /// code in 0...1: of the one farther from zero where it has come a greater part of the way to it than
  /// its threshold, which lies in 0..<1. At 0.5 that is the nearest. Of the unsigned code nothing above
  /// zero becomes zero.
  @inline(__always)
  func codes(_ values: Lanes, thresholds: Lanes) -> SIMD8<UInt8> {
    lines.withUnsafeBufferPointer { lines in
      guard let lines = lines.baseAddress else { return SIMD8() }
      return codes(values, thresholds, lines, fromFew: false)
    }
  }

  @inline(__always)
  private func codes(
    _ values: Lanes, _ thresholds: Lanes, _ lines: UnsafePointer<Line>, fromFew: Bool
  ) -> SIMD8<UInt8> {
    // Whole numbers are rounded to, and read, in the last bits of a sum.
    let magic = Lanes(repeating: 12_582_912)
    let bits = unsafeBitCast(values, to: SIMD8<UInt32>.self)
    let x = magnitudes(values)
    var level = place(x, lines, fromFew: fromFew) + (0.5 - thresholds)
    if isSigned {
      level = (level + magic) - magic
      let signed = unsafeBitCast(level, to: SIMD8<UInt32>.self) | (bits & 0x8000_0000)
      level = unsafeBitCast(signed, to: Lanes.self) + 127
      // There is no -1.
      level.replace(with: 0, where: level .< 0)
    } else {
      level.replace(with: 1, where: level .< 1)
      level.replace(with: 0, where: x .== 0)
      // 1 at a threshold of 0.
      level.replace(with: 255, where: level .> 255)
    }
    return SIMD8(truncatingIfNeeded: unsafeBitCast(level + magic, to: SIMD8<UInt32>.self))
  }

  /// Writes the codes of a block of numbers [256] times `factor`, which makes them -1...1 or 0...1.
  ///
  /// With a step's number it does so for numbers not below zero that move by less than a level at a
  /// time: each is rounded up as often as it lies near the upper level, so that it drifts at its true
  /// rate, where rounding to the nearest would hold it fast. The thresholds are a low-discrepancy
  /// sequence over steps and places (Weyl's, by the golden ratio and the plastic number), which needs
  /// no state.
  ///
  /// Not inlined: beside its caller's numbers the lines would not keep in reach.
  /// - Parameter place: of the first among all numbers
  @inline(never)
  func encode(
    _ values: UnsafePointer<Float>, times factor: Float, step: Int?, place: Int,
    to result: UnsafeMutablePointer<UInt8>
  ) {
    let golden: UInt32 = 0x9E37_79B9, plastic: UInt32 = 0xC13F_A9A9
    let places = SIMD8<UInt32>(0, 1, 2, 3, 4, 5, 6, 7)
    var turns =
      (places &+ UInt32(truncatingIfNeeded: place)) &* plastic
      &+ UInt32(truncatingIfNeeded: step ?? 0) &* golden
    let target = UnsafeMutableRawPointer(result)
    lines.withUnsafeBufferPointer { lines in
      guard let lines = lines.baseAddress else { return }
      for start in stride(from: 0, to: DynamicCode.block, by: 32) {
        let fromFew = areAtLeastFew(values + start, factor)
        for i in stride(from: start, to: start + 32, by: 8) {
          // As the fraction of a float in 1..<2.
          let fractions = unsafeBitCast((turns &>> 9) | 0x3F80_0000, to: Lanes.self)
          turns = turns &+ (8 &* plastic)
          let thresholds = step == nil ? Lanes(repeating: 0.5) : fractions - 1
          let found = codes(load(values + i) * factor, thresholds, lines, fromFew: fromFew)
          target.storeBytes(of: found, toByteOffset: i, as: SIMD8<UInt8>.self)
        }
      }
    }
  }

  /// Whether the magnitudes of 32 numbers times `factor` are.
  @inline(__always)
  private func areAtLeastFew(_ values: UnsafePointer<Float>, _ factor: Float) -> Bool {
    var below = SIMD8<UInt32>(repeating: 0)
    for i in stride(from: 0, to: 32, by: 8) {
      // Bits without a sign are ordered as the magnitudes are.
      let x = magnitudes(load(values + i) * factor)
      below |= unsafeBitCast(x, to: SIMD8<UInt32>.self) &- DynamicCode.few.bitPattern
    }
    let halves = below.lowHalf | below.highHalf
    let quarters = halves.lowHalf | halves.highHalf
    return (quarters.x | quarters.y) >> 31 == 0
  }
}

/// Numbers as eight-bit codes with a scale for every block of 256: 1.016 bytes each.
public struct BlockwiseNumbers: Sendable {
  public let code: DynamicCode
  /// Codes of whole blocks, four to a float's room; past `count` those of zeros.
  private let codeStore: Buffer
  private let scaleStore: Buffer
  public let count: Int
  /// The place of the first among the numbers that these are a part of, which thresholds go by.
  private let start: Int

  public var blocks: Int { (count + DynamicCode.block - 1) / DynamicCode.block }
  /// [blocks, 256], of which the last may not be full: it ends in zeros.
  public var codes: UnsafeMutablePointer<UInt8> {
    UnsafeMutableRawPointer(codeStore.pointer).assumingMemoryBound(to: UInt8.self)
  }
  /// The largest magnitude of each block [blocks].
  public var scales: UnsafeMutablePointer<Float> { scaleStore.pointer }

  /// Zeros.
  /// - Parameter start: the place of the first, where they are a part of others
  public init(zeros count: Int, _ code: DynamicCode, from start: Int = 0) {
    self.code = code
    self.count = count
    self.start = start
    let blocks = (count + DynamicCode.block - 1) / DynamicCode.block
    codeStore = Buffer(count: blocks * DynamicCode.block / 4)
    scaleStore = Buffer(zeros: blocks)
    codes.update(repeating: code.zero, count: blocks * DynamicCode.block)
  }

  /// Replaces all numbers by the nearest to `values` [count].
  public func set(_ values: UnsafePointer<Float>) {
    let size = DynamicCode.block
    withUnsafeTemporaryAllocation(of: Float.self, capacity: size) { padded in
      guard let numbers = padded.baseAddress else { return }
      for block in 0..<blocks {
        let start = block * size
        padded.initialize(repeating: 0)
        numbers.update(from: values + start, count: min(size, count - start))
        encode(numbers, largest: (0..<size).reduce(0) { max($0, abs(numbers[$1])) }, block)
      }
    }
  }

  /// Writes a block's numbers without its scale [256].
  @inline(__always)
  func decode(_ block: Int, to numbers: UnsafeMutablePointer<Float>) {
    let codes = codes + block * DynamicCode.block
    code.levels.withUnsafeBufferPointer { levels in
      for i in 0..<DynamicCode.block { numbers[i] = levels[Int(codes[i])] }
    }
  }

  /// Replaces a block by numbers [256] whose largest magnitude is given; those of the last one end in
  /// zeros. With a step's number they are rounded by thresholds that change from step to step.
  @inline(__always)
  func encode(_ numbers: UnsafePointer<Float>, largest: Float, _ block: Int, step: Int? = nil) {
    let first = block * DynamicCode.block
    let inverse = 1 / largest
    // A scale so small that its inverse overflows: all of it is nothing.
    guard inverse.isFinite else {
      scales[block] = 0
      return (codes + first).update(repeating: code.zero, count: DynamicCode.block)
    }
    scales[block] = largest
    code.encode(numbers, times: inverse, step: step, place: start + first, to: codes + first)
  }

  /// The numbers as float32 [count].
  public var array: [Float] {
    (0..<count).map { code.levels[Int(codes[$0])] * scales[$0 / DynamicCode.block] }
  }
}
