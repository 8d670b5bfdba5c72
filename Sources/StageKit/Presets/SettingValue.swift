import Artifacts

/// One value of a preset as plain data: what a section becomes in a manifest.
public enum SettingValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int)
  case number(Double)
  case string(String)
  case list([SettingValue])
  /// Keys in the order in which the section declares them.
  case object([(key: String, value: SettingValue)])

  public static func == (left: SettingValue, right: SettingValue) -> Bool {
    left.json == right.json
  }

  /// The value as JSON text on one line. Equal settings give equal text.
  public var json: String {
    switch self {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .int(let value): String(value)
    // JSON has no word for what is not finite.
    case .number(let value): value.isFinite ? "\(value)" : "null"
    case .string(let value): JSON.quoted(value)
    case .list(let values): "[" + values.map(\.json).joined(separator: ", ") + "]"
    case .object(let pairs):
      "{"
        + pairs.map { "\(JSON.quoted($0.key)): \($0.value.json)" }
        .joined(separator: ", ") + "}"
    }
  }
}
