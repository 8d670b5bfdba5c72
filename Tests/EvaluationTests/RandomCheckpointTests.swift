import Artifacts
import Foundation
import TestSupport
import Testing

@testable import Checkpoints
@testable import Models
@testable import vlsi_synthesize

@Suite("Checkpoints with random weights have the real shapes")
struct RandomCheckpointTests {
  private static func size(_ name: String) throws -> ModelSize {
    try #require(ModelSize.named(name), "no size \(name)")
  }

  /// What transformers says on meta devices: Tests/Goldens/make_shape_goldens.py.
  struct Shapes: Decodable {
    var tensors: Int
    var parameters: Int
    var sha256: String
  }

  @Test("Every published size has the tensors that transformers' model has, names and shapes")
  func published() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Goldens/shapes.json")
    let goldens = try JSONDecoder().decode([String: Shapes].self, from: Data(contentsOf: file))
    #expect(
      Set(goldens.keys) == Set(ModelFamilies.sizes.filter { !$0.isTiny }.map(\.name)))
    let folder = try TemporaryFolder()
    for (name, expected) in goldens {
      let tensors = ModelSize.tensors(try Self.size(name).config)
      #expect(tensors.count == expected.tensors, "\(name)")
      #expect(
        tensors.reduce(0) { $0 + $1.shape.reduce(1, *) } == expected.parameters, "\(name)")
      let lines = tensors.map { "\($0.name) \($0.shape)" }.sorted()
      try folder.write(lines.map { $0 + "\n" }.joined(), to: "lines")
      let sum = try command("/usr/bin/sha256sum", [folder("lines")])
      #expect(sum.hasPrefix(expected.sha256), "\(name)")
    }
  }

  private func command(_ path: String, _ arguments: [String]) throws -> String {
    let process = Process(), output = Pipe()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.standardOutput = output
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: text, as: UTF8.self)
  }

  @Test(
    "Files are cut where the hub's are",
    arguments: [
      ("qwen2-vl-2b", 2, ["model.layers.23.mlp.gate_proj.weight"]),
      ("qwen2-vl-7b", 5, ["model.layers.3.mlp.up_proj.weight", "lm_head.weight"]),
      ("qwen2-vl-72b", 38, ["lm_head.weight"]),
    ])
  func cut(name: String, files: Int, first: [String]) throws {
    let groups = CheckpointWriter.cut(
      ModelSize.tensors(try Self.size(name).config).map { name, shape, _ in
        OutputTensor(name: name, type: .bfloat16, shape: shape) { _ in }
      }, limit: ModelSize.shardLimit)
    #expect(groups.count == files)
    for name in first { #expect(groups.contains { $0.first?.name == name }, "\(name)") }
    // The sizes that the hub shows: 3.99 GB and 429 MB.
    if name == "qwen2-vl-2b" {
      #expect(
        groups.map { $0.reduce(0) { $0 + $1.byteCount } } == [3_988_535_296, 429_435_904])
    }
  }

  /// In files with nothing but a header and a hole, so that 147 GB take no room.
  @Test("A whole 72B checkpoint opens: 38 files, every tensor of its shape")
  func large() throws {
    let folder = try TemporaryFolder()
    let config = try Self.size("qwen2-vl-72b").config
    let groups = CheckpointWriter.cut(
      ModelSize.tensors(config).map { name, shape, _ in
        OutputTensor(name: name, type: .bfloat16, shape: shape) { _ in }
      }, limit: ModelSize.shardLimit)
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
    #expect(checkpoint.files.count == 38 && checkpoint.config.members == config.members)
    let last = try checkpoint.tensor(
      "model.layers.79.mlp.down_proj.weight", shape: [8192, 29_568])
    #expect(last.byteCount == 2 * 8192 * 29_568)
    #expect(checkpoint["lm_head.weight"]?.shape == [152_064, 8192])
  }

  @Test("Tensors start as their kind does")
  func starts() throws {
    let starts = Dictionary(
      uniqueKeysWithValues: ModelSize.tensors(try Self.size("qwen2-vl-7b").config).map {
        ($0.name, $0.start)
      })
    for (name, start) in [
      ("visual.patch_embed.proj.weight", Start.normal), ("visual.blocks.31.norm2.weight", .ones),
      ("visual.merger.ln_q.bias", .zeros), ("visual.merger.mlp.2.weight", .normal),
      ("model.embed_tokens.weight", .normal), ("model.norm.weight", .ones),
      ("model.layers.27.self_attn.k_proj.bias", .zeros),
      ("model.layers.27.post_attention_layernorm.weight", .ones), ("lm_head.weight", .normal),
    ] { #expect(starts[name] == start, "\(name)") }
  }

  @Test("Every size's config.json reads as what it was written from, shortened too")
  func configs() throws {
    for size in ModelFamilies.sizes where !size.isTiny {
      let layers = size.config.text.layers, blocks = size.config.encoder.depth
      for (layers, blocks) in [(layers, blocks), (2, 2), (4, 1)] {
        let config = size.config.shortened(layers: layers, encoderBlocks: blocks)
        let json = try JSON(parsing: config.hubJSON(), place: size.name)
        let read = try ModelFamilies.config(json, place: size.name)
        #expect(read.members == config.members && type(of: read) == type(of: config))
        #expect(read.text == config.text && read.encoder == config.encoder, "\(size.name)")
      }
    }
    // As they are written: over the members that a size has besides, or none.
    for size in ModelFamilies.sizes where !size.isTiny {
      for base in [size.otherMembers, [:]] {
        let bytes = try size.config.hubJSON(over: Array(base.text().utf8))
        let read = try ModelFamilies.config(
          JSON(parsing: bytes, place: size.name), place: size.name)
        #expect(read.members == size.config.members, "\(size.name)")
      }
    }
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
