import Artifacts

extension JSON {
  /// What stands in objects of objects, under names joined by points, in the order in which people
  /// count. Lists and empty objects are values.
  func leaves(_ prefix: String = "") -> [(name: String, value: JSON)] {
    guard case .object(let members) = self, prefix.isEmpty || !members.isEmpty else {
      return [(prefix, self)]
    }
    return members.sorted { naturallyPrecedes($0.key, $1.key) }.flatMap { key, value in
      value.leaves(prefix.isEmpty ? key : "\(prefix).\(key)")
    }
  }

  /// As people read it: text without quotes.
  var plain: String { asString ?? text() }
}

/// Settings with a value here and another there.
struct SettingDifference {
  let name: String
  /// Nil where there is no such setting.
  let left: JSON?
  let right: JSON?

  /// - Parameter common: only those that both have
  static func all(
    _ left: [(name: String, value: JSON)], _ right: [(name: String, value: JSON)],
    common: Bool = false
  ) -> [SettingDifference] {
    let x = Dictionary(left.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    let y = Dictionary(right.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
    let names = common ? Set(x.keys).intersection(y.keys) : Set(x.keys).union(y.keys)
    return names.sorted(by: naturallyPrecedes).filter { x[$0] != y[$0] }
      .map { SettingDifference(name: $0, left: x[$0], right: y[$0]) }
  }
}
