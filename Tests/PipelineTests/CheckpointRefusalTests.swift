import Artifacts
import Foundation
import TestSupport
import Testing

/// Checkpoints as users have them, read by the built programs: both layouts of names and both
/// dialects of config are taken; what is damaged or another model's is refused by name.
@Suite struct CheckpointRefusalTests {
  private let bench: Workbench
  private let folder: TemporaryFolder
  /// A copy of the student, to be changed.
  private var copy: String { folder("checkpoint") }
  private var weights: String { folder("checkpoint/model.safetensors") }
  private var config: String { folder("checkpoint/config.json") }

  init() throws {
    bench = try Workbench.shared.get()
    folder = try TemporaryFolder()
    try FileManager.default.copyItem(atPath: "\(bench.path)/student", toPath: copy)
  }

  // MARK: Changing the copy

  /// Writes other tensors in the place of the student's.
  private func edit(
    _ change: (inout [(name: String, tensor: RawTensor)]) -> Void
  ) throws {
    var tensors = try Safetensors.decode(Files.read(weights), place: weights).tensors
      .map { (name: $0.key, tensor: $0.value) }.sorted { $0.name < $1.name }
    change(&tensors)
    try writeAtomically(Safetensors.encode(tensors), to: weights)
  }

  private func replace(_ name: String, _ tensor: RawTensor?) throws {
    try edit { tensors in
      tensors.removeAll { $0.name == name }
      if let tensor { tensors.append((name, tensor)) }
    }
  }

  private func editConfig(_ change: (inout [String: JSON]) -> Void) throws {
    var members = try JSON(parsing: Files.read(config), place: config).asObject ?? [:]
    change(&members)
    try writeAtomically(JSON.object(members).text(), to: config)
  }

  /// The header's text with something in the place of something else as long; the data stay.
  private func editHeader(_ old: String, _ new: String) throws {
    var bytes = try Files.read(weights)
    let range = try #require(Data(bytes).range(of: Data(old.utf8)))
    bytes.replaceSubrange(range, with: Array(new.utf8))
    try writeAtomically(bytes, to: weights)
  }

  /// Cuts the weights into two files, with an index.
  private func shard(_ change: (inout [String: JSON]) -> Void = { _ in }) throws {
    let tensors = try Safetensors.decode(Files.read(weights), place: weights).tensors
      .map { (name: $0.key, tensor: $0.value) }.sorted { $0.name < $1.name }
    try Files.remove(weights)
    var map: [String: JSON] = [:]
    for (number, part) in [tensors[..<20], tensors[20...]].enumerated() {
      let name = "model-0000\(number + 1)-of-00002.safetensors"
      try writeAtomically(Safetensors.encode(Array(part)), to: "\(copy)/\(name)")
      for tensor in part { map[tensor.name] = .string(name) }
    }
    change(&map)
    try writeAtomically(
      JSON.object(["weight_map": .object(map)]).text(), to: weights + ".index.json")
  }

  private static func zeros(_ shape: [Int]) -> RawTensor {
    RawTensor(float32: [Float](repeating: 0, count: shape.reduce(1, *)), shape: shape)
  }

  private func extract() throws -> Outcome {
    try bench.perform(
      "vlsi-extract --role student --model \(copy) --samples $/samples --preset $/preset.yaml "
        + "--output \(folder("features"))")
  }

  // MARK: Taken

  private func expectTheStudentsFeatures() throws {
    let outcome = try extract()
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(
      try bytes(of: folder("features")) == bytes(of: "\(bench.path)/features/student"))
  }

  @Test func `newer names and the nested config give the same features`() throws {
    try edit { tensors in
      for index in tensors.indices {
        let name = tensors[index].name
        if name.hasPrefix("visual.") { tensors[index].name = "model." + name }
        if name.hasPrefix("model.") {
          tensors[index].name = "model.language_model." + name.dropFirst(6)
        }
      }
    }
    try editConfig { members in
      let outside: Set<String> = [
        "architectures", "model_type", "tie_word_embeddings", "vision_config", "image_token_id",
        "video_token_id", "vision_start_token_id", "vision_end_token_id",
      ]
      var text = members.filter { !outside.contains($0.key) }
      let scaling = text.removeValue(forKey: "rope_scaling")
      text["rope_parameters"] = [
        "rope_type": "default", "mrope_section": scaling?["mrope_section"] ?? .null,
        "rope_theta": text.removeValue(forKey: "rope_theta") ?? .null,
      ]
      members = members.filter { outside.contains($0.key) }
      members["dtype"] = text.removeValue(forKey: "torch_dtype")
      members["text_config"] = .object(text)
      var vision = members["vision_config"]?.asObject ?? [:]
      for name in ["in_chans", "spatial_patch_size"] { vision[name] = nil }
      members["vision_config"] = .object(vision)
    }
    try expectTheStudentsFeatures()
  }

  @Test func `shards with an index give the same features`() throws {
    try shard()
    try expectTheStudentsFeatures()
  }

  // MARK: Refused

  private func expectRefused(_ parts: String..., place: String? = nil) throws {
    let outcome = try extract()
    #expect(outcome.code == 65, "\(outcome.errors)")
    #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    for part in parts { #expect(outcome.message.contains(part), "\(outcome.message)") }
    #expect(outcome.message.contains(place ?? copy), "\(outcome.message)")
    // The dump says the same, at once or when it is asked for a verdict.
    let verdict = try bench.perform("vlsi-dump \(copy) --verify")
    #expect(verdict.code == 65, "\(verdict.errors)")
    for part in parts { #expect((verdict.output + verdict.errors).contains(part)) }
  }

  @Test func `a missing tensor`() throws {
    try replace("model.norm.weight", nil)
    try expectRefused("tensor model.norm.weight is missing", "[64]", "no such tensor")
  }

  @Test func `an extra tensor`() throws {
    try replace("model.layers.0.self_attn.o_proj.bias", Self.zeros([64]))
    try expectRefused(
      "tensor model.layers.0.self_attn.o_proj.bias is not part of the model", "no such tensor",
      "shape [64]", place: weights)
  }

  @Test func `a tensor of another shape`() throws {
    try replace("model.layers.1.mlp.up_proj.weight", Self.zeros([64, 128]))
    try expectRefused(
      "model.layers.1.mlp.up_proj.weight", "[128, 64]", "[64, 128]", place: weights)
  }

  @Test func `integers where numbers are meant`() throws {
    try replace(
      "model.norm.weight", RawTensor(int32: [Int32](repeating: 1, count: 64), shape: [64]))
    try expectRefused("model.norm.weight", "F32, F16 or BF16", "I32", place: weights)
  }

  @Test func `an element type that nobody knows`() throws {
    try editHeader(#""dtype":"F32""#, #""dtype":"F99""#)
    try expectRefused("tensor ", "unsupported element type", "F99", place: weights)
  }

  @Test(arguments: [1, 1000]) func `a file cut off`(bytes: Int) throws {
    let whole = try Files.read(weights)
    try writeAtomically(Array(whole.dropLast(bytes)), to: weights)
    try expectRefused("tensor ", "the file is cut off", place: weights)
  }

  @Test func `no safetensors file at all`() throws {
    try writeAtomically("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", to: weights)
    try expectRefused("not a safetensors file", place: weights)
  }

  @Test func `an index that names a file that is not there`() throws {
    try shard { $0["model.norm.weight"] = "model-00003-of-00003.safetensors" }
    try expectRefused(
      "model.norm.weight", "model-00003-of-00003.safetensors", "no such file",
      place: weights + ".index.json")
  }

  @Test func `an index that places a tensor in another file`() throws {
    try shard { $0["model.norm.weight"] = "model-00001-of-00002.safetensors" }
    try expectRefused("model.norm.weight", "lacks it", place: "model-00001-of-00002")
  }

  @Test func `a tensor that the index does not name`() throws {
    try shard()
    let last = "\(copy)/model-00002-of-00002.safetensors"
    let tensors = try Safetensors.decode(Files.read(last), place: last).tensors
      .map { (name: $0.key, tensor: $0.value) }
    try writeAtomically(
      Safetensors.encode(tensors + [("visual.extra", Self.zeros([2]))]), to: last)
    try expectRefused("tensor visual.extra of shape [2]", "no such tensor", place: last)
  }

  @Test(arguments: ["qwen2_5_omni", "llama", ""])
  func `another kind of model`(type: String) throws {
    try editConfig { $0["model_type"] = type.isEmpty ? nil : .string(type) }
    try expectRefused(
      "unsupported model type", "qwen2_vl", type.isEmpty ? "nothing" : type, place: config)
  }

  @Test func `quantized weights`() throws {
    try editConfig { $0["quantization_config"] = ["quant_method": "gptq", "bits": 4] }
    try expectRefused("quantized", place: config)
  }

  @Test func `a config of another size`() throws {
    try editConfig { $0["vocab_size"] = 545 }
    try expectRefused("model.embed_tokens.weight", "[545, 64]", "[544, 64]", place: weights)
  }

  @Test func `a config that is cut off`() throws {
    try writeAtomically(Array(Files.read(config).dropLast(10)), to: config)
    try expectRefused("invalid JSON", place: config)
  }

  // MARK: Hostile headers

  @Test(arguments: [
    "9223372036854775807", "-1", "1e3", "999999999999999999999999", "null", "\"0\"", "{}",
  ])
  func `offsets that are none`(offset: String) throws {
    let header = #"{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,OFFSET]}}"#
      .replacingOccurrences(of: "OFFSET", with: offset)
    try write(header: Array(header.utf8))
    try expectRefused("tensor a", place: weights)
  }

  @Test func `a tensor as large as all numbers`() throws {
    let most = "9223372036854775807"
    try write(
      header: Array(
        #"{"a":{"dtype":"U8","shape":[MOST],"data_offsets":[0,MOST]}}"#
          .replacingOccurrences(of: "MOST", with: most).utf8))
    try expectRefused("tensor a", "cut off", most, place: weights)
  }

  @Test(arguments: [UInt64.max, 1 << 63, 100_000_001, 1 << 40])
  func `a header longer than the file`(length: UInt64) throws {
    try write(header: Array("{}".utf8), length: length)
    try expectRefused("its header does not fit", "\(length)", place: weights)
  }

  @Test func `names that are no text, come twice or nest without end`() throws {
    try write(header: [0x7B, 0x22, 0xFF, 0xFE, 0x22, 0x3A, 0x30, 0x7D])
    try expectRefused("invalid JSON", "UTF-8", place: weights)
    try write(header: Array(#"{"a":{},"a":{}}"#.utf8))
    try expectRefused("comes twice", place: weights)
    try write(header: Array(String(repeating: #"{"a":"#, count: 100_000).utf8))
    try expectRefused("at most 128 levels", place: weights)
  }

  private func write(header: [UInt8], length: UInt64? = nil) throws {
    let count = length ?? UInt64(header.count)
    try writeAtomically(
      withUnsafeBytes(of: count.littleEndian) { Array($0) } + header
        + [UInt8](repeating: 0, count: 8), to: weights)
  }
}
