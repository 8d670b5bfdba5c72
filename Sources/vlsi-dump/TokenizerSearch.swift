import Artifacts
import Failures
import Tokenization

/// Finds the tokenizer that an artifact's text was made with.
enum TokenizerSearch {
  /// The folder given; else the model that the manifest names, as written or seen from a folder
  /// above the artifact; else one that an artifact beside it names, when its fingerprint is the
  /// recorded one. Throws only for a folder given that has none.
  static func find(_ subject: Subject, given: String?) throws -> Tokenizer? {
    if let given { return try Tokenizer(directory: given) }
    guard case .artifact(let manifest) = subject.kind else { return nil }
    if let tokenizer = named(by: manifest, at: subject.path) { return tokenizer }
    return inSameRun(as: manifest, at: subject.path)
  }

  /// The tokenizer of a model that the manifest names, if it is the one that was used.
  private static func named(by manifest: Manifest, at path: String) -> Tokenizer? {
    for key in ["tokenizer_directory", "model", "student", "teacher", "base"] {
      guard let model = (manifest.facts[key] ?? manifest.settings[key])?.asString else { continue }
      for folder in candidates(model, from: path)
      where Files.exists(Files.join(folder, "tokenizer.json")) {
        guard let tokenizer = try? Tokenizer(directory: folder) else { continue }
        let recorded = fingerprint(of: manifest)
        if recorded == nil || recorded == tokenizer.fingerprint { return tokenizer }
      }
    }
    return nil
  }

  private static func fingerprint(of manifest: Manifest) -> String? {
    manifest.facts["tokenizer"]?.asString
      ?? manifest.inputs.first { $0.key.hasSuffix("tokenizer") }?.value
  }

  /// Another artifact or checkpoint of the same run has the same tokenizer.
  private static func inSameRun(as manifest: Manifest, at path: String) -> Tokenizer? {
    guard let wanted = fingerprint(of: manifest) else { return nil }
    var folders = [Files.join(path, "..")]
    folders += ((try? Files.list(folders[0])) ?? []).map { Files.join(folders[0], $0) }
      .filter(Files.isDirectory)
    folders += folders.dropFirst().flatMap { folder in
      ((try? Files.list(folder)) ?? []).map { Files.join(folder, $0) }
    }.filter(Files.isDirectory)
    for folder in folders {
      if Files.exists(Files.join(folder, "tokenizer.json")),
        let tokenizer = try? Tokenizer(directory: folder), tokenizer.fingerprint == wanted
      {
        return tokenizer
      }
      if let other = try? ArtifactReader.manifest(in: folder), fingerprint(of: other) == wanted,
        let tokenizer = named(by: other, at: folder)
      {
        return tokenizer
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
