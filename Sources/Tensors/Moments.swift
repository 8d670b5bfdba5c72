import Kernels

/// The first and the second moment of one parameter; `blockwise8` keeps the second's root.
public enum Moments {
  case float32(first: Buffer, second: Buffer)
  case blockwise8(first: BlockwiseNumbers, second: BlockwiseNumbers)

  init(count: Int, _ storage: AdamW.MomentStorage) {
    if storage == .blockwise8, count > AdamW.MomentStorage.smallest {
      self = .blockwise8(
        first: BlockwiseNumbers(zeros: count, .signed),
        second: BlockwiseNumbers(zeros: count, .unsigned))
    } else {
      self = .float32(first: Buffer(zeros: count), second: Buffer(zeros: count))
    }
  }

  /// A stretch of the memory that holds the moments.
  public struct Part {
    public let name: String
    public let type: ElementType
    public let count: Int
    public let pointer: UnsafeMutableRawPointer
  }

  /// All that a training state must keep; the pointers live as long as the moments.
  public var parts: [Part] {
    func part(
      _ name: String, _ type: ElementType, _ count: Int, _ pointer: UnsafeMutableRawPointer
    ) -> Part {
      Part(name: name, type: type, count: count, pointer: pointer)
    }
    switch self {
    case .float32(let first, let second):
      return [
        part("first", .float32, first.count, UnsafeMutableRawPointer(first.pointer)),
        part("second", .float32, second.count, UnsafeMutableRawPointer(second.pointer)),
      ]
    case .blockwise8(let first, let second):
      return [("first", first), ("second", second)].flatMap { name, numbers in
        [
          part("\(name).codes", .uint8, numbers.count, UnsafeMutableRawPointer(numbers.codes)),
          part(
            "\(name).scales", .float32, numbers.blocks, UnsafeMutableRawPointer(numbers.scales)),
        ]
      }
    }
  }

  /// What is kept, as float32.
  public var arrays: (first: [Float], second: [Float]) {
    switch self {
    case .float32(let first, let second): (first.array, second.array)
    case .blockwise8(let first, let second): (first.array, second.array)
    }
  }

  /// Bytes that the moments of `count` numbers take.
  public static func byteCount(_ count: Int, _ storage: AdamW.MomentStorage) -> Int {
    storage == .blockwise8 && count > AdamW.MomentStorage.smallest
      ? 2 * (count + 4 * ((count + DynamicCode.block - 1) / DynamicCode.block)) : 8 * count
  }
}
