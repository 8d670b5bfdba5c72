/// A JSON value. Objects are written with sorted keys, so equal values give equal bytes.
public enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int)
  case number(Double)
  case string(String)
  case array([JSON])
  case object([String: JSON])
}

// MARK: Access

extension JSON {
  /// The member `key` of an object, nil for anything else.
  public subscript(_ key: String) -> JSON? {
    if case .object(let members) = self { members[key] } else { nil }
  }

  public var asBool: Bool? { if case .bool(let value) = self { value } else { nil } }

  /// An integer, also one written as `3.0`.
  public var asInt: Int? {
    switch self {
    case .int(let value): value
    case .number(let value): Int(exactly: value)
    default: nil
    }
  }

  public var asDouble: Double? {
    switch self {
    case .int(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  public var asString: String? { if case .string(let value) = self { value } else { nil } }
  public var asArray: [JSON]? { if case .array(let value) = self { value } else { nil } }
  public var asObject: [String: JSON]? { if case .object(let value) = self { value } else { nil } }

  /// What the value is, in words, for messages.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .int: "an integer"
    case .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

// MARK: Literals

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
  ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int) { self = .int(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(nilLiteral: ()) { self = .null }
  public init(dictionaryLiteral elements: (String, JSON)...) {
    self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
  }
}

// MARK: Writing

extension JSON {
  /// The value as UTF-8 text with sorted keys. `pretty` puts members on lines of their own and
  /// ends with a line feed. Numbers that JSON cannot hold (infinite, NaN) become null.
  public func text(pretty: Bool = false) -> String {
    var out = ""
    write(to: &out, indent: pretty ? 0 : nil)
    if pretty { out += "\n" }
    return out
  }

  private func write(to out: inout String, indent: Int?) {
    switch self {
    case .null: out += "null"
    case .bool(let value): out += value ? "true" : "false"
    case .int(let value): out += String(value)
    case .number(let value): out += value.isFinite ? "\(value)" : "null"
    case .string(let value): JSON.quote(value, to: &out)
    case .array(let items):
      // Short lists of plain values stay on one line: shapes, layer numbers.
      let inline = indent == nil || items.allSatisfy { $0.asArray == nil && $0.asObject == nil }
      JSON.list(items, "[", "]", &out, inline ? nil : indent) { item, out, deeper in
        item.write(to: &out, indent: deeper)
      }
    case .object(let members):
      JSON.list(members.sorted { $0.key < $1.key }, "{", "}", &out, indent) { member, out, deeper in
        JSON.quote(member.key, to: &out)
        out += indent == nil ? ":" : ": "
        member.value.write(to: &out, indent: deeper)
      }
    }
  }

  private static func list<Item>(
    _ items: [Item], _ open: String, _ close: String, _ out: inout String, _ indent: Int?,
    _ write: (Item, inout String, Int?) -> Void
  ) {
    out += open
    let inner = indent.map { $0 + 2 }
    for (number, item) in items.enumerated() {
      if number > 0 { out += inner == nil && open == "[" ? ", " : "," }
      if let inner { out += "\n" + String(repeating: " ", count: inner) }
      write(item, &out, inner)
    }
    if let indent, !items.isEmpty { out += "\n" + String(repeating: " ", count: indent) }
    out += close
  }

  /// A text as a JSON string, quotation marks included.
  public static func quoted(_ text: String) -> String {
    var out = ""
    quote(text, to: &out)
    return out
  }

  private static func quote(_ text: String, to out: inout String) {
    out += "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case let control where control.value < 0x20:
        let hex = String(control.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: out.unicodeScalars.append(scalar)
      }
    }
    out += "\""
  }
}
