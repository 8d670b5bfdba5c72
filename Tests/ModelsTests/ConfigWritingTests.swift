import Artifacts
import Checkpoints
import Models
import Failures
import TestSupport
import Testing

/// A saved config.json is the base's own, with only what changed changed.
@Suite struct ConfigWritingTests {
  /// config.json of Qwen2-VL-2B-Instruct as the hub has it, in its own order and spacing.
  static let hub = """
    {
      "architectures": [
        "Qwen2VLForConditionalGeneration"
      ],
      "attention_dropout": 0.0,
      "bos_token_id": 151643,
      "eos_token_id": 151645,
      "vision_start_token_id": 151652,
      "vision_end_token_id": 151653,
      "vision_token_id": 151654,
      "image_token_id": 151655,
      "video_token_id": 151656,
      "hidden_act": "silu",
      "hidden_size": 1536,
      "initializer_range": 0.02,
      "intermediate_size": 8960,
      "max_position_embeddings": 32768,
      "max_window_layers": 28,
      "model_type": "qwen2_vl",
      "num_attention_heads": 12,
      "num_hidden_layers": 28,
      "num_key_value_heads": 2,
      "rms_norm_eps": 1e-06,
      "rope_theta": 1000000.0,
      "sliding_window": 32768,
      "tie_word_embeddings": true,
      "torch_dtype": "bfloat16",
      "transformers_version": "4.41.2",
      "use_cache": true,
      "use_sliding_window": false,
      "vision_config": {
        "depth": 32,
        "embed_dim": 1280,
        "mlp_ratio": 4,
        "num_heads": 16,
        "in_chans": 3,
        "hidden_size": 1536,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "temporal_patch_size": 2
      },
      "rope_scaling": {
        "type": "mrope",
        "mrope_section": [
          16,
          24,
          24
        ]
      },
      "vocab_size": 151936
    }
    """

  private func json(_ bytes: [UInt8]) throws -> JSON { try JSON(parsing: bytes, place: "written") }

  @Test func `without a base, the members are the hub's`() throws {
    let theirs = try JSON(parsing: Self.hub, place: "hub")
    let written = try json(Qwen2VLConfig(theirs, place: "hub").hubJSON())
    #expect(
      written
        == theirs.with("transformers_version", nil).with("vision_token_id", nil))
  }

  @Test func `where nothing changed, the bytes stay`() throws {
    let bytes = Array(Self.hub.utf8)
    let config = try Qwen2VLConfig(json(bytes), place: "hub")
    #expect(try config.hubJSON(over: bytes) == bytes)
  }

  @Test func `what changed changes, all else stays`() throws {
    let base = try JSON(parsing: Self.hub, place: "hub").with("sliding_window", .null)
      .with("eos_token_id", [151645, 151643]).with("my_own", ["kept": true])
    var config = try Qwen2VLConfig(base, place: "hub")
    config.text.vocabularySize = 152_064
    config.text.tieWordEmbeddings = false
    config.vision.depth = 31
    config.dtype = .float16
    let written = try json(config.hubJSON(over: Array(base.text().utf8)))
    #expect(
      written
        == base.with("vocab_size", 152_064).with("tie_word_embeddings", false)
        .with("vision_config.depth", 31).with("torch_dtype", "float16"))
    #expect(try Qwen2VLConfig(written, place: "written") == config)
  }

  @Test(arguments: ["a", "b"])
  func `the nested dialect becomes the hub's, with members unknown here`(name: String) throws {
    let bytes = try Files.read(golden(name) + "/config.json")
    let base = try json(bytes).with("my_own", 1).with("text_config.their_own", "x")
      .with("text_config.tie_word_embeddings", true).with("vision_config.new", 2.5)
    let config = try Qwen2VLConfig(base, place: "base")
    let written = try json(config.hubJSON(over: Array(base.text().utf8)))
    #expect(written["text_config"] == nil && written["rope_parameters"] == nil)
    #expect(written["my_own"] == 1 && written["their_own"] == "x")
    #expect(written["vision_config"]?["new"] == 2.5)
    #expect(written["transformers_version"] == base["transformers_version"])
    #expect(written["initializer_range"] == base["text_config"]?["initializer_range"])
    #expect(written["model_type"] == "qwen2_vl" && written["dtype"] == nil)
    #expect(written["torch_dtype"] == base["dtype"])
    #expect(written["rope_scaling"]?["mrope_section"]?.asArray?.count == 3)
    #expect(try Qwen2VLConfig(written, place: "written") == config)
  }

  /// Every number, flag and name of a config.json, changed alone: what is read of it is what is read
  /// of the file that is written from it.
  @Test func `what is read of a config is written, member by member`() throws {
    for size in ModelFamilies.sizes.filter({ !$0.isTiny }) {
      let whole = JSON.object(size.config.members)
      var taken = 0
      for path in leaves(whole) {
        for change in changes(value(whole, path)) {
          let changed = setting(whole, path, change)
          guard let read = try? ModelFamilies.config(changed, place: "changed") else { continue }
          taken += 1
          for written in [
            try read.hubJSON(), try read.hubJSON(over: Array(changed.text().utf8)),
            try read.hubJSON(over: Array(whole.text().utf8)),
          ] {
            let again = try ModelFamilies.config(JSON(parsing: written, place: "w"), place: "w")
            #expect(
              String(reflecting: again) == String(reflecting: read),
              "\(size.name): \(path.joined(separator: ".")) = \(change.text())")
          }
        }
      }
      #expect(taken > 20, "\(size.name)")
    }
  }

  private func leaves(_ json: JSON, _ path: [String] = []) -> [[String]] {
    guard let members = json.asObject else { return [path] }
    return members.keys.sorted().flatMap { leaves(members[$0] ?? .null, path + [$0]) }
  }

  private func value(_ json: JSON, _ path: [String]) -> JSON {
    path.reduce(json) { $0[$1] ?? .null }
  }

  private func setting(_ json: JSON, _ path: [String], _ value: JSON) -> JSON {
    guard let name = path.first, var members = json.asObject else { return value }
    members[name] = setting(members[name] ?? .null, Array(path.dropFirst()), value)
    return .object(members)
  }

  private func changes(_ value: JSON) -> [JSON] {
    if let flag = value.asBool { return [.bool(!flag)] }
    if let whole = value.asInt { return [.int(whole + 1), .int(whole * 2), .int(whole / 2)] }
    if let number = value.asDouble { return [.number(number * 3), .number(number / 7)] }
    if let list = value.asArray { return [.array(list.dropLast()), .array(list + list.suffix(1))] }
    return []
  }
}
