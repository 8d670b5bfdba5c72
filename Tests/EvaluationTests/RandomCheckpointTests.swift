import Testing

@testable import vlsi_synthesize

@Suite("Checkpoints with random weights have the real shapes")
struct RandomCheckpointTests {
  @Test(
    "Parameters as the hub's checkpoints have them",
    arguments: [
      (KnownShape.qwen2B, 2_208_985_600), (.qwen7B, 8_291_375_616), (.qwen72B, 73_405_560_320),
    ])
  func parameters(shape: KnownShape, count: Int) {
    #expect(shape.shape.tensors.reduce(0) { $0 + $1.shape.reduce(1, *) } == count)
  }

  @Test(
    "The tiny shapes fit the rotary embedding", arguments: [KnownShape.tinyTeacher, .tinyStudent])
  func tiny(known: KnownShape) {
    let shape = known.shape
    let headDimension = shape.hidden / shape.heads
    #expect(shape.mropeSection.reduce(0, +) == headDimension / 2)
    #expect(shape.visionWidth % shape.visionHeads == 0)
    #expect(shape.visionWidth / shape.visionHeads % 4 == 0)
    #expect(shape.heads % shape.keyValueHeads == 0)
  }

  @Test("Values are normal, the same on any number of threads and in any pieces")
  func values() {
    let count = RandomWeights.block * 3 + 100
    let bytes = RandomWeights(seed: 3, deviation: 0.02, threads: 1)
      .bytes("a.weight", .normal, range: 0..<count, bf16: false)
    let three = RandomWeights(seed: 3, deviation: 0.02, threads: 3)
    #expect(three.bytes("a.weight", .normal, range: 0..<count, bf16: false) == bytes)
    let tail = three.bytes("a.weight", .normal, range: RandomWeights.block..<count, bf16: false)
    #expect(tail[...] == bytes[(RandomWeights.block * 4)...])
    #expect(three.bytes("b.weight", .normal, range: 0..<count, bf16: false) != bytes)

    let values = bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    let mean = values.reduce(0, +) / Float(count)
    let deviation = (values.reduce(0) { $0 + $1 * $1 } / Float(count)).squareRoot()
    #expect(abs(mean) < 5e-4)
    #expect(abs(deviation - 0.02) < 3e-4)
    let beyondTwo = Float(values.count { abs($0) > 0.04 }) / Float(count)
    #expect(abs(beyondTwo - 0.0455) < 0.005)

    let narrow = three.bytes("a.weight", .normal, range: 0..<count, bf16: true)
    for index in 0..<100 {
      let bits = UInt32(narrow[2 * index]) << 16 | UInt32(narrow[2 * index + 1]) << 24
      #expect(abs(Float(bitPattern: bits) - values[index]) <= abs(values[index]) / 256)
    }
    #expect(three.bytes("c", .ones, range: 0..<2, bf16: true) == [0x80, 0x3F, 0x80, 0x3F])
    #expect(three.bytes("c", .zeros, range: 0..<2, bf16: false) == [UInt8](repeating: 0, count: 8))
  }
}
