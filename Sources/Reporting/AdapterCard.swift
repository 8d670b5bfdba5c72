import Artifacts
import Failures
import Models

/// The card of an adapter, README.md in the hub's form: what it is of, how it came about, how PEFT takes
/// it. A note as `ModelCard` is one.
public enum AdapterCard {
  /// Writes the card of a finished adapter for PEFT, or writes it anew where it would be another now.
  /// Whole weights have none: no library takes them.
  /// - Returns: whether a card is there that says what is known; not so where one was edited.
  /// - Throws: `Failure` 65 or 66 without a finished adapter, 73 or 74 when it cannot be written.
  @discardableResult
  public static func write(for adapter: String, names: HubNames) throws -> Bool {
    let manifest = try ArtifactReader.manifest(in: adapter)
    guard manifest.kind == .adapter, manifest.facts["rank"]?.asInt != nil else { return true }
    let targets = Files.join(Files.parent(of: Files.trimmed(adapter)), "targets")
    let found = try? ArtifactReader.manifest(in: targets)
    let teacher = found.flatMap { found in
      found.content == manifest.inputs["targets"] ? found.facts["teacher"]?.asString : nil
    }
    return try ModelCard.put(
      text(
        name: HubName.ofFolder(adapter), manifest,
        base: HubName.of(manifest.facts["base"]?.asString ?? "", given: names.student),
        teacher: teacher.map { HubName.of($0, given: names.teacher) } ?? names.teacher),
      in: adapter)
  }

  static func text(name: String, _ manifest: Manifest, base: String, teacher: String?) -> String {
    let align = manifest.settings["align"] ?? .null
    var lines = ["---", "base_model: \(ModelCard.scalar(base))"]
    let license = manifest.facts["license"]?.asObject ?? [:]
    for key in ["license", "license_name", "license_link"] {
      if let value = license[key]?.asString { lines.append("\(key): \(ModelCard.scalar(value))") }
    }
    lines += ["library_name: peft", "tags:", "- lora", "- distillation", "- vlsi", "---"]
    let plain = ModelCard.plain(base)
    let from = teacher.map { "*\(ModelCard.plain($0))*" } ?? "its teacher"
    return lines.joined(separator: "\n") + """


      # \(ModelCard.plain(name)), the adapter

      A LoRA of rank \(manifest.facts["rank"]?.text() ?? "") for *\(plain)*: what it learned from \
      \(from) layer by layer, in the interaction step of VLsI: Verbalized Layers-to-Interactions \
      ([arXiv 2412.01822](https://arxiv.org/abs/2412.01822)). Fine-tuning came after it; the model \
      that the run ended with is another one.

      ```python
      # pip install transformers peft torch torchvision pillow
      from peft import PeftModel
      from transformers import AutoModelForImageTextToText
      base = AutoModelForImageTextToText.from_pretrained(\(JSON.quoted(base)), dtype="auto")
      model = PeftModel.from_pretrained(base, "PATH")
      ```

      | | |
      |---|---|
      | interaction | \(ModelCard.training(align)); matching \(ModelCard.value(align["matching"])) |
      | student's layers | \(ModelCard.list(manifest.facts["student_layers"])) |
      | teacher's layers | \(ModelCard.list(manifest.facts["teacher_layers"])) |
      | made by | \(ModelCard.plain(manifest.program)) \(ModelCard.plain(manifest.version)) |

      """
  }
}
