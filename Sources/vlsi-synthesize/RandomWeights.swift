import Dispatch

/// Random starting values, a function of seed, tensor name and index alone: in any order, on any
/// number of threads, on any machine the same bits.
struct RandomWeights: Sendable {
  /// Values that one generator makes.
  static let block = 1 << 14

  let seed: UInt64
  /// Of the normal ones.
  let deviation: Float
  let threads: Int

  /// The values `range` of tensor `name`, little-endian, as bf16 or float32. `range` starts at a
  /// multiple of `block`.
  func bytes(_ name: String, _ start: Start, range: Range<Int>, bf16: Bool) -> [UInt8] {
    let width = bf16 ? 2 : 4
    var bytes = [UInt8](repeating: 0, count: range.count * width)
    switch start {
    case .zeros: break
    case .ones:
      // 1.0 is 0x3F80_0000 in float32, its upper half in bf16.
      for index in 0..<range.count {
        bytes[index * width + width - 2] = 0x80
        bytes[index * width + width - 1] = 0x3F
      }
    case .normal:
      let key = Generator.hash(name)
      let (seed, deviation) = (seed, deviation)
      let blocks = (range.count + Self.block - 1) / Self.block
      bytes.withUnsafeMutableBytes { buffer in
        let target = Slice(base: buffer)
        DispatchQueue.concurrentPerform(iterations: max(1, min(threads, blocks))) { thread in
          for block in stride(from: thread, to: blocks, by: max(1, threads)) {
            let first = block * Self.block
            var generator = Generator(seed, key, UInt64(range.lowerBound + first))
            for index in first..<min(first + Self.block, range.count) {
              let bits = (Self.normal(&generator) * deviation).bitPattern
              if bf16 {
                // Round to nearest, ties to even.
                target.store(UInt16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16), at: index * 2)
              } else {
                target.store(bits, at: index * 4)
              }
            }
          }
        }
      }
    }
    return bytes
  }

  /// Mean 0, variance 1: the sum of twelve uniform numbers less six. Additions only, so exact on
  /// every machine, unlike logarithms; its tails end at 6.
  private static func normal(_ generator: inout Generator) -> Float {
    var sum: UInt64 = 0
    for _ in 0..<3 {
      let bits = generator.next()
      sum += (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48)
    }
    // Twelve numbers of 0 to 65,535 have the mean 393,210.
    return Float(Int64(sum) - 393_210) * (1 / 65_536)
  }

  /// Lets several threads write disjoint parts of one buffer.
  private struct Slice: @unchecked Sendable {
    let base: UnsafeMutableRawBufferPointer

    func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at offset: Int) {
      base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
    }
  }
}
