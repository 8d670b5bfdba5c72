import Artifacts
import Checkpoints
import Failures

/// The families of models that are known: the one place that lists them.
public enum ModelFamilies {
  public static let all: [any ModelConfig.Type] = [
    Qwen2VLConfig.self, Qwen25VLConfig.self, Qwen3VLConfig.self, LlavaOneVisionConfig.self,
  ]

  /// Reads the config.json of a checkpoint in `directory`. Throws 66 when there is none, 65 when it is
  /// of no known family or its numbers do not fit together.
  public static func config(directory: String) throws -> any ModelConfig {
    let path = try CheckpointFolder.config(directory)
    return try config(JSON(file: path, limit: 1 << 24), place: path)
  }

  /// - Parameter place: the file, for messages.
  public static func config(_ json: JSON, place: String) throws -> any ModelConfig {
    let type = json["model_type"]?.asString ?? "nothing"
    guard let family = all.first(where: { $0.modelType == type }) else {
      let names = all.map { "\($0.modelType) (\($0.familyName))" }.joined(separator: ", ")
      let hasPictures =
        json["vision_config"]?.asObject != nil || json["thinker_config"] != nil
        || json["vision_tower"] != nil || json["mm_vision_tower"] != nil
      throw Failure(
        .badData, "unsupported model type", at: place, expected: names,
        found: String(type.prefix(60)),
        advice: hasPictures
          ? "A family is added in one file: see CONTRIBUTING.md"
          : "It sees no images: give a vision-language model")
    }
    return try family.init(json, place: place)
  }
}
