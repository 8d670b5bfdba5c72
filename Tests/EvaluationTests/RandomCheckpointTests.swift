import Artifacts
import Foundation
import TestSupport
import Testing

@testable import Checkpoints
@testable import vlsi_synthesize

@Suite("Checkpoints with random weights have the real shapes")
struct RandomCheckpointTests {
  @Test(
    "Parameters as the hub's checkpoints have them",
    arguments: [
      (KnownShape.qwen2B, 2_208_985_600), (.qwen7B, 8_291_375_616), (.qwen72B, 73_405_560_320),
    ])
  func parameters(shape: KnownShape, count: Int) {
    let config = shape.shape.config(.qwen)
    #expect(
      shape.shape.tensors(config).reduce(0) { $0 + $1.shape.reduce(1, *) } == count)
    #expect(config.parameterCount == count)
  }

  @Test(
    "Files are cut where the hub's are",
    arguments: [
      (KnownShape.qwen2B, 2, ["model.layers.23.mlp.gate_proj.weight"]),
      (.qwen7B, 5, ["model.layers.3.mlp.up_proj.weight", "lm_head.weight"]),
      (.qwen72B, 38, ["lm_head.weight"]),
    ])
  func cut(known: KnownShape, files: Int, first: [String]) {
    let config = known.shape.config(.qwen)
    let groups = CheckpointWriter.cut(
      known.shape.tensors(config).map { name, shape, _ in
        OutputTensor(name: name, type: .bfloat16, shape: shape) { _ in }
      }, limit: ModelShape.shardLimit)
    #expect(groups.count == files)
    for name in first { #expect(groups.contains { $0.first?.name == name }, "\(name)") }
    // The sizes that the hub shows: 3.99 GB and 429 MB.
    if known == .qwen2B {
      #expect(
        groups.map { $0.reduce(0) { $0 + $1.byteCount } } == [3_988_535_296, 429_435_904])
    }
  }

  /// In files with nothing but a header and a hole, so that 147 GB take no room.
  @Test("A whole 72B checkpoint opens: 38 files, every tensor of its shape")
  func large() throws {
    let folder = try TemporaryFolder()
    let shape = KnownShape.qwen72B.shape
    let config = shape.config(.qwen)
    let groups = CheckpointWriter.cut(
      shape.tensors(config).map { name, shape, _ in
        OutputTensor(name: name, type: .bfloat16, shape: shape) { _ in }
      }, limit: ModelShape.shardLimit)
    var map: [String: JSON] = [:]
    for (number, group) in groups.enumerated() {
      let name = "model-\(number).safetensors"
      let header = SafetensorsHeader.encode(group.map { ($0.name, $0.type, $0.shape) })
      try writeAtomically(header, to: folder(name))
      try #require(
        truncate(folder(name), header.count + group.reduce(0) { $0 + $1.byteCount }) == 0)
      for tensor in group { map[tensor.name] = .string(name) }
    }
    try folder.write(
      JSON.object(["weight_map": .object(map)]).text(), to: "model.safetensors.index.json")
    try writeAtomically(config.hubJSON(), to: folder("config.json"))
    let checkpoint = try Checkpoint(directory: folder.path)
    #expect(checkpoint.files.count == 38 && checkpoint.config == config)
    let last = try checkpoint.tensor(
      "model.layers.79.mlp.down_proj.weight", shape: [8192, 29_568])
    #expect(last.byteCount == 2 * 8192 * 29_568)
    #expect(checkpoint["lm_head.weight"]?.shape == [152_064, 8192])
  }

  @Test("Tensors start as their kind does")
  func starts() {
    let shape = KnownShape.qwen7B.shape
    let starts = Dictionary(
      uniqueKeysWithValues: shape.tensors(shape.config(.qwen)).map { ($0.name, $0.start) })
    for (name, start) in [
      ("visual.patch_embed.proj.weight", Start.normal), ("visual.blocks.31.norm2.weight", .ones),
      ("visual.merger.ln_q.bias", .zeros), ("visual.merger.mlp.2.weight", .normal),
      ("model.embed_tokens.weight", .normal), ("model.norm.weight", .ones),
      ("model.layers.27.self_attn.k_proj.bias", .zeros),
      ("model.layers.27.post_attention_layernorm.weight", .ones), ("lm_head.weight", .normal),
    ] { #expect(starts[name] == start, "\(name)") }
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
