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
  /// The code of the smallest level that a positive number may take.
  private let lowest: UInt8
  /// Between a level and the next [256]; the last is infinite.
  private let midpoints: [Float]
  /// The code at the lower edge of each cell of magnitudes with the same exponent and the same
  /// seven leading bits; a cell holds at most one midpoint.
  private let cells: [UInt8]
  /// As `cells`, for negative numbers: the code at the cell's edge away from zero.
  private let negativeCells: [UInt8]

  private static let cellShift: UInt32 = 16
  /// 2^-25: below it lies half of the smallest level.
  private static let firstCell = Float(0x1p-25).bitPattern >> cellShift
  private static let cellCount = Int((Float(1).bitPattern >> cellShift) - firstCell) + 1

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
    lowest = UInt8(isSigned ? zero : zero + 1)
    let midpoints = (0..<256).map {
      $0 < 255 ? (levels[$0] + levels[$0 + 1]) / 2 : Float.infinity
    }
    self.midpoints = midpoints
    func nearest(_ value: Float) -> UInt8 {
      UInt8(midpoints.firstIndex { value <= $0 } ?? 255)
    }
    let edges = (0..<DynamicCode.cellCount).map {
      Float(bitPattern: (DynamicCode.firstCell + UInt32($0)) << DynamicCode.cellShift)
    }
    cells = edges.map(nearest)
    negativeCells = edges.map { edge in
      let far = Float(bitPattern: edge.bitPattern + (1 << DynamicCode.cellShift) - 1)
      return nearest(-min(far, 1))
    }
  }

  /// The code of the level nearest to `value`, which lies in -1...1.
  @inline(__always)
  func code(_ value: Float, _ tables: Tables) -> UInt8 {
    let magnitude = value.magnitude
    if magnitude == 0 { return zero }
    let place = max(
      0,
      min(
        DynamicCode.cellCount - 1,
        Int(magnitude.bitPattern >> DynamicCode.cellShift) - Int(DynamicCode.firstCell)))
    let start = value < 0 ? tables.negativeCells[place] : tables.cells[place]
    let code = start &+ (value > tables.midpoints[Int(start)] ? 1 : 0)
    return value > 0 && code < lowest ? lowest : code
  }

  /// The tables as pointers, for inner loops.
  struct Tables {
    let levels: UnsafePointer<Float>
    let midpoints: UnsafePointer<Float>
    let cells: UnsafePointer<UInt8>
    let negativeCells: UnsafePointer<UInt8>
  }

  func withTables(_ body: (Tables) -> Void) {
    levels.withUnsafeBufferPointer { levels in
      midpoints.withUnsafeBufferPointer { midpoints in
        cells.withUnsafeBufferPointer { cells in
          negativeCells.withUnsafeBufferPointer { negativeCells in
            if let levels = levels.baseAddress, let midpoints = midpoints.baseAddress,
              let cells = cells.baseAddress, let negativeCells = negativeCells.baseAddress
            {
              body(
                Tables(
                  levels: levels, midpoints: midpoints, cells: cells,
                  negativeCells: negativeCells))
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
    var scale: Float = 0
    for i in 0..<count { scale = max(scale, values[i].magnitude) }
    let inverse = scale > 0 ? 1 / scale : 0
    // A scale so small that its inverse overflows: all of it is nothing.
    guard inverse.isFinite else {
      for i in 0..<count { codes[i] = zero }
      return 0
    }
    for i in 0..<count { codes[i] = code(values[i] * inverse, tables) }
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
