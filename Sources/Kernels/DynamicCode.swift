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
  /// Levels are told apart by the sign of a difference, not by branches, which would be guessed wrong
  /// half the time. Between a level and the next [256]; the last is infinite. Where nothing positive
  /// may become zero, that behind zero is zero.
  private let midpoints: [Float]
  /// From a level to the next [256], zero likewise.
  private let gaps: [Float]
  /// By the cell of a number, which is its sign, its exponent and its seven leading bits, positive
  /// cells first: the code nearest to the cell's lower edge. A cell holds at most one midpoint.
  private let nearest: [UInt8]
  /// By the cell of a positive number: the last level that is not above the cell's lower edge. A
  /// cell holds at most one level. 254 at most, so that there is one above.
  private let floors: [UInt8]

  private static let cellShift: UInt32 = 16
  /// 2^-25: below it lies half of the smallest level.
  private static let firstCell = Int32(Float(0x1p-25).bitPattern >> cellShift)
  private static let cellCount = Int32(Float(1).bitPattern >> cellShift) - firstCell + 1

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
    let zero = levels.firstIndex(of: 0) ?? 0
    self.zero = UInt8(zero)
    var midpoints = zip(levels, levels.dropFirst()).map { ($0 + $1) / 2 } + [.infinity]
    var gaps = zip(levels, levels.dropFirst()).map { $1 - $0 } + [1]
    if !isSigned { (midpoints[zero], gaps[zero]) = (0, 0) }
    self.midpoints = midpoints
    self.gaps = gaps
    func code(_ value: Float) -> UInt8 { UInt8(midpoints.firstIndex { value <= $0 } ?? 255) }
    let edges = (0..<DynamicCode.cellCount).map {
      Float(bitPattern: UInt32(DynamicCode.firstCell + $0) << DynamicCode.cellShift)
    }
    // The first cell has everything below it too.
    nearest =
      [code(0)] + edges.dropFirst().map(code)
      + edges.map { edge in
        code(-min(Float(bitPattern: edge.bitPattern + (1 << DynamicCode.cellShift) - 1), 1))
      }
    floors = edges.map { edge in UInt8(min(254, levels.lastIndex { $0 <= edge } ?? 0)) }
  }

  /// The cell of a magnitude, counted from the first.
  @inline(__always)
  private static func cell(_ bits: UInt32) -> Int32 {
    let place = Int32(bitPattern: (bits & 0x7FFF_FFFF) >> cellShift) &- firstCell
    return max(0, min(cellCount &- 1, place))
  }

  /// The code of the level nearest to `value`, which lies in -1...1.
  @inline(__always)
  func code(_ value: Float, _ tables: Tables) -> UInt8 {
    let bits = value.bitPattern
    let place = DynamicCode.cell(bits) &+ Int32(bits >> 31) &* DynamicCode.cellCount
    let start = tables.nearest[Int(place)]
    return start &+ DynamicCode.isNegative(tables.midpoints[Int(start)] - value)
  }

  /// The code of one of the two levels around `value`, which lies in 0...1: of the upper one where
  /// `value` has come a greater part of the way to it than `threshold`, which lies in 0..<1.
  @inline(__always)
  func code(_ value: Float, threshold: Float, _ tables: Tables) -> UInt8 {
    // The largest number over itself can come to a little more than 1.
    let value = min(value, 1)
    var low = tables.floors[Int(DynamicCode.cell(value.bitPattern))]
    low = low &+ 1 &- DynamicCode.isNegative(value - tables.levels[Int(low) &+ 1])
    return low
      &+ DynamicCode.isNegative(
        threshold * tables.gaps[Int(low)] - (value - tables.levels[Int(low)]))
  }

  /// 1 for a number below zero, else 0.
  @inline(__always)
  private static func isNegative(_ value: Float) -> UInt8 {
    UInt8(truncatingIfNeeded: value.bitPattern >> 31)
  }

  /// The tables as pointers, for inner loops.
  struct Tables {
    let levels: UnsafePointer<Float>
    let midpoints: UnsafePointer<Float>
    let gaps: UnsafePointer<Float>
    let nearest: UnsafePointer<UInt8>
    let floors: UnsafePointer<UInt8>
  }

  func withTables(_ body: (Tables) -> Void) {
    levels.withUnsafeBufferPointer { levels in
      midpoints.withUnsafeBufferPointer { midpoints in
        gaps.withUnsafeBufferPointer { gaps in
          nearest.withUnsafeBufferPointer { nearest in
            floors.withUnsafeBufferPointer { floors in
              if let levels = levels.baseAddress, let midpoints = midpoints.baseAddress,
                let gaps = gaps.baseAddress, let nearest = nearest.baseAddress,
                let floors = floors.baseAddress
              {
                body(
                  Tables(
                    levels: levels, midpoints: midpoints, gaps: gaps, nearest: nearest,
                    floors: floors))
              }
            }
          }
        }
      }
    }
  }

  /// Writes the codes of `count` numbers, at most a block, and returns their scale.
  @inline(__always)
  func encode(
    _ values: UnsafePointer<Float>, _ count: Int, _ tables: Tables,
    to codes: UnsafeMutablePointer<UInt8>
  ) -> Float {
    encode(values, count, to: codes) { value, _ in code(value, tables) }
  }

  /// As the other form, for numbers not below zero that move by less than a level at a time: each is
  /// rounded up as often as it lies near the upper level, so that it drifts at its true rate, where
  /// rounding to the nearest would hold it fast. The thresholds are a low-discrepancy sequence over
  /// steps and places (Weyl's, by the golden ratio and the plastic number), which needs no state.
  @inline(__always)
  func encode(
    _ values: UnsafePointer<Float>, _ count: Int, step: Int, place: Int, _ tables: Tables,
    to codes: UnsafeMutablePointer<UInt8>
  ) -> Float {
    let first =
      UInt32(truncatingIfNeeded: step) &* 0x9E37_79B9
      &+ UInt32(truncatingIfNeeded: place) &* 0xC13F_A9A9
    return encode(values, count, to: codes) { value, i in
      let turn = first &+ UInt32(truncatingIfNeeded: i) &* 0xC13F_A9A9
      return code(value, threshold: Float(turn >> 8) * 0x1p-24, tables)
    }
  }

  /// - Parameter code: of a number over the scale, and its place.
  @inline(__always)
  private func encode(
    _ values: UnsafePointer<Float>, _ count: Int, to codes: UnsafeMutablePointer<UInt8>,
    _ code: (Float, Int) -> UInt8
  ) -> Float {
    var scale: Float = 0
    for i in 0..<count { scale = max(scale, values[i].magnitude) }
    let inverse = scale > 0 ? 1 / scale : 0
    // A scale so small that its inverse overflows: all of it is nothing.
    guard inverse.isFinite else {
      for i in 0..<count { codes[i] = zero }
      return 0
    }
    for i in 0..<count { codes[i] = code(values[i] * inverse, i) }
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
    code.withTables { tables in
      for block in 0..<blocks {
        let start = block * DynamicCode.block
        scales[block] = code.encode(
          values + start, min(DynamicCode.block, count - start), tables, to: codes + start)
      }
    }
  }

  /// The numbers as float32 [count].
  public var array: [Float] {
    (0..<count).map { code.levels[Int(codes[$0])] * scales[$0 / DynamicCode.block] }
  }
}
