import Artifacts
import Checkpoints
import Models
import Failures
import TestSupport
import Testing

@Suite struct ConfigTests {
  @Test func `both dialects give the same config`() throws {
    let flat = try Qwen2VLConfig(hubConfig, place: "config.json")
    #expect(flat.text.mropeSection == [1, 1, 2] && flat.text.ropeTheta == 10000)
    #expect(flat.vision.patchDimension == 96 && flat.vision.mlpSize == 48)
    #expect(flat.dtype == .bfloat16 && flat.bosTokenID == 1)

    var text = hubConfig.asObject ?? [:]
    for name in ["vision_config", "model_type", "image_token_id", "video_token_id"] {
      text[name] = nil
    }
    text["rope_parameters"] = [
      "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2],
    ]
    text["rope_theta"] = nil
    text["rope_scaling"] = nil
    text["sliding_window"] = .null
    let nested: JSON = [
      "model_type": "qwen2_vl", "text_config": .object(text), "dtype": "bfloat16",
      "vision_config": (hubConfig["vision_config"] ?? .null).with("in_chans", nil)
        .with("in_channels", 3),
      "image_token_id": 90, "video_token_id": 91, "vision_start_token_id": 92,
      "vision_end_token_id": 93, "tie_word_embeddings": false,
    ]
    #expect(try Qwen2VLConfig(nested, place: "config.json") == flat)
  }

  @Test(arguments: ["a", "b"])
  func `what we write reads back equal`(name: String) throws {
    let config = try #require(ModelFamilies.config(directory: golden(name)) as? Qwen2VLConfig)
    let bytes = try config.hubJSON()
    #expect(try Qwen2VLConfig(JSON(parsing: bytes, place: "x"), place: "x") == config)
  }

  @Test(arguments: ["a", "b"])
  func `the tensors expected are those that transformers saves`(name: String) throws {
    let checkpoint = try Checkpoint(directory: golden(name))
    try checkpoint.checkComplete()
    let expected = checkpoint.config.tensorShapes
    #expect(Set(expected.map(\.name)) == Set(checkpoint.names))
    for (name, shape) in expected { #expect(checkpoint[name]?.shape == shape) }
  }

  /// The real shapes' parameter counts, as published: 2.2 B, 8.3 B and 73 B.
  @Test func `real shapes have the published sizes`() throws {
    func config(
      _ d: Int, _ layers: Int, _ heads: Int, _ kv: Int, _ ffn: Int, _ vocabulary: Int, tied: Bool
    ) -> Qwen2VLConfig {
      Qwen2VLConfig(
        text: .init(
          hiddenSize: d, layers: layers, heads: heads, keyValueHeads: kv, intermediateSize: ffn,
          vocabularySize: vocabulary, ropeTheta: 1e6, mropeSection: [16, 24, 24],
          rmsNormEpsilon: 1e-6, tieWordEmbeddings: tied, maxPositions: 32768),
        vision: .init(
          depth: 32, embedDimension: 1280, heads: 16, mlpRatio: 4, patchSize: 14,
          temporalPatchSize: 2, spatialMergeSize: 2, inChannels: 3, hiddenSize: d),
        imageTokenID: 151655, videoTokenID: 151656, visionStartTokenID: 151652,
        visionEndTokenID: 151653, eosTokenID: 151645)
    }
    let two = config(1536, 28, 12, 2, 8960, 151_936, tied: true)
    let seven = config(3584, 28, 28, 4, 18944, 152_064, tied: false)
    let large = config(8192, 80, 64, 8, 29568, 152_064, tied: false)
    #expect(two.parameterCount == 2_208_985_600)
    #expect(seven.parameterCount == 8_291_375_616)
    #expect(large.parameterCount == 73_405_560_320)
  }

  /// Nothing overflows on the way from the largest numbers that are read to bytes.
  @Test func `the largest sizes`() throws {
    var largest = hubConfig
    for (path, value) in [
      ("hidden_size", 1 << 20), ("num_hidden_layers", 1024), ("num_attention_heads", 1 << 19),
      ("num_key_value_heads", 1 << 19), ("intermediate_size", 1 << 24), ("vocab_size", 1 << 24),
      ("vision_config.depth", 1024), ("vision_config.embed_dim", 1 << 20),
      ("vision_config.num_heads", 1 << 18), ("vision_config.mlp_ratio", 64),
      ("vision_config.in_chans", 16), ("vision_config.patch_size", 256),
      ("vision_config.spatial_merge_size", 16), ("vision_config.temporal_patch_size", 16),
      ("vision_config.hidden_size", 1 << 20),
    ] { largest = largest.with(path, .int(value)) }
    largest = largest.with("rope_scaling.mrope_section", [1, 0, 0])
    let config = try Qwen2VLConfig(largest, place: "c.json")
    #expect(config.parameterCount.multipliedReportingOverflow(by: 4).overflow == false)
    #expect(config.vision.patchDimension > 0)
  }

  @Test(
    arguments: [
      ("model_type", "qwen9_vl", "unsupported model type"),
      ("model_type", nil, "unsupported model type"),
      ("vision_config", nil, "not as wide as the language model"),
      ("vision_config", "none", "bad or missing \"vision_config\""),
      ("text_config", [1], "bad or missing \"text_config\""),
      ("vision_config.rope_parameters", ["rope_theta": 500.0], "unsupported \"rope_theta\""),
      ("rope_scaling.rope_theta", 500.0, "two values for \"rope_theta\""),
      ("tie_word_embeddings", "yes", "bad or missing \"tie_word_embeddings\""),
      ("hidden_size", "32", "bad or missing \"hidden_size\""),
      ("hidden_size", -32, "bad or missing \"hidden_size\""),
      ("hidden_size", 9_000_000_000_000, "bad or missing \"hidden_size\""),
      ("hidden_size", 30, "does not divide into heads"),
      ("num_key_value_heads", 3, "do not share"),
      ("rope_scaling", nil, "does not cover a head"),
      ("rope_scaling.mrope_section", [1, 1], "bad \"mrope_section\""),
      ("rope_scaling.mrope_section", [1, 1, 1], "does not cover a head"),
      ("rope_scaling.type", "yarn", "unsupported rotary embedding"),
      ("use_sliding_window", true, "unsupported \"use_sliding_window\""),
      ("hidden_act", "gelu", "unsupported \"hidden_act\""),
      ("rms_norm_eps", 0, "bad or missing \"rms_norm_eps\""),
      ("image_token_id", 96, "outside the vocabulary"),
      ("vision_config.embed_dim", 27, "does not divide into heads"),
      ("vision_config.hidden_size", 48, "not as wide as the language model"),
      ("vision_config.mlp_ratio", 1e300, "mlp_ratio is out of range"),
      ("vision_config.mlp_ratio", 1e-300, "mlp_ratio is out of range"),
      ("num_hidden_layers", 16_777_216, "bad or missing \"num_hidden_layers\""),
      ("vision_config.depth", 16_777_216, "bad or missing \"depth\""),
      ("vision_config.spatial_merge_size", 16_777_216, "bad or missing \"spatial_merge_size\""),
      ("vision_config.patch_size", 16_777_216, "bad or missing \"patch_size\""),
      ("quantization_config", ["quant_method": "awq"], "the weights are quantized"),
      ("vision_config.patch_size", 0, "bad or missing \"patch_size\""),
    ] as [(String, JSON?, String)])
  func `bad configs`(path: String, value: JSON?, what: String) {
    let found = failure {
      _ = try ModelFamilies.config(hubConfig.with(path, value), place: "c.json")
    }
    #expect(found?.code == .badData)
    #expect(found?.what.contains(what) == true, "\(found?.description ?? "")")
    #expect(found?.place?.hasPrefix("c.json") == true)
  }
}
