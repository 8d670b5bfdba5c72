import Artifacts
import Foundation

/// A checkpoint that transformers saved: `a` is tied, `b` is bf16 and untied.
public func golden(_ name: String) -> String {
  URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Goldens/model/\(name)").path
}

/// What the hub's dialect looks like, at a tiny size.
public let hubConfig: JSON = [
  "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl",
  "hidden_act": "silu", "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
  "num_key_value_heads": 2, "intermediate_size": 48, "vocab_size": 96, "rope_theta": 10000.0,
  "rope_scaling": ["type": "mrope", "mrope_section": [1, 1, 2]], "rms_norm_eps": 1e-06,
  "tie_word_embeddings": false, "max_position_embeddings": 512, "use_sliding_window": false,
  "sliding_window": 512, "torch_dtype": "bfloat16", "image_token_id": 90, "video_token_id": 91,
  "vision_start_token_id": 92, "vision_end_token_id": 93, "eos_token_id": 2, "bos_token_id": 1,
  "vision_config": [
    "depth": 2, "embed_dim": 24, "num_heads": 2, "mlp_ratio": 2, "in_chans": 3, "patch_size": 4,
    "spatial_merge_size": 2, "temporal_patch_size": 2, "hidden_size": 32,
  ],
]

extension JSON {
  /// The object with a member replaced, or removed where `value` is nil; `path` by dots.
  public func with(_ path: String, _ value: JSON?) -> JSON {
    var members = asObject ?? [:]
    let parts = path.split(separator: ".", maxSplits: 1).map(String.init)
    members[parts[0]] =
      parts.count == 1 ? value : (members[parts[0]] ?? .null).with(parts[1], value)
    return .object(members)
  }
}
