import Artifacts
import Failures
import Yams

/// A section of a preset. `declare` names every key once, with its property and its range;
/// decoding, the search for unknown keys and the JSON for manifests all come from that one list.
public protocol SettingsSection: Sendable {
  /// The section's key in the YAML file.
  static var name: String { get }
  /// The paper's settings where it states them, else this project's.
  init()
  /// Calls `settings` once for every key of the section.
  mutating func declare(_ settings: Settings) throws
}

extension SettingsSection {
  /// The section's keys, in order.
  public static var keys: [String] { Self().values.map(\.key) }

  /// The keys that decide how the work is done and not what comes out.
  public static var executionKeys: Set<String> { Self().declared.execution }

  private var declared: Settings {
    let settings = Settings(section: Self.name, layers: [])
    var copy = self
    // Without YAML layers there is nothing that could be wrong.
    try? copy.declare(settings)
    return settings
  }

  /// Every key with its present value.
  public var values: [(key: String, value: SettingValue)] { declared.values }

  /// The values of the keys of one role, for manifests.
  public func values(_ role: SettingRole) -> [(key: String, value: SettingValue)] {
    let settings = declared
    return settings.values.filter { settings.execution.contains($0.key) == (role == .execution) }
  }

  /// The section as a JSON object.
  public var settings: SettingValue { .object(values) }
}

/// What a setting decides.
public enum SettingRole: Sendable {
  /// What comes out: another value makes another artifact.
  case content
  /// How the work is done, not what comes out: an artifact stays valid when it changes.
  case execution
}

/// A value that stands in YAML as one of a few words.
public protocol SettingWord: RawRepresentable, CaseIterable, Sendable where RawValue == String {}

/// Visits the keys of one section: looks each up in the YAML, checks it, and notes its value.
public final class Settings {
  /// A file's mapping of this section; the file that extends another comes after it.
  struct Layer {
    var file: String
    var mapping: Node.Mapping
  }

  private let section: String
  private let layers: [Layer]
  /// The keys declared so far with their values.
  private(set) var values: [(key: String, value: SettingValue)] = []
  /// Those of them that decide no content.
  private(set) var execution: Set<String> = []

  init(section: String, layers: [Layer]) {
    self.section = section
    self.layers = layers
  }

  // MARK: Kinds of values

  public func callAsFunction(
    _ key: String, _ value: inout Int, in range: ClosedRange<Int>,
    _ role: SettingRole = .content
  ) throws {
    if let found = find(key) {
      value = try whole(found)
      try check(
        Double(value), "\(value)", Double(range.lowerBound)...Double(range.upperBound), found)
    }
    note(key, .int(value), role)
  }

  /// A whole number or null.
  public func callAsFunction(
    _ key: String, _ value: inout Int?, in range: ClosedRange<Int>,
    _ role: SettingRole = .content
  ) throws {
    if let found = find(key) {
      if isNull(found.node) {
        value = nil
      } else {
        let number = try whole(found, or: "null")
        try check(
          Double(number), "\(number)", Double(range.lowerBound)...Double(range.upperBound), found)
        value = number
      }
    }
    note(key, value.map { .int($0) } ?? .null, role)
  }

  /// A whole number, or the word `auto`, nil.
  public func callAsFunction(
    _ key: String, orAuto value: inout Int?, in range: ClosedRange<Int>,
    _ role: SettingRole = .content
  ) throws {
    if let found = find(key) {
      if case .scalar(let scalar) = found.node, scalar.string == "auto" {
        value = nil
      } else {
        let number = try whole(found, or: "auto")
        try check(
          Double(number), "\(number)", Double(range.lowerBound)...Double(range.upperBound), found)
        value = number
      }
    }
    note(key, value.map { .int($0) } ?? .string("auto"), role)
  }

  public func callAsFunction(_ key: String, _ value: inout UInt64) throws {
    if let found = find(key) {
      guard let text = plain(found.node), let number = UInt64(text) else {
        throw wrong(found, expected: "a whole number, 0 or more")
      }
      value = number
    }
    note(key, .int(Int(clamping: value)))
  }

  public func callAsFunction(
    _ key: String, _ value: inout Double, in range: ClosedRange<Double>,
    _ role: SettingRole = .content
  ) throws {
    if let found = find(key) { value = try number(found, in: range) }
    note(key, .number(value), role)
  }

  /// A number or null.
  public func callAsFunction(
    _ key: String, _ value: inout Double?, in range: ClosedRange<Double>
  ) throws {
    if let found = find(key) { value = isNull(found.node) ? nil : try number(found, in: range) }
    note(key, value.map { .number($0) } ?? .null)
  }

  public func callAsFunction(
    _ key: String, _ value: inout Bool, _ role: SettingRole = .content
  ) throws {
    if let found = find(key) {
      switch plain(found.node) {
      case "true": value = true
      case "false": value = false
      default: throw wrong(found, expected: "true or false")
      }
    }
    note(key, .bool(value), role)
  }

  public func callAsFunction(_ key: String, _ value: inout String) throws {
    if let found = find(key) {
      guard case .scalar(let scalar) = found.node, !isNull(found.node) else {
        throw wrong(found, expected: "text")
      }
      value = scalar.string
    }
    note(key, .string(value))
  }

  public func callAsFunction(_ key: String, _ value: inout String?) throws {
    if let found = find(key) {
      if isNull(found.node) {
        value = nil
      } else {
        guard case .scalar(let scalar) = found.node, !scalar.string.isEmpty else {
          throw wrong(found, expected: "text, or null")
        }
        value = scalar.string
      }
    }
    note(key, value.map { .string($0) } ?? .null)
  }

  public func callAsFunction<Word: SettingWord>(
    _ key: String, _ value: inout Word, _ role: SettingRole = .content
  ) throws {
    if let found = find(key) {
      guard case .scalar(let scalar) = found.node, let word = Word(rawValue: scalar.string) else {
        let words = Word.allCases.map(\.rawValue)
        var failure = wrong(found, expected: words.joined(separator: " or "))
        if let word = found.node.scalar?.string, let near = nearest(to: word, among: words) {
          failure.advice = "Did you mean \(near)?"
        }
        throw failure
      }
      value = word
    }
    note(key, .string(value.rawValue), role)
  }

  /// A list of words; an empty list is allowed where `mayBeEmpty`.
  public func callAsFunction(
    _ key: String, _ value: inout [String], mayBeEmpty: Bool = false
  ) throws {
    if let found = find(key) {
      let words = found.node.sequence?.map { $0.scalar?.string }
      guard let words, !words.contains(nil), mayBeEmpty || !words.isEmpty else {
        throw wrong(found, expected: "a list of words, as in [red, blue]")
      }
      value = words.compactMap { $0 }
    }
    note(key, .list(value.map { .string($0) }))
  }

  /// A list of whole numbers.
  public func callAsFunction(
    _ key: String, _ value: inout [Int], in range: ClosedRange<Int>
  ) throws {
    if let found = find(key) {
      value = try numbers(found, range)
    }
    note(key, .list(value.map { .int($0) }))
  }

  /// The length of a training, `steps` or `epochs`: what the nearest file says that says either.
  public func callAsFunction(_ length: inout TrainingLength) throws {
    for layer in layers.reversed() {
      // null says nothing, as in what a manifest shows.
      let (steps, epochs) = (given("steps", in: layer), given("epochs", in: layer))
      if let steps, let epochs {
        throw Failure(
          .badPreset, "\(section) has two lengths",
          at: PresetDocument.place(layer.file, max(steps.line, epochs.line)),
          expected: "steps or epochs",
          found: "both", advice: "Remove one of them")
      }
      if let steps {
        let number = try whole(steps)
        try check(Double(number), "\(number)", 0...Double(Settings.unbounded), steps)
        length = .steps(number)
      } else if let epochs {
        length = .epochs(try number(epochs, in: 0...1e6))
      } else {
        continue
      }
      break
    }
    note("steps", length.known.map { .int($0) } ?? .null)
    note("epochs", length.epochs.map { .number($0) } ?? .null)
  }

  /// Layers as a list, or as a rule of first and step.
  public func callAsFunction(_ key: String, _ value: inout LayerSelection) throws {
    if let found = find(key) {
      if let mapping = found.node.mapping {
        let settings = Settings(
          section: "\(section).\(key)", layers: [Layer(file: found.file, mapping: mapping)])
        var first = 2
        var every = 4
        try settings("first", &first, in: 1...1000)
        try settings("every", &every, in: 1...1000)
        try settings.refuseUnknownKeys()
        value = .every(first: first, step: every)
      } else {
        let layers = try numbers(found, 1...1000)
        guard !layers.isEmpty, zip(layers, layers.dropFirst()).allSatisfy({ $0 < $1 }) else {
          throw wrong(found, expected: "layers in rising order, at least one")
        }
        value = .list(layers)
      }
    }
    note(key, value.setting)
  }

  // MARK: Look-up

  private struct Found {
    var key: String
    var file: String
    var node: Node
    var line: Int
  }

  private func find(_ key: String) -> Found? {
    for layer in layers.reversed() {
      if let found = find(key, in: layer) { return found }
    }
    return nil
  }

  private func given(_ key: String, in layer: Layer) -> Found? {
    find(key, in: layer).flatMap { isNull($0.node) ? nil : $0 }
  }

  private func find(_ key: String, in layer: Layer) -> Found? {
    for (name, node) in layer.mapping where name.scalar?.string == key {
      return Found(
        key: key, file: layer.file, node: node, line: name.mark?.line ?? node.mark?.line ?? 1)
    }
    return nil
  }

  private func note(_ key: String, _ value: SettingValue, _ role: SettingRole = .content) {
    values.append((key, value))
    if role == .execution { execution.insert(key) }
  }

  /// The text of an unquoted scalar.
  private func plain(_ node: Node) -> String? {
    guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else {
      return nil
    }
    return scalar.string
  }

  private func isNull(_ node: Node) -> Bool {
    guard let text = plain(node) else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(text)
  }

  private func whole(_ found: Found, or word: String? = nil) throws -> Int {
    guard let text = plain(found.node), let number = Int(text) else {
      throw wrong(found, expected: "a whole number" + (word.map { " or \($0)" } ?? ""))
    }
    return number
  }

  private func number(_ found: Found, in range: ClosedRange<Double>) throws -> Double {
    guard let text = plain(found.node), let number = Double(text), number.isFinite else {
      throw wrong(found, expected: "a number")
    }
    try check(number, text, range, found)
    return number
  }

  private func numbers(_ found: Found, _ range: ClosedRange<Int>) throws -> [Int] {
    let numbers = found.node.sequence?.map { plain($0).flatMap { Int($0) } }
    guard let numbers, !numbers.contains(nil) else {
      throw wrong(found, expected: "a list of whole numbers, as in [2, 6, 10]")
    }
    let list = numbers.compactMap { $0 }
    for number in list {
      try check(
        Double(number), "\(number)", Double(range.lowerBound)...Double(range.upperBound), found)
    }
    return list
  }

  // MARK: Refusals

  private func check(
    _ number: Double, _ text: String, _ range: ClosedRange<Double>, _ found: Found
  ) throws {
    guard !range.contains(number) else { return }
    func show(_ bound: Double) -> String {
      bound == bound.rounded() && abs(bound) < 1e15 ? String(Int(bound)) : "\(bound)"
    }
    let expected =
      range.upperBound >= Double(Settings.unbounded)
      ? "\(show(range.lowerBound)) or more"
      : "\(show(range.lowerBound)) to \(show(range.upperBound))"
    throw Failure(
      .badPreset, "\(section).\(found.key) is out of range",
      at: PresetDocument.place(found.file, found.line),
      expected: expected, found: text)
  }

  private func wrong(_ found: Found, expected: String) -> Failure {
    Failure(
      .badPreset, "\(section).\(found.key) has the wrong type",
      at: PresetDocument.place(found.file, found.line),
      expected: expected, found: Settings.describe(found.node))
  }

  static func describe(_ node: Node) -> String {
    switch node {
    case .scalar(let scalar):
      scalar.string.isEmpty ? "nothing" : JSON.quoted(String(scalar.string.prefix(60)))
    case .sequence(let sequence): "a list of \(sequence.count)"
    case .mapping: "a mapping"
    case .alias: "an alias"
    }
  }

  /// The upper bound of a range that has none.
  public static let unbounded = 1_000_000_000_000

  /// Throws for the first key, in the file's order, that no call declared.
  func refuseUnknownKeys() throws {
    let known = values.map(\.key)
    for layer in layers {
      for (name, _) in layer.mapping {
        let key = name.scalar?.string ?? "?"
        guard !known.contains(key) else { continue }
        throw unknownKey(
          key, of: "section \(section)", known: known,
          at: PresetDocument.place(layer.file, name.mark?.line))
      }
    }
  }
}

/// The refusal of a key that nothing reads, with the nearest known one.
func unknownKey(_ key: String, of owner: String, known: [String], at place: String) -> Failure {
  let advice =
    if let near = nearest(to: key, among: known) {
      "Did you mean \(near)?"
    } else {
      "Known keys: \(known.joined(separator: ", "))."
    }
  return Failure(.badPreset, "unknown key \(key) in \(owner)", at: place, advice: advice)
}
