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
  let names: HubNames

  /// Writes the card of a finished model, or writes it anew where it would be another now.
  /// - Parameter near: folders beside which the artifacts behind the model lie: those of its inputs,
  ///   or a run.
  /// - Returns: whether a card is there that says what is known; not so where one was edited.
  /// - Throws: `Failure` 65 or 66 without a finished model, 73 or 74 when it cannot be written.
  @discardableResult
  public static func write(
    for model: String, near: [String], names: HubNames = HubNames()
  ) throws -> Bool {
    let card = ModelCard(
      lineage: try Lineage(model: model, near: near), name: HubName.ofFolder(model),
      names: names)
    return try put(card.text, in: model)
  }

  /// Writes a card, unless the one that is there was edited; whether it was not.
  static func put(_ card: String, in directory: String) throws -> Bool {
    let path = Files.join(directory, fileName)
    let text = sealed(card)
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

  // MARK: The base

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
