import Artifacts
import Failures
import Tokenization

/// Finds the tokenizer that an artifact's text was made with.
enum TokenizerSearch {
  /// The folder given; else the model that the manifest names, as written or seen from a folder
  /// above the artifact. Throws only for a folder given that has none.
  static func find(_ subject: Subject, given: String?) throws -> Tokenizer? {
    if let given { return try Tokenizer(directory: given) }
    guard case .artifact(let manifest) = subject.kind else {
      return nil
    }
    for key in ["tokenizer_directory", "model", "student", "teacher", "base"] {
      guard let path = (manifest.facts[key] ?? manifest.settings[key])?.asString else { continue }
      for folder in candidates(path, from: subject.path)
      where Files.exists(Files.join(folder, "tokenizer.json")) {
        if let tokenizer = try? Tokenizer(directory: folder) { return tokenizer }
      }
    }
    return nil
  }

  private static func candidates(_ path: String, from artifact: String) -> [String] {
    if path.hasPrefix("/") { return [path] }
    var above = artifact.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
    let root = artifact.hasPrefix("/") ? "/" : ""
    var found = [path]
    while !above.isEmpty {
      above.removeLast()
      let folder = root + above.joined(separator: "/")
      found.append(Files.join(folder.isEmpty ? "." : folder, path))
    }
    return found
  }
}

extension Tokenizer {
  /// One token between guillemets, on one line.
  func shown(_ id: Int32) -> String {
    guard id >= 0, id < vocabularySize else { return "‹\(id)›" }
    return "‹\(Human.line(decode([id]), limit: 24))›"
  }
}
