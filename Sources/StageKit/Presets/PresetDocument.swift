import Failures
import Foundation
import Yams

/// One parsed YAML file of a preset.
struct PresetDocument {
  var file: String
  var root: Node.Mapping

  /// One setting of a command line, `align.learning_rate=3e-5`. Throws 64 where it is none.
  init(setting word: String) throws {
    file = PresetDocument.option + word
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let names = parts[0].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, names.count == 2, names.allSatisfy({ !$0.isEmpty }) else {
      throw Failure(
        .usage, "--set cannot be read", expected: "section.key=value, as align.learning_rate=3e-5",
        found: word)
    }
    let value: Node?
    do {
      value = try compose(yaml: String(parts[1]))
    } catch let error as YamlError {
      throw PresetDocument.failure(error, file: file)
    }
    root = Node.Mapping([
      (
        Node(names[0]),
        .mapping(Node.Mapping([(Node(names[1]), value ?? Node("", Tag(.null)))]))
      )
    ])
  }

  private static let option = "--set "

  /// Where something stands: a file's line, or a word of the command line.
  static func place(_ file: String, _ line: Int?, _ column: Int? = nil) -> String {
    if file.hasPrefix(option) { return file }
    return "\(file):\(line ?? 1)" + (column.map { ":\($0)" } ?? "")
  }

  /// The file and all that it extends, the farthest base first.
  static func chain(from path: String) throws -> [PresetDocument] {
    var documents: [PresetDocument] = []
    var seen: [String] = []
    var next: (path: String, place: String)? = (path, path)
    while let (path, place) = next {
      let canonical = URL(fileURLWithPath: path).standardizedFileURL.path
      guard !seen.contains(canonical) else {
        throw Failure(
          .badPreset, "a preset extends itself", at: place,
          found: (seen + [canonical]).map { ($0 as NSString).lastPathComponent }
            .joined(separator: " -> "))
      }
      seen.append(canonical)
      let document = try PresetDocument(path: path, namedAt: place)
      documents.insert(document, at: 0)
      next = try document.base
    }
    return documents
  }

  init(path: String, namedAt place: String) throws {
    file = path
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure(
        .inputMissing,
        place == path ? "the preset cannot be read" : "the extended preset \(path) cannot be read",
        at: place, advice: "Presets lie in pipeline/.")
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw Failure(.badPreset, "the preset is not UTF-8 text", at: path)
    }
    let node: Node?
    do {
      node = try compose(yaml: text)
    } catch let error as YamlError {
      throw PresetDocument.failure(error, file: path)
    }
    switch node {
    case nil: root = Node.Mapping([])
    case .mapping(let mapping)?: root = mapping
    case .scalar(let scalar)? where scalar.string.isEmpty: root = Node.Mapping([])
    case let other?:
      throw Failure(
        .badPreset, "the preset has no sections", at: "\(path):\(other.mark?.line ?? 1)",
        expected: "sections such as align:", found: Settings.describe(other))
    }
  }

  /// The file that this one extends, with the line that says so.
  var base: (path: String, place: String)? {
    get throws {
      for (key, node) in root where key.scalar?.string == "extends" {
        let place = "\(file):\(key.mark?.line ?? 1)"
        guard let name = node.scalar?.string, !name.isEmpty else {
          throw Failure(
            .badPreset, "extends has the wrong type", at: place, expected: "the name of a preset",
            found: Settings.describe(node))
        }
        let folder = (file as NSString).deletingLastPathComponent
        return (name.hasPrefix("/") || folder.isEmpty ? name : "\(folder)/\(name)", place)
      }
      return nil
    }
  }

  /// The names of its sections.
  var sections: [String] { root.compactMap { $0.key.scalar?.string }.filter { $0 != "extends" } }

  /// The mapping of section `name`, if the file has one.
  func layer(_ name: String) throws -> Settings.Layer? {
    for (key, node) in root where key.scalar?.string == name {
      switch node {
      case .mapping(let mapping): return Settings.Layer(file: file, mapping: mapping)
      case .scalar(let scalar) where ["", "~", "null"].contains(scalar.string): return nil
      default:
        throw Failure(
          .badPreset, "section \(name) has the wrong type",
          at: PresetDocument.place(file, key.mark?.line), expected: "keys with values",
          found: Settings.describe(node))
      }
    }
    return nil
  }

  static func refuseUnknownSections(_ documents: [PresetDocument], known: [String]) throws {
    for document in documents {
      for (key, _) in document.root {
        let name = key.scalar?.string ?? "?"
        guard name != "extends", !known.contains(name) else { continue }
        throw unknownKey(
          name, of: "the preset", known: known + ["extends"],
          at: PresetDocument.place(document.file, key.mark?.line))
      }
    }
  }

  private static func failure(_ error: YamlError, file: String) -> Failure {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      return Failure(
        .badPreset, "not valid YAML: \(problem)",
        at: PresetDocument.place(file, mark.line, mark.column))
    case .duplicatedKeysInMapping(let duplicates, let context):
      return Failure(
        .badPreset, "the key \(duplicates.joined(separator: ", ")) stands twice",
        at: PresetDocument.place(file, context.mark.line))
    default:
      return Failure(.badPreset, "not valid YAML: \(error)", at: file)
    }
  }
}
