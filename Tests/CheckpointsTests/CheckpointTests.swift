import Artifacts
import Checkpoints
import Models
import Failures
import Kernels
import TestSupport
import Testing

@Suite struct CheckpointTests {
  static let config = (try? Qwen2VLConfig(hubConfig, place: "test"))

  /// Random-looking weights of the tiny config; `edit` changes what is written.
  static func write(
    _ directory: String, shardLimit: Int = .max,
    edit: (inout [(name: String, tensor: RawTensor)]) -> Void = { _ in }
  ) throws {
    let config = try #require(config)
    var tensors = config.tensorShapes.enumerated().map {
      number, entry -> (name: String, tensor: RawTensor) in
      let count = entry.shape.reduce(1, *)
      let values = (0..<count).map { Float(($0 &* 37 &+ number) % 101) / 50 - 1 }
      return (entry.name, RawTensor(values, as: .bfloat16, shape: entry.shape))
    }
    edit(&tensors)
    try CheckpointWriter.write(
      to: directory, config: config, tensors: tensors.map { OutputTensor($0.0, $0.1) },
      shardLimit: shardLimit)
  }

  @Test(arguments: [Int.max, 20_000, 1])
  func `what is written is read, in one file or many`(shardLimit: Int) throws {
    let folder = try TemporaryFolder()
    try Self.write(folder("m"), shardLimit: shardLimit)
    let checkpoint = try Checkpoint(directory: folder("m"))
    try checkpoint.checkComplete()
    #expect(checkpoint.config as? Qwen2VLConfig == Self.config)
    #expect((checkpoint.files.count == 1) == (shardLimit == .max))
    let bias = try checkpoint.tensor("model.layers.1.self_attn.k_proj.bias", shape: [16])
    #expect(try bias.raw().floats().count == 16)
    let whole = try TemporaryFolder()
    try Self.write(whole("m"))
    #expect(try Checkpoint(directory: whole("m")).fingerprint == checkpoint.fingerprint)
  }

  /// As huggingface_hub cuts: in order, a new file where the limit would be passed, a tensor larger
  /// than the limit alone; the names of the files, and the index with the sum of all bytes.
  @Test func `several files have the hub's names and an index`() throws {
    let folder = try TemporaryFolder()
    try Self.write(folder("m"), shardLimit: 4_000)
    let index = try JSON(
      parsing: Files.read(folder("m/model.safetensors.index.json")), place: "index")
    let map = try #require(index["weight_map"]?.asObject)
    let config = try #require(Self.config)
    #expect(Set(map.keys) == Set(config.tensorShapes.map(\.name)))
    #expect(index["metadata"]?["total_size"]?.asInt == config.parameterCount * 2)
    let files = try Files.list(folder("m")).filter { $0.hasSuffix(".safetensors") }
    let count = files.count
    #expect(
      files
        == (1...count).map {
          "model-\($0 < 10 ? "0000" : "000")\($0)-of-000\(count).safetensors"
        })
    var written: [String] = []
    for (number, name) in files.enumerated() {
      let file = try readSafetensorsFile(folder("m/" + name))
      #expect(file.metadata == ["format": "pt"])
      for tensor in file.tensors.keys { #expect(map[tensor] == .string(name)) }
      let bytes = file.tensors.values.reduce(0) { $0 + $1.byteCount }
      #expect(bytes <= 4_000 || file.tensors.count == 1)
      let own = config.tensorShapes.filter { file.tensors[$0.name] != nil }
      // Neither could the next file's first tensor have gone into this one.
      if number > 0, let first = own.first {
        let before = try readSafetensorsFile(folder("m/" + files[number - 1]))
        let filled = before.tensors.values.reduce(0) { $0 + $1.byteCount }
        #expect(filled + first.shape.reduce(2, *) > 4_000)
      }
      written += own.map(\.name)
    }
    #expect(written == config.tensorShapes.map(\.name))
  }

  @Test func `weights of an earlier attempt do not stay beside`() throws {
    let folder = try TemporaryFolder()
    for limit in [Int.max, 20_000, 8_000, .max] {
      try Self.write(folder("m"), shardLimit: limit) { tensors in
        tensors[0].tensor = RawTensor(
          [Float](repeating: Float(limit % 7), count: tensors[0].tensor.count), as: .bfloat16,
          shape: tensors[0].tensor.shape)
      }
      let found = try Checkpoint(directory: folder("m"))
      #expect(
        try found["visual.patch_embed.proj.weight"]?.raw().floats().first == Float(limit % 7))
      let left = try Files.list(folder("m")).filter { $0.hasSuffix(".safetensors") }
      #expect(left == found.files)
    }
  }

  @Test func `a checkpoint for which the disk has no room is refused with both sizes`() throws {
    let folder = try TemporaryFolder()
    let huge = OutputTensor(name: "a", type: .float32, shape: [1 << 58]) { _ in
      Issue.record("written all the same")
    }
    let config = try #require(Self.config)
    let found = failure {
      try CheckpointWriter.write(to: folder("m/deep"), config: config, tensors: [huge])
    }
    #expect(found?.code == .cannotCreate && found?.place == folder("m/deep"))
    #expect(found?.expected?.hasPrefix("\(1 << 60)".prefix(9)) == true)
    #expect(found?.found.flatMap { Int($0) } != nil)
    #expect(!Files.exists(folder("m")))
  }

  @Test func `companions are carried byte for byte`() throws {
    let folder = try TemporaryFolder()
    let other = ["README.md", "model.bin", "config.json", ".gitattributes"]
    for (number, name) in (CheckpointWriter.companions + other).enumerated() {
      try folder.write("\(number): é\r\n\0", to: "base/" + name)
    }
    let config = try #require(Self.config)
    let files = try CheckpointWriter.write(
      to: folder("m"), config: config, tensors: [], carry: folder("base"))
    for name in CheckpointWriter.companions {
      #expect(files.contains(name))
      #expect(try Files.read(folder("m/" + name)) == Files.read(folder("base/" + name)))
    }
    #expect(
      try Set(Files.list(folder("m")))
        == Set(CheckpointWriter.companions + ["config.json", "model.safetensors"]))
  }

  @Test func `the other layout of names is translated`() throws {
    let folder = try TemporaryFolder()
    try Self.write(folder("hub"))
    try Self.write(folder("new")) { tensors in
      tensors = tensors.map { name, tensor -> (name: String, tensor: RawTensor) in
        if name.hasPrefix("visual.") { return ("model." + name, tensor) }
        if name.hasPrefix("model.") {
          return ("model.language_model." + name.dropFirst(6), tensor)
        }
        return (name, tensor)
      }
    }
    let new = try Checkpoint(directory: folder("new"))
    try new.checkComplete()
    #expect(try new.fingerprint == Checkpoint(directory: folder("hub")).fingerprint)
  }

  @Test func `any changed weight changes the fingerprint`() throws {
    let folder = try TemporaryFolder()
    try Self.write(folder("a"))
    try Self.write(folder("b")) { tensors in
      let last = tensors.count - 1
      var bytes = tensors[last].tensor.bytes
      bytes[bytes.count / 2] ^= 1
      tensors[last].tensor = RawTensor(
        type: .bfloat16, shape: tensors[last].tensor.shape, bytes: bytes)
    }
    let a = try Checkpoint(directory: folder("a")).fingerprint
    #expect(try a != Checkpoint(directory: folder("b")).fingerprint)
  }

  @Test func `missing, extra, mis-shaped and wrongly typed tensors are named`() throws {
    let folder = try TemporaryFolder()
    func problem(
      _ name: String, _ edit: (inout [(name: String, tensor: RawTensor)]) -> Void
    ) throws -> Failure? {
      try Self.write(folder(name), edit: edit)
      return failure { try Checkpoint(directory: folder(name)).checkComplete() }
    }
    let missing = try problem("missing") { $0.removeAll { $0.name == "model.norm.weight" } }
    #expect(missing?.what == "tensor model.norm.weight is missing")
    #expect(missing?.expected == "shape [32]")
    let extra = try problem("extra") {
      $0.append(("model.layers.3.mlp.bogus", RawTensor(float32: [0, 0], shape: [2])))
    }
    #expect(extra?.what.contains("model.layers.3.mlp.bogus") == true)
    #expect(extra?.found == "shape [2]")
    let shape = try problem("shape") { tensors in
      for i in tensors.indices where tensors[i].name == "visual.merger.ln_q.bias" {
        tensors[i].tensor = RawTensor(float32: [0], shape: [1])
      }
    }
    #expect(shape?.what == "tensor visual.merger.ln_q.bias has the wrong shape")
    #expect(shape?.expected == "[24]" && shape?.found == "[1]")
    let type = try problem("type") { tensors in
      for i in tensors.indices where tensors[i].name == "visual.merger.ln_q.bias" {
        tensors[i].tensor = RawTensor(int32: [Int32](repeating: 0, count: 24), shape: [24])
      }
    }
    #expect(type?.what.contains("visual.merger.ln_q.bias") == true && type?.found == "I32")
    for found in [missing, extra, shape, type] { #expect(found?.code == .badData) }
  }

  @Test func `a tied head is the embedding`() throws {
    let checkpoint = try Checkpoint(directory: golden("a"))
    let text = checkpoint.config.text
    let shape = [text.vocabularySize, text.hiddenSize]
    #expect(checkpoint["lm_head.weight"] == nil)
    let head = try checkpoint.tensor("lm_head.weight", shape: shape)
    let embedding = try checkpoint.tensor("model.embed_tokens.weight", shape: shape)
    #expect(head.pointer == embedding.pointer)
  }

  @Test func `incomplete folders`() throws {
    let folder = try TemporaryFolder()
    #expect(failure { _ = try Checkpoint(directory: folder("none")) }?.code == .inputMissing)
    try Files.makeDirectory(folder("m"))
    #expect(failure { _ = try Checkpoint(directory: folder("m")) }?.code == .inputMissing)
    try writeAtomically(hubConfig.text(), to: folder("m/config.json"))
    let found = failure { _ = try Checkpoint(directory: folder("m")) }
    #expect(found?.code == .inputMissing && found?.what.contains("no weights") == true)
  }

  @Test func `a cut-off file is refused by name`() throws {
    let folder = try TemporaryFolder()
    try Self.write(folder("m"))
    let path = folder("m/model.safetensors")
    let whole = try Files.read(path)
    for count in [0, 5, 100, whole.count / 2, whole.count - 1] {
      try writeAtomically(Array(whole[..<count]), to: path)
      let found = failure { _ = try Checkpoint(directory: folder("m")) }
      #expect(found?.code == .badData && found?.place?.hasPrefix(path) == true)
    }
  }

  @Test func `an index that lies`() throws {
    let folder = try TemporaryFolder()
    try Self.write(folder("m"), shardLimit: 20_000)
    let path = folder("m/model.safetensors.index.json")
    let index = try JSON(parsing: Files.read(path), place: path)
    func problem(_ index: JSON) throws -> Failure? {
      try writeAtomically(index.text(), to: path)
      return failure { try Checkpoint(directory: folder("m")).checkComplete() }
    }
    var map = index["weight_map"]?.asObject ?? [:]
    map["model.norm.weight"] = "model-00099-of-00099.safetensors"
    let absent = try problem(["weight_map": .object(map)])
    #expect(absent?.code == .badData && absent?.what.contains("model.norm.weight") == true)
    #expect(absent?.expected == "model-00099-of-00099.safetensors")
    map["model.norm.weight"] = "model-00001-of-00099.safetensors"
    map["model.norm.weight"] = map["visual.patch_embed.proj.weight"]
    #expect(try problem(["weight_map": .object(map)])?.what.contains("lacks it") == true)
    map["model.norm.weight"] = "../../etc/passwd"
    #expect(try problem(["weight_map": .object(map)])?.code == .badData)
    map["model.norm.weight"] = nil
    #expect(
      try problem(["weight_map": .object(map)])?.what.contains("model.norm.weight of shape [32]")
        == true)
    #expect(try problem([:])?.code == .badData)
    try writeAtomically("{", to: path)
    #expect(failure { _ = try Checkpoint(directory: folder("m")) }?.code == .badData)
    try Files.remove(folder("m/model-00002-of-\(checkpointCount(index)).safetensors"))
    #expect(try problem(index)?.what.contains("not there") == true)
  }

  /// The last part of the shards' names.
  func checkpointCount(_ index: JSON) -> String {
    let name = index["weight_map"]?.asObject?.values.first?.asString ?? ""
    return String(name.dropLast(".safetensors".count).suffix(5))
  }

  @Test func `a header of odd length still gives aligned tensors`() throws {
    let folder = try TemporaryFolder()
    let header = #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} "#
    var bytes = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
    bytes += Array(header.utf8) + RawTensor(float32: [1, 2], shape: [2]).bytes
    #expect((8 + header.utf8.count) % 4 != 0)
    try writeAtomically(bytes, to: folder("x.safetensors"))
    let tensor = try readSafetensorsFile(folder("x.safetensors")).tensor("a", shape: [2])
    #expect(Int(bitPattern: tensor.pointer) % 4 == 0)
    #expect(try tensor.raw().floats() == [1, 2])
  }

  @Test func `a tensor that produces too little leaves no file`() throws {
    let folder = try TemporaryFolder()
    let found = failure {
      try writeSafetensorsFile(
        folder("x.safetensors"), [OutputTensor(name: "a", type: .float32, shape: [4]) { _ in }])
    }
    #expect(found?.code == .software && found?.what.contains("a") == true)
    #expect(try Files.list(folder.path).isEmpty)
  }
}
