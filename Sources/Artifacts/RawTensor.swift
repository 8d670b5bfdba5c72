import Failures
import Kernels

/// A tensor as it lies on disk: little-endian, row-major.
public struct RawTensor: Sendable, Equatable {
  public let type: ElementType
  public let shape: [Int]
  public let bytes: [UInt8]

  /// - Precondition: `bytes` are as many as `shape` and `type` say.
  public init(type: ElementType, shape: [Int], bytes: [UInt8]) {
    precondition(
      bytes.count == shape.reduce(type.size, *),
      "\(bytes.count) bytes for \(shape) of \(type.rawValue)")
    self.type = type
    self.shape = shape
    self.bytes = bytes
  }

  public init(int32 values: [Int32], shape: [Int]) {
    self.init(type: .int32, shape: shape, bytes: RawTensor.copy(values))
  }

  public init(uint8 values: [UInt8], shape: [Int]) {
    self.init(type: .uint8, shape: shape, bytes: values)
  }

  public init(float32 values: [Float], shape: [Int]) {
    self.init(type: .float32, shape: shape, bytes: RawTensor.copy(values))
  }

  /// Float values stored as `type` (float32, float16 or bf16), rounded to the nearest, ties to
  /// even.
  public init(_ values: [Float], as type: ElementType, shape: [Int]) {
    self = values.withUnsafeBufferPointer { RawTensor($0, as: type, shape: shape) }
  }

  /// The same of values that lie elsewhere.
  public init(_ values: UnsafeBufferPointer<Float>, as type: ElementType, shape: [Int]) {
    precondition(type.isFloat, "\(type.rawValue) does not hold floats")
    let size = values.count * type.size
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { out, filled in
      if let source = values.baseAddress, let target = out.baseAddress {
        narrow(source, values.count, to: type, at: target)
      }
      filled = size
    }
    self.init(type: type, shape: shape, bytes: bytes)
  }

  /// The number of elements.
  public var count: Int { bytes.count / type.size }

  /// The values of an integer or boolean tensor. Throws 65 for another type or a value beyond 32
  /// bits.
  public func int32s() throws -> [Int32] {
    switch type {
    case .int32: return RawTensor.load(bytes, Int32.self)
    case .uint8, .bool: return bytes.map { Int32($0) }
    case .int8: return bytes.map { Int32(Int8(bitPattern: $0)) }
    case .int16: return RawTensor.load(bytes, Int16.self).map { Int32($0) }
    case .int64:
      return try RawTensor.load(bytes, Int64.self).map { value in
        guard let narrow = Int32(exactly: value) else {
          throw Failure(.badData, "an integer beyond 32 bits", found: "\(value)")
        }
        return narrow
      }
    case .float32, .float16, .bfloat16:
      throw Failure(.badData, "wrong element type", expected: "integers", found: type.rawValue)
    }
  }

  /// The values of a float tensor, widened to float32. Throws 65 for another type.
  public func floats() throws -> [Float] {
    guard type.isFloat else {
      throw Failure(.badData, "wrong element type", expected: "floats", found: type.rawValue)
    }
    let count = count
    return [Float](unsafeUninitializedCapacity: count) { out, filled in
      bytes.withUnsafeBytes { source in
        if let source = source.baseAddress, let target = out.baseAddress {
          widen(source, type, count, to: target)
        }
      }
      filled = count
    }
  }

  /// Rows `range` of the first axis.
  public func rows(_ range: Range<Int>) -> RawTensor {
    precondition(!shape.isEmpty && range.lowerBound >= 0 && range.upperBound <= shape[0])
    let row = shape.dropFirst().reduce(type.size, *)
    return RawTensor(
      type: type, shape: [range.count] + shape.dropFirst(),
      bytes: Array(bytes[(range.lowerBound * row)..<(range.upperBound * row)]))
  }

  private static func copy<Element>(_ values: [Element]) -> [UInt8] {
    values.withUnsafeBytes { Array($0) }
  }

  private static func load<Element: BitwiseCopyable>(
    _ bytes: [UInt8], _ type: Element.Type
  ) -> [Element] {
    let count = bytes.count / MemoryLayout<Element>.size
    return [Element](unsafeUninitializedCapacity: count) { out, filled in
      bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(out).copyMemory(from: $0) }
      filled = count
    }
  }
}
