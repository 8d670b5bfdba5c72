import Artifacts
import Failures
import Kernels

/// config.json as it is written: in the hub's dialect, whichever was read.
extension Qwen2VLConfig {
  /// The config as the hub writes it.
  /// - Parameter base: a config.json, in either dialect, from which this config came. Its members
  ///   stay as they are, those unknown here included, but for what this config has differently;
  ///   where nothing differs and the dialect is the hub's, the very bytes stay.
  public func hubJSON(over base: [UInt8]? = nil) throws -> [UInt8] {
    guard let base else { return Array(JSON.object(members).text(pretty: true).utf8) }
    let json = try JSON(parsing: base, place: "config.json")
    let old = try? Qwen2VLConfig(json, place: "config.json")
    let isNested = json["text_config"]?.asObject != nil
    if old == self, !isNested { return base }
    let merged = Qwen2VLConfig.merge(
      members, of: old?.members, into: Qwen2VLConfig.flattened(json))
    return Array(JSON.object(merged).text(pretty: true).utf8)
  }

  /// The members of a config in the hub's names, as far as they have only changed places.
  private static func flattened(_ json: JSON) -> [String: JSON] {
    var flat = json.asObject ?? [:]
    if let text = flat.removeValue(forKey: "text_config")?.asObject {
      // The hub's dialect has no word for the first two: the one follows from the window, the
      // other becomes rope_theta and rope_scaling.
      let gone = ["layer_types", "rope_parameters", "model_type"]
      // The whole model's, of which some releases leave a null among the text's.
      let outermost = [
        "tie_word_embeddings", "dtype", "torch_dtype", "architectures", "image_token_id",
        "video_token_id", "vision_start_token_id", "vision_end_token_id",
      ]
      for (key, value) in text where !gone.contains(key) && value != .null {
        if flat[key] == nil || !outermost.contains(key) { flat[key] = value }
      }
      if text["tie_word_embeddings"] == true { flat["tie_word_embeddings"] = true }
    }
    if let dtype = flat.removeValue(forKey: "dtype") {
      flat["torch_dtype"] = flat["torch_dtype"] ?? dtype
    }
    return flat
  }

  /// `new` over `kept`: what is missing there, and what differs from `old`.
  private static func merge(
    _ new: [String: JSON], of old: [String: JSON]?, into kept: [String: JSON]
  ) -> [String: JSON] {
    var result = kept
    for (key, value) in new {
      if let inner = value.asObject, let there = kept[key]?.asObject {
        result[key] = .object(merge(inner, of: old?[key]?.asObject, into: there))
      } else if kept[key] == nil || old?[key] != value {
        result[key] = value
      }
    }
    return result
  }

  /// What the fingerprint of a checkpoint covers of its config. Artifacts record that fingerprint:
  /// the text of a config must stay what it is.
  var fingerprintText: String {
    var all = members
    var vision = all["vision_config"]?.asObject ?? [:]
    vision["model_type"] = "qwen2_vl"
    vision["hidden_act"] = "quick_gelu"
    vision["in_channels"] = .int(self.vision.inChannels)
    all["vision_config"] = .object(vision)
    return JSON.object(all).text(pretty: true)
  }

  /// The members of the hub's config.json.
  public var members: [String: JSON] {
    let name: [ElementType: String] = [
      .bfloat16: "bfloat16", .float16: "float16", .float32: "float32",
    ]
    var vision: [String: JSON] = [
      "depth": .int(vision.depth), "embed_dim": .int(vision.embedDimension),
      "num_heads": .int(vision.heads),
      "mlp_ratio": vision.mlpRatio == vision.mlpRatio.rounded()
        ? .int(Int(vision.mlpRatio)) : .number(vision.mlpRatio),
      "patch_size": .int(vision.patchSize), "spatial_patch_size": .int(vision.patchSize),
      "temporal_patch_size": .int(vision.temporalPatchSize),
      "spatial_merge_size": .int(vision.spatialMergeSize), "in_chans": .int(vision.inChannels),
      "hidden_size": .int(vision.hiddenSize),
    ]
    // transformers reads this name alone; the hub leaves it out, for three is what it assumes.
    if self.vision.inChannels != 3 { vision["in_channels"] = .int(self.vision.inChannels) }
    var members: [String: JSON] = [
      "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl",
      "attention_dropout": 0.0, "hidden_act": "silu", "initializer_range": 0.02,
      "hidden_size": .int(text.hiddenSize), "num_hidden_layers": .int(text.layers),
      "num_attention_heads": .int(text.heads), "num_key_value_heads": .int(text.keyValueHeads),
      "intermediate_size": .int(text.intermediateSize), "vocab_size": .int(text.vocabularySize),
      "max_position_embeddings": .int(text.maxPositions),
      "max_window_layers": .int(text.layers), "sliding_window": .int(text.maxPositions),
      "use_sliding_window": false, "use_cache": true,
      "rms_norm_eps": .number(Qwen2VLConfig.shortest(text.rmsNormEpsilon)),
      "rope_theta": .number(text.ropeTheta),
      "rope_scaling": [
        "type": "mrope", "mrope_section": .array(text.mropeSection.map { .int($0) }),
      ],
      "tie_word_embeddings": .bool(text.tieWordEmbeddings),
      "image_token_id": .int(imageTokenID), "video_token_id": .int(videoTokenID),
      "vision_start_token_id": .int(visionStartTokenID),
      "vision_end_token_id": .int(visionEndTokenID), "eos_token_id": .int(eosTokenID),
      "vision_config": .object(vision),
    ]
    if let bosTokenID { members["bos_token_id"] = .int(bosTokenID) }
    if let dtype, let name = name[dtype] { members["torch_dtype"] = .string(name) }
    return members
  }

  /// The double that prints as the float does: 1e-06, not 9.999999974752427e-07.
  private static func shortest(_ value: Float) -> Double { Double("\(value)") ?? Double(value) }
}
