import Artifacts

/// What the user says that student and teacher are called on the hub; nil where nothing is said.
public struct HubNames: Sendable {
  public var student: String?
  public var teacher: String?

  public init(student: String? = nil, teacher: String? = nil) {
    self.student = student
    self.teacher = teacher
  }
}

/// What a checkpoint is called on the Hugging Face hub, as far as anything here tells: for cards and
/// adapters, which others read. Never a path of this machine.
public enum HubName {
  /// `owner/name` where it is known; else the last word of the folder's path, and of a run's model the
  /// run's name.
  /// - Parameter given: what the user says it is
  public static func of(_ directory: String, given: String? = nil) -> String {
    if let given { return given }
    let parts = components(directory)
    if let cached = parts.last(where: { $0.hasPrefix("models--") }) {
      return cached.dropFirst("models--".count).split(separator: "--", maxSplits: 1)
        .joined(separator: "/")
    }
    guard let last = parts.last else { return "model" }
    let published = ModelFamilies.all.flatMap { $0.published }
    if let name = published.first(where: { $0.split(separator: "/").last.map(String.init) == last })
    {
      return name
    }
    if let told = ofCard(directory) ?? ofConfig(directory) { return told }
    let owner = parts.dropLast().last ?? ""
    if published.contains(where: { $0.hasPrefix(owner + "/") }) { return "\(owner)/\(last)" }
    return ofFolder(directory)
  }

  /// What a model is called by its folder: `runs/2b/model` is 2b, `runs/2b/compare/sft/model` 2b-sft.
  public static func ofFolder(_ directory: String) -> String {
    let parts = components(directory)
    guard let last = parts.last else { return "model" }
    guard ["model", "adapter"].contains(last), parts.count > 1 else { return last }
    if parts.count > 3, parts[parts.count - 3] == "compare" {
      return "\(parts[parts.count - 4])-\(parts[parts.count - 2])"
    }
    return parts[parts.count - 2]
  }

  private static func components(_ directory: String) -> [String] {
    directory.split(separator: "/").map(String.init).filter { $0 != "." }
  }

  /// What the checkpoint's own card loads: its one `from_pretrained("owner/name")`. Two are one too many
  /// to tell.
  private static func ofCard(_ directory: String) -> String? {
    guard let bytes = try? Files.read(Files.join(directory, "README.md"), limit: 1 << 24) else {
      return nil
    }
    let calls = String(decoding: bytes, as: UTF8.self).split(separator: "from_pretrained(")
      .dropFirst()
    let names = calls.compactMap { call -> String? in
      let word = call.trimmingPrefix { $0.isWhitespace }
      guard let quote = word.first, quote == "\"" || quote == "'" else { return nil }
      let name = String(word.dropFirst().prefix { $0 != quote })
      return isIdentifier(name) ? name : nil
    }
    return Set(names).count == 1 ? names[0] : nil
  }

  /// What transformers noted when it saved the checkpoint: the name that it was loaded by, unless that
  /// was a folder.
  private static func ofConfig(_ directory: String) -> String? {
    let path = Files.join(directory, "config.json")
    guard let name = (try? JSON(file: path, limit: 1 << 24))?["_name_or_path"]?.asString,
      isIdentifier(name), !Files.exists(name)
    else { return nil }
    return name
  }

  /// The first words of paths to checkpoints, which are no accounts that publish models.
  private static let folders: Set<String> = [
    "checkpoint", "checkpoints", "ckpt", "ckpts", "data", "home", "mnt", "model", "models",
    "output",
    "outputs", "results", "root", "runs", "save", "saved", "tmp", "weights",
  ]

  /// Whether a text has the form of a model's name on the hub, and is not likely a path.
  public static func isIdentifier(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return text.utf8.count <= 96 && parts.count == 2
      && parts.allSatisfy { part in
        part.first.map { letters.contains($0) } == true
          && part.allSatisfy { (letters + "._-").contains($0) }
      }
      && !folders.contains(parts[0].lowercased()) && !parts[1].hasPrefix("checkpoint-")
  }
}
