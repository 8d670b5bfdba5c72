import Artifacts
import Failures
import Kernels

/// config.json as it is written: in the hub's dialect, whichever was read.
extension ModelConfig {
  public func hubJSON() throws -> [UInt8] { try hubJSON(over: nil) }

  /// The config as the hub writes it, in sections.
  /// - Parameter base: a config.json from which this config came. Its members stay as they are, in its
  ///   dialect, but for what this config has differently; where nothing differs the very bytes stay.
  public func hubJSON(over base: [UInt8]?) throws -> [UInt8] {
    guard let base else { return Array(JSON.object(members).text(pretty: true).utf8) }
    let json = try JSON(parsing: base, place: "config.json")
    let old = Self.members(of: json)
    if old == members { return base }
    let merged = mergedMembers(members, of: old, into: json.asObject ?? [:], adding: old == nil)
    return Array(JSON.object(merged).text(pretty: true).utf8)
  }

  /// What a config.json says, in the hub's dialect; nil where it is no model's as yet, though its
  /// members might all be left out.
  fileprivate static func members(of json: JSON) -> [String: JSON]? {
    json["model_type"] == nil ? nil : (try? Self(json, place: "config.json"))?.members
  }

  public var fingerprintText: String { JSON.object(members).text(pretty: true) }

  /// `torch_dtype`, where a type is known.
  var typeMember: [String: JSON] {
    dtype.flatMap { ElementType.configNames[$0] }.map { ["torch_dtype": .string($0)] } ?? [:]
  }
}

/// `new` over `kept`: what differs from `old`, and if `adding`, what is missing there.
func mergedMembers(
  _ new: [String: JSON], of old: [String: JSON]?, into kept: [String: JSON], adding: Bool
) -> [String: JSON] {
  var result = kept
  for (key, value) in new {
    if let inner = value.asObject, let there = kept[key]?.asObject {
      result[key] = .object(
        mergedMembers(inner, of: old?[key]?.asObject, into: there, adding: adding))
    } else if old?[key] != value || (adding && kept[key] == nil) {
      // Later releases call it otherwise.
      let name = key == "torch_dtype" && kept["dtype"] != nil ? "dtype" : key
      result[name] = value
    }
  }
  return result
}

/// Families whose config.json has the language model's numbers on its outermost level on the hub, and
/// in a section of their own in later releases of transformers: Qwen2-VL and Qwen2.5-VL.
protocol FlatConfig: ModelConfig {}

extension FlatConfig {
  /// The config as the hub writes it.
  /// - Parameter base: a config.json, in either dialect, from which this config came. Its members
  ///   stay as they are, those unknown here included, but for what this config has differently;
  ///   where nothing differs and the dialect is the hub's, the very bytes stay.
  public func hubJSON(over base: [UInt8]?) throws -> [UInt8] {
    guard let base else { return Array(JSON.object(members).text(pretty: true).utf8) }
    let json = try JSON(parsing: base, place: "config.json")
    let old = Self.members(of: json)
    let isNested = json["text_config"]?.asObject != nil
    if old == members, !isNested { return base }
    let merged = mergedMembers(members, of: old, into: Self.flattened(json), adding: true)
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
}
