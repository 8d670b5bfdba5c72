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
  /// For the roots of the second moments. Rounded by a threshold, a number above zero never becomes
  /// zero: dividing by it would throw a weight far off.
  public static let unsigned = DynamicCode(isSigned: false)

  /// What each code stands for, ascending [256].
  public let levels: [Float]
  /// The code of 0.
  public let zero: UInt8
  /// Between a level and the next [256]; the last is infinite.
  private let midpoints: [Float]
  /// By the cell of a number, which is its sign, its exponent and its seven leading bits, positive
  /// cells first: the code nearest to the cell's lower edge. A cell holds at most one midpoint.
  private let nearest: [UInt8]
  /// By the cell of a positive number: the last level that is not above the cell's lower edge. A
  /// cell holds at most one level.
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
    zero = UInt8(levels.firstIndex(of: 0) ?? 0)
    let midpoints = (0..<256).map {
      $0 < 255 ? (levels[$0] + levels[$0 + 1]) / 2 : Float.infinity
    }
    self.midpoints = midpoints
    func code(_ value: Float) -> UInt8 { UInt8(midpoints.firstIndex { value <= $0 } ?? 255) }
    let edges = (0..<DynamicCode.cellCount).map {
      Float(bitPattern: UInt32(DynamicCode.firstCell + $0) << DynamicCode.cellShift)
    }
    nearest =
      edges.map(code)
      + edges.map { edge in
        code(-min(Float(bitPattern: edge.bitPattern + (1 << DynamicCode.cellShift) - 1), 1))
      }
    floors = edges.map { edge in UInt8(levels.lastIndex { $0 <= edge } ?? 0) }
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
    let place = DynamicCode.cell(bits) &+ (bits >> 31 == 0 ? 0 : DynamicCode.cellCount)
    let start = tables.nearest[Int(place)]
    return start &+ (value > tables.midpoints[Int(start)] ? 1 : 0)
  }

  /// The code of one of the two levels around `value`, which lies in 0...1: of the upper one where
  /// `value` has come a greater part of the way to it than `threshold`, which lies in 0..<1. A number
  /// above zero does not become zero.
  @inline(__always)
  func code(_ value: Float, threshold: Float, _ tables: Tables) -> UInt8 {
    var low = tables.floors[Int(DynamicCode.cell(value.bitPattern))]
    low = low &+ (value >= tables.levels[Int(low) &+ 1] ? 1 : 0)
    let (below, above) = (tables.levels[Int(low)], tables.levels[Int(low) &+ 1])
    low = low &+ (value - below > threshold * (above - below) ? 1 : 0)
    return max(low, value > 0 ? zero &+ 1 : zero)
  }

  /// The tables as pointers, for inner loops.
  struct Tables {
    /// [257]: behind the last one infinity.
    let levels: UnsafePointer<Float>
    let midpoints: UnsafePointer<Float>
    let nearest: UnsafePointer<UInt8>
    let floors: UnsafePointer<UInt8>
  }

  func withTables(_ body: (Tables) -> Void) {
    (levels + [.infinity]).withUnsafeBufferPointer { levels in
      midpoints.withUnsafeBufferPointer { midpoints in
        nearest.withUnsafeBufferPointer { nearest in
          floors.withUnsafeBufferPointer { floors in
            if let levels = levels.baseAddress, let midpoints = midpoints.baseAddress,
              let nearest = nearest.baseAddress, let floors = floors.baseAddress
            {
              body(
                Tables(levels: levels, midpoints: midpoints, nearest: nearest, floors: floors))
            }
          }
        }
      }
    }
  }

  /// What numbers of this largest magnitude are multiplied by before they are coded; 0 where it is so
  /// small that its inverse overflows: all of them are nothing.
  @inline(__always)
  static func inverse(_ scale: Float) -> Float {
    let inverse = scale > 0 ? 1 / scale : 0
    return inverse.isFinite ? inverse : 0
  }

  /// Writes the codes of `count` numbers, at most a block, and returns their scale.
  @inline(__always)
  func encode(
    _ values: UnsafePointer<Float>, _ count: Int, _ tables: Tables,
    to codes: UnsafeMutablePointer<UInt8>
  ) -> Float {
    var scale: Float = 0
    for i in 0..<count { scale = max(scale, values[i].magnitude) }
    let inverse = DynamicCode.inverse(scale)
    for i in 0..<count { codes[i] = code(values[i] * inverse, tables) }
    return inverse > 0 ? scale : 0
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
    var scale: Float = 0
    for i in 0..<count { scale = max(scale, values[i]) }
    let inverse = DynamicCode.inverse(scale)
    var turn =
      UInt32(truncatingIfNeeded: step) &* 0x9E37_79B9
      &+ UInt32(truncatingIfNeeded: place) &* 0xC13F_A9A9
    for i in 0..<count {
      codes[i] = code(values[i] * inverse, threshold: Float(turn >> 8) * 0x1p-24, tables)
      turn = turn &+ 0xC13F_A9A9
    }
    return inverse > 0 ? scale : 0
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
