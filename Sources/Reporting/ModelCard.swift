import Models
import Artifacts
import Evaluation
import Failures

/// The model card, README.md in the hub's form: what a model is, how it was made, what it scores.
///
/// It is a note on the artifact, not a part of it: the manifest does not list it, no fingerprint
/// covers it. So it can be written with the model and again when there are scores, and what is
/// finished stays as it is. A card that somebody edited is left alone: its last line holds a digest
/// of what was written.
public struct ModelCard {
  public static let fileName = "README.md"

  let lineage: Lineage
  /// The model's name, after the run's.
  let name: String

  /// Writes the card of a finished model, or writes it anew where it would be another now.
  /// - Parameter near: folders beside which the artifacts behind the model lie: those of its inputs,
  ///   or a run.
  /// - Returns: whether a card is there that says what is known; not so where one was edited.
  /// - Throws: `Failure` 65 or 66 without a finished model, 73 or 74 when it cannot be written.
  @discardableResult
  public static func write(for model: String, near: [String]) throws -> Bool {
    let path = Files.join(model, fileName)
    let card = ModelCard(
      lineage: try Lineage(model: model, near: near), name: name(of: model))
    let text = sealed(card.text)
    if Files.exists(path) {
      let there = String(decoding: try Files.read(path, limit: 1 << 24), as: UTF8.self)
      if there == text { return true }
      guard isSealed(there) else { return false }
    }
    try writeAtomically(text, to: path)
    return true
  }

  // MARK: The seal

  private static let seal = "<!-- vlsi renews this card until somebody edits it; "

  private static func sealed(_ text: String) -> String {
    "\(text)\n\(seal)\(Fingerprint.text(text)) -->\n"
  }

  private static func isSealed(_ text: String) -> Bool {
    guard let start = text.range(of: "\n" + seal) else { return false }
    return sealed(String(text[..<start.lowerBound])) == text
  }

  // MARK: Names

  /// What a model is called by its folder: `runs/2b/model` is 2b, `runs/2b/compare/sft/model`
  /// 2b-sft.
  static func name(of directory: String) -> String {
    let parts = directory.split(separator: "/").map(String.init).filter { $0 != "." }
    guard let last = parts.last else { return "model" }
    guard last == "model", parts.count > 1 else { return last }
    if parts.count > 3, parts[parts.count - 3] == "compare" {
      return "\(parts[parts.count - 4])-\(parts[parts.count - 2])"
    }
    return parts[parts.count - 2]
  }

  /// The hub's name of a checkpoint, as far as its folder tells: the hub's cache says it, and a
  /// folder may be called as one of the published ones.
  static func hubName(of directory: String) -> String {
    let parts = directory.split(separator: "/").map(String.init).filter { $0 != "." }
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
    let owner = parts.dropLast().last ?? ""
    if published.contains(where: { $0.hasPrefix(owner + "/") }) { return "\(owner)/\(last)" }
    return name(of: directory)
  }

  /// What the manifest of a model is to record about the checkpoint that it is made from, for the
  /// card: its licence, and whether its weights are random.
  public static func facts(ofBase directory: String) -> [String: JSON] {
    let license = license(of: directory)
    let made = Files.join(directory, "synthesis.json")
    let synthesis = (try? Files.read(made, limit: 1 << 20)).flatMap {
      try? JSON(parsing: $0, place: made)
    }
    return [
      "license": license.isEmpty ? .null : .object(license.mapValues { .string($0) }),
      "random_base": .bool(synthesis?["weights"] == "random"),
    ]
  }

  /// The members of a checkpoint's card that say its licence.
  static func license(of directory: String) -> [String: String] {
    guard let bytes = try? Files.read(Files.join(directory, fileName), limit: 1 << 24) else {
      return [:]
    }
    let lines = String(decoding: bytes, as: UTF8.self).split(
      omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    guard lines.first == "---", let end = lines.dropFirst().firstIndex(of: "---") else {
      return [:]
    }
    var found: [String: String] = [:]
    for line in lines[1..<end] {
      let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, ["license", "license_name", "license_link"].contains(parts[0]) else {
        continue
      }
      let value = parts[1].trimmingPrefix { $0 == " " || $0 == "\t" }
      let quoted = value.first.map { "\"'".contains($0) && value.last == $0 } ?? false
      let plain = String(quoted ? value.dropFirst().dropLast() : value)
      if !plain.isEmpty, plain.count < 500 { found[String(parts[0])] = plain }
    }
    return found
  }
}
