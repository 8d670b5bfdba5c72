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
  }

  /// Of magnitudes in 0...1 the level below, counted from 1 for the smallest one above zero, and which
  /// part of the way to the next level they have come.
  ///
  /// Within a decade levels are evenly spaced, and the next decade has twice as many: so what
  /// c (x / size + 0.8) / 0.9 - 0.5 gives, c being the levels of its decade in the signed code, is a
  /// whole number at every level and rises without a jump.
  @inline(__always)
  private func place(_ x: Lanes) -> (level: Lanes, part: Lanes) {
    var slope = Lanes(repeating: 1e6 / 0.9), count = Lanes(repeating: 1)
    var size: Float = 1e-6
    for decade in 1..<7 {
      let isAbove = x .>= Lanes(repeating: size)
      size *= 10
      slope.replace(with: Float(1 << decade) / size / 0.9, where: isAbove)
      count.replace(with: Float(1 << decade), where: isAbove)
    }
    let unit = Lanes(repeating: isSigned ? 1 : 2)
    (slope, count) = (slope * unit, count * unit)
    let exact = slope * x + (count * (0.8 / 0.9) - 0.5)
    // Rounded half a level lower; on a level either of its sides will do.
    let magic = Lanes(repeating: 12_582_912)
    let level = (exact - 0.5) + magic - magic
    let part = exact - level
    // Between two decades: the first sixth of the way lies in the lower one, half as it is counted.
    let rise = (5 * part - 2) * (1 / 3)
    let across = (part * (1 / 3)).replacing(with: rise, where: part .> 0.5)
    var way = part.replacing(with: across, where: level .== count - 1)
    way.replace(with: across, where: level .== count + count - 1)
    // To 1 it is half as far as from level to level.
    way.replace(with: part + part, where: level .== 128 * unit - 1)
    return (level, way)
  }

  /// The codes of the levels nearest to `values`, which lie in -1...1; of the unsigned code for 0...1,
  /// where nothing above zero becomes zero.
  @inline(__always)
  func codes(_ values: Lanes) -> SIMD8<UInt8> { codes(values, thresholds: Lanes(repeating: 0.5)) }

  /// The codes of one of the two levels around each of `values`: of the one farther from zero where it
  /// has come a greater part of the way to it than its threshold, which lies in 0..<1.
  @inline(__always)
  func codes(_ values: Lanes, thresholds: Lanes) -> SIMD8<UInt8> {
    let bits = unsafeBitCast(values, to: SIMD8<UInt32>.self)
    // The largest number over itself can come to a little more than 1.
    let x = unsafeBitCast(bits & 0x7FFF_FFFF, to: Lanes.self)
    let magnitudes = x.replacing(with: 1, where: x .> 1)
    var (level, way) = place(magnitudes)
    let least = isSigned ? DynamicCode.leastSigned : DynamicCode.leastUnsigned
    let isBelow = magnitudes .< least
    level.replace(with: isSigned ? 0 : 2, where: isBelow)
    way.replace(with: isSigned ? magnitudes * (1 / least) : Lanes(repeating: 0), where: isBelow)
    level.replace(with: level + 1, where: way .> thresholds)
    if isSigned {
      // There is no -1.
      let isNegative = values .< 0
      let negative = 0 - level.replacing(with: 127, where: level .> 127)
      level = level.replacing(with: negative, where: isNegative) + 127
    } else {
      level = level.replacing(with: 1, where: magnitudes .== 0) - 1
    }
    // A whole number, from the last bits of a sum.
    let codes = unsafeBitCast(level + 12_582_912, to: SIMD8<UInt32>.self)
    return SIMD8<UInt8>(truncatingIfNeeded: codes)
  }

  /// The smallest levels above zero.
  private static var leastSigned: Float { 5.5e-7 }
  private static var leastUnsigned: Float { 3.25e-7 }

  /// Writes the codes of `count` numbers, at most a block, and returns their scale.
  @inline(__always)
  func encode(
    _ values: UnsafePointer<Float>, _ count: Int, to codes: UnsafeMutablePointer<UInt8>
  ) -> Float {
    encode(values, count, to: codes) { values, _ in self.codes(values) }
  }

  /// As the other form, for numbers not below zero that move by less than a level at a time: each is
  /// rounded up as often as it lies near the upper level, so that it drifts at its true rate, where
  /// rounding to the nearest would hold it fast. The thresholds are a low-discrepancy sequence over
  /// steps and places (Weyl's, by the golden ratio and the plastic number), which needs no state.
  @inline(__always)
  func encode(
    _ values: UnsafePointer<Float>, _ count: Int, step: Int, place: Int,
    to codes: UnsafeMutablePointer<UInt8>
  ) -> Float {
    let first =
      UInt32(truncatingIfNeeded: step) &* 0x9E37_79B9
      &+ UInt32(truncatingIfNeeded: place) &* DynamicCode.turn
    return encode(values, count, to: codes) { values, i in
      let start = first &+ UInt32(truncatingIfNeeded: i) &* DynamicCode.turn
      let turns =
        SIMD8<UInt32>(repeating: start) &+ SIMD8<UInt32>(0, 1, 2, 3, 4, 5, 6, 7) &* DynamicCode.turn
      // As the fraction of a float in 1..<2.
      let fractions = unsafeBitCast((turns &>> 9) | 0x3F80_0000, to: Lanes.self)
      return self.codes(values, thresholds: fractions - 1)
    }
  }

  private static var turn: UInt32 { 0xC13F_A9A9 }

  /// - Parameter code: of eight numbers over the scale, and the place of the first.
  @inline(__always)
  private func encode(
    _ values: UnsafePointer<Float>, _ count: Int, to codes: UnsafeMutablePointer<UInt8>,
    _ code: (Lanes, Int) -> SIMD8<UInt8>
  ) -> Float {
    // Of bits without a sign, since the order of magnitudes is theirs.
    var largest = SIMD8<UInt32>(repeating: 0)
    eights(0..<count) { i in
      let bits = unsafeBitCast(load(values + i), to: SIMD8<UInt32>.self) & 0x7FFF_FFFF
      largest.replace(with: bits, where: bits .> largest)
    } _: { rest in
      let bits = unsafeBitCast(load(values, only: rest), to: SIMD8<UInt32>.self) & 0x7FFF_FFFF
      largest.replace(with: bits, where: bits .> largest)
    }
    let scale = Float(bitPattern: largest.max())
    let inverse = scale > 0 ? 1 / scale : 0
    // A scale so small that its inverse overflows: all of it is nothing.
    guard inverse.isFinite else {
      for i in 0..<count { codes[i] = zero }
      return 0
    }
    let target = UnsafeMutableRawPointer(codes)
    eights(0..<count) { i in
      target.storeBytes(
        of: code(load(values + i) * inverse, i), toByteOffset: i, as: SIMD8<UInt8>.self)
    } _: { rest in
      let last = code(load(values, only: rest) * inverse, rest.lowerBound)
      for (lane, i) in rest.enumerated() { codes[i] = last[lane] }
    }
    return scale
  }
}

/// Numbers as eight-bit codes with a scale for every block of 256: 1.016 bytes each.
public struct BlockwiseNumbers: Sendable {
  public let code: DynamicCode
  /// Codes [count], four to a float's room.
  private let codeStore: Buffer
  private let scaleStore: Buffer
  public let count: Int

  public var blocks: Int { (count + DynamicCode.block - 1) / DynamicCode.block }
  /// [count]
  public var codes: UnsafeMutablePointer<UInt8> {
    UnsafeMutableRawPointer(codeStore.pointer).assumingMemoryBound(to: UInt8.self)
  }
  /// The largest magnitude of each block [blocks].
  public var scales: UnsafeMutablePointer<Float> { scaleStore.pointer }

  /// Zeros.
  public init(zeros count: Int, _ code: DynamicCode) {
    self.code = code
    self.count = count
    codeStore = Buffer(count: (count + 3) / 4)
    scaleStore = Buffer(zeros: (count + DynamicCode.block - 1) / DynamicCode.block)
    codes.update(repeating: code.zero, count: count)
  }

  /// Replaces all numbers by the nearest to `values` [count].
  public func set(_ values: UnsafePointer<Float>) {
    for block in 0..<blocks {
      let start = block * DynamicCode.block
      scales[block] = code.encode(
        values + start, min(DynamicCode.block, count - start), to: codes + start)
    }
  }

  /// The numbers as float32 [count].
  public var array: [Float] {
    (0..<count).map { code.levels[Int(codes[$0])] * scales[$0 / DynamicCode.block] }
  }
}
