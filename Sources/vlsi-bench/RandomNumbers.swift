import Kernels

/// Memory full of random numbers in ±1/32. A block of them is repeated: no arithmetic notices, and it
/// takes no time. The block's length is prime, so that no two rows of a matrix are the same.
enum RandomNumbers {
  private static let period = 65_537

  static func float32(_ count: Int) -> Buffer {
    var generator = SplitMix64(seed: 1)
    let buffer = Buffer(count: count)
    for i in 0..<min(period, count) { buffer.pointer[i] = (Float(generator.uniform()) - 0.5) / 16 }
    repeatBlock(buffer, bytes: 4)
    return buffer
  }

  /// So many bfloat16 numbers, two to a float's room.
  static func bfloat16(_ count: Int) -> Buffer {
    let numbers = float32(min(period, count))
    let buffer = Buffer(count: (count + 1) / 2)
    narrow(
      numbers.pointer, numbers.count, to: .bfloat16, at: UnsafeMutableRawPointer(buffer.pointer))
    repeatBlock(buffer, bytes: 2)
    return buffer
  }

  private static func repeatBlock(_ buffer: Buffer, bytes: Int) {
    let start = UnsafeMutableRawPointer(buffer.pointer)
    let (block, all) = (period * bytes, buffer.count * 4)
    for place in stride(from: block, to: all, by: block) {
      (start + place).copyMemory(from: start, byteCount: min(block, all - place))
    }
  }
}
