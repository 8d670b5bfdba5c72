import Artifacts
import Failures

/// What a path is that was given for a checkpoint and is none: said in words.
public enum CheckpointFolder {
  /// The folder's config.json. Throws 66, or 65 where there is something else in its place.
  public static func config(_ directory: String) throws -> String {
    let advice = "Give the folder of a Hugging Face checkpoint"
    guard Files.exists(directory) else {
      throw Failure(
        .inputMissing, "no such folder", at: directory,
        advice: Failure.hubAdvice(directory) ?? advice)
    }
    guard Files.isDirectory(directory) else {
      let bytes = try? Files.prefix(directory)
      let kind = bytes.flatMap { FileKind(prefix: $0) }
      let isInside = Files.exists(Files.join(Files.parent(of: directory), "config.json"))
      throw Failure(
        .inputMissing, "a file in the place of a checkpoint's folder", at: directory,
        expected: "a folder with config.json", found: kind?.name,
        advice: isInside ? "Give the folder that it lies in" : kind?.advice ?? advice)
    }
    let path = Files.join(directory, "config.json")
    if Files.exists(path) { return path }
    throw withoutConfig(directory, try Files.list(directory), advice)
  }

  private static func withoutConfig(
    _ directory: String, _ names: [String], _ advice: String
  ) -> Failure {
    if names.contains("adapter_config.json") {
      let place = Files.join(directory, "adapter_config.json")
      let base = (try? JSON(file: place, limit: 1 << 24))?["base_model_name_or_path"]?.asString
      return Failure(
        .badData, "a PEFT adapter, not a checkpoint", at: directory, expected: "config.json",
        found: "adapter_config.json",
        advice:
          "Give a whole checkpoint: merge it into its base\(base.map { ", \($0.prefix(200))" } ?? "") "
          + "(model.merge_and_unload() of PEFT)")
    }
    if names.contains("snapshots") {
      let inner = Files.join(directory, "snapshots")
      let first = (try? Files.list(inner))?.first.map { Files.join(inner, $0) }
      return Failure(
        .badData, "a folder of the hub's cache, not a checkpoint", at: directory,
        expected: "config.json", found: "snapshots", advice: first.map { "Give \($0)" } ?? advice)
    }
    if let name = names.first(where: { $0.hasSuffix(".gguf") }) {
      return Failure(
        .badData, "a GGUF model, not a checkpoint", at: directory, expected: "config.json",
        found: name, advice: "Give the checkpoint that it was made from, in safetensors")
    }
    if let name = names.first(where: { Files.exists(Files.join(directory, "\($0)/config.json")) }) {
      return Failure(
        .inputMissing, "no config.json in the checkpoint", at: directory,
        found: "one in \(name)", advice: "Is \(Files.join(directory, name)) meant?")
    }
    return Failure(.inputMissing, "no config.json in the checkpoint", at: directory, advice: advice)
  }

  /// Why there are no weights that are read: which others there are.
  static func noWeights(_ directory: String) -> Failure {
    let names = (try? Files.list(directory)) ?? []
    let expected = "model.safetensors or model.safetensors.index.json"
    func failure(_ what: String, _ name: String, _ advice: String) -> Failure {
      Failure(.inputMissing, what, at: directory, expected: expected, found: name, advice: advice)
    }
    func first(_ holds: (String) -> Bool) -> String? { names.first(where: holds) }
    if let name = first({ $0.hasPrefix("model-") && $0.hasSuffix(".safetensors") }) {
      return failure(
        "weights in several files without their index", name,
        "Fetch model.safetensors.index.json too")
    }
    if names.contains("adapter_model.safetensors") {
      return failure(
        "an adapter's weights alone", "adapter_model.safetensors",
        "Give a whole checkpoint: merge the adapter into its base")
    }
    if let name = first({ name in [".bin", ".pt", ".pth"].contains { name.hasSuffix($0) } }) {
      return failure(
        "weights as torch.save writes them", name,
        "Fetch the safetensors files, or save the model by save_pretrained of transformers")
    }
    if let name = first({ $0.hasSuffix(".gguf") }) {
      return failure(
        "weights as GGUF", name, "Give the checkpoint that it was made from, in safetensors")
    }
    if let name = first({ $0.hasSuffix(".safetensors") }) {
      return failure("weights under another name", name, "Is that file the model? Rename it")
    }
    return Failure(
      .inputMissing, "no weights in the checkpoint", at: directory, expected: expected,
      advice: "Fetch the safetensors files; other formats are not read")
  }
}
