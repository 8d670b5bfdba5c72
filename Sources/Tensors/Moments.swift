import Kernels

/// The first and the second moment of a parameter, or of a part of it; `blockwise8` keeps the second's
/// root.
public enum Moments {
  case float32(first: Buffer, second: Buffer)
  case blockwise8(first: BlockwiseNumbers, second: BlockwiseNumbers)

  /// - Parameters:
  ///   - count: of the whole parameter, which decides how they are kept
  ///   - part: what of it they are of; it begins with a block
  init(count: Int, part: Range<Int>, _ storage: AdamW.MomentStorage) {
    if storage == .blockwise8, count > AdamW.MomentStorage.smallest {
      self = .blockwise8(
        first: BlockwiseNumbers(zeros: part.count, .signed, from: part.lowerBound),
        second: BlockwiseNumbers(zeros: part.count, .unsigned, from: part.lowerBound))
    } else {
      self = .float32(first: Buffer(zeros: part.count), second: Buffer(zeros: part.count))
    }
  }

  /// A stretch of the memory that holds the moments.
  public struct Stretch {
    public let name: String
    public let type: ElementType
    /// Numbers of the parameter that share an element.
    public let grain: Int
    public let pointer: UnsafeMutableRawPointer

    /// The elements of so many numbers of the parameter, or of a range of them that begins with a block.
    public func elements(_ range: Range<Int>) -> Range<Int> {
      range.lowerBound / grain..<(range.upperBound + grain - 1) / grain
    }
  }

  /// All that a training state must keep; the pointers live as long as the moments.
  public var stretches: [Stretch] {
    func stretch(
      _ name: String, _ type: ElementType, _ grain: Int, _ pointer: UnsafeMutableRawPointer
    ) -> Stretch {
      Stretch(name: name, type: type, grain: grain, pointer: pointer)
    }
    switch self {
    case .float32(let first, let second):
      return [
        stretch("first", .float32, 1, UnsafeMutableRawPointer(first.pointer)),
        stretch("second", .float32, 1, UnsafeMutableRawPointer(second.pointer)),
      ]
    case .blockwise8(let first, let second):
      return [("first", first), ("second", second)].flatMap { name, numbers in
        [
          stretch("\(name).codes", .uint8, 1, UnsafeMutableRawPointer(numbers.codes)),
          stretch(
            "\(name).scales", .float32, DynamicCode.block,
            UnsafeMutableRawPointer(numbers.scales)),
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
