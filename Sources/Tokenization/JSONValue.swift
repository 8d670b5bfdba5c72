import Failures

/// A JSON value as it was written: object keys keep their order.
///
/// A small parser of our own, because a user's file needs an error that names the line, input of
/// any depth must not overflow the stack, and a vocabulary of 150,000 words must load quickly.
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([Member])

  /// One key of an object with its value.
  public struct Member: Sendable, Equatable {
    public var key: String
    public var value: JSONValue

    public init(key: String, value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  /// The value under a key; the last one where the key stands twice, as in Python.
  public subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.last { $0.key == key }?.value
  }

  public var string: String? {
    if case .string(let value) = self { value } else { nil }
  }

  public var number: Double? {
    if case .number(let value) = self { value } else { nil }
  }

  /// The number, where it is a whole one that fits.
  public var integer: Int? {
    if case .number(let value) = self { Int(exactly: value) } else { nil }
  }

  public var bool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  public var array: [JSONValue]? {
    if case .array(let values) = self { values } else { nil }
  }

  public var members: [Member]? {
    if case .object(let members) = self { members } else { nil }
  }

  public var isNull: Bool { self == .null }

  /// What kind of value this is, for messages.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

extension JSONValue {
  /// Parses one JSON text.
  ///
  /// - Parameters:
  ///   - bytes: UTF-8; a byte order mark is skipped.
  ///   - place: the file, for messages.
  ///   - firstLine: the line on which the text starts within its file, counting from 1.
  /// - Throws: `Failure(.badData)` that names the line.
  public init(
    parsing bytes: some Collection<UInt8>, place: String, firstLine: Int = 1
  ) throws {
    let parsed = bytes.withContiguousStorageIfAvailable { buffer in
      Result { try JSONValue.parse(buffer, place: place, firstLine: firstLine) }
    }
    if let parsed {
      self = try parsed.get()
    } else {
      self = try Array(bytes).withUnsafeBufferPointer {
        try JSONValue.parse($0, place: place, firstLine: firstLine)
      }
    }
  }

  private static func parse(
    _ buffer: UnsafeBufferPointer<UInt8>, place: String, firstLine: Int
  ) throws -> JSONValue {
    var parser = JSONParser(bytes: buffer)
    do {
      return try parser.document()
    } catch let error as JSONSyntaxError {
      let line = firstLine + buffer[..<min(error.offset, buffer.count)].count { $0 == 0x0A }
      throw Failure(.badData, "not valid JSON: \(error.what)", at: "\(place), line \(line)")
    }
  }

  /// The value as JSON text on one line, keys in their order.
  public var text: String {
    switch self {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .number(let value):
      Int(exactly: value).map { String($0) } ?? (value.isFinite ? "\(value)" : "null")
    case .string(let value): JSONValue.quoted(value)
    case .array(let values): "[" + values.map(\.text).joined(separator: ", ") + "]"
    case .object(let members):
      "{"
        + members.map { JSONValue.quoted($0.key) + ": " + $0.value.text }.joined(separator: ", ")
        + "}"
    }
  }

  private static func quoted(_ value: String) -> String {
    var text = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      default:
        if scalar.value < 0x20 {
          let digits = String(scalar.value, radix: 16)
          text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        } else {
          text.unicodeScalars.append(scalar)
        }
      }
    }
    return text + "\""
  }
}

/// What is wrong with a JSON text, and at which byte.
struct JSONSyntaxError: Error {
  var what: String
  var offset: Int
}

/// A recursive-descent parser over bytes.
private struct JSONParser {
  let bytes: UnsafeBufferPointer<UInt8>
  var position = 0
  var depth = 0

  /// Deeper nesting than this is refused rather than risking the stack.
  static let deepest = 256

  init(bytes: UnsafeBufferPointer<UInt8>) {
    self.bytes = bytes
  }

  mutating func document() throws -> JSONValue {
    if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { position = 3 }
    let result = try value()
    skipSpace()
    if position < bytes.count { throw error("text after the end of the value") }
    return result
  }

  func error(_ what: String) -> JSONSyntaxError {
    JSONSyntaxError(what: what, offset: position)
  }

  /// What stands at the position, for messages.
  var here: String {
    guard position < bytes.count else { return "the end of the text" }
    let byte = bytes[position]
    return byte >= 0x20 && byte < 0x7F
      ? "'\(Character(Unicode.Scalar(byte)))'" : "byte \(byte)"
  }

  mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  mutating func value() throws -> JSONValue {
    skipSpace()
    guard position < bytes.count else { throw error("expected a value, found the end") }
    switch bytes[position] {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw error("expected a value, found \(here)")
    }
  }

  mutating func word(_ word: StaticString, _ value: JSONValue) throws -> JSONValue {
    let length = word.utf8CodeUnitCount
    guard bytes.count - position >= length,
      (0..<length).allSatisfy({ bytes[position + $0] == word.utf8Start[$0] })
    else { throw error("expected \(word)") }
    position += length
    return value
  }

  mutating func number() throws -> JSONValue {
    let start = position
    func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
    if bytes[position] == UInt8(ascii: "-") { position += 1 }
    var digits = 0
    while position < bytes.count {
      let byte = bytes[position]
      if isDigit(byte) {
        digits += 1
      } else if byte != UInt8(ascii: "."), byte != UInt8(ascii: "e"), byte != UInt8(ascii: "E"),
        byte != UInt8(ascii: "+"), byte != UInt8(ascii: "-")
      {
        break
      }
      position += 1
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    guard digits > 0, let value = Double(text) else {
      position = start
      throw error("expected a number, found \(text)")
    }
    return .number(value)
  }

  mutating func array() throws -> JSONValue {
    try enter()
    var values: [JSONValue] = []
    position += 1
    skipSpace()
    if position < bytes.count, bytes[position] == UInt8(ascii: "]") {
      position += 1
      depth -= 1
      return .array(values)
    }
    while true {
      values.append(try value())
      skipSpace()
      guard position < bytes.count else { throw error("an array that does not end") }
      if bytes[position] == UInt8(ascii: "]") { break }
      guard bytes[position] == UInt8(ascii: ",") else {
        throw error("expected ',' or ']' in an array, found \(here)")
      }
      position += 1
    }
    position += 1
    depth -= 1
    return .array(values)
  }

  mutating func object() throws -> JSONValue {
    try enter()
    var members: [JSONValue.Member] = []
    position += 1
    skipSpace()
    if position < bytes.count, bytes[position] == UInt8(ascii: "}") {
      position += 1
      depth -= 1
      return .object(members)
    }
    while true {
      skipSpace()
      guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
        throw error("expected a key in quotes, found \(here)")
      }
      let key = try string()
      skipSpace()
      guard position < bytes.count, bytes[position] == UInt8(ascii: ":") else {
        throw error("expected ':' after the key \"\(key)\", found \(here)")
      }
      position += 1
      members.append(.init(key: key, value: try value()))
      skipSpace()
      guard position < bytes.count else { throw error("an object that does not end") }
      if bytes[position] == UInt8(ascii: "}") { break }
      guard bytes[position] == UInt8(ascii: ",") else {
        throw error("expected ',' or '}' in an object, found \(here)")
      }
      position += 1
    }
    position += 1
    depth -= 1
    return .object(members)
  }

  mutating func enter() throws {
    depth += 1
    if depth > JSONParser.deepest { throw error("nested deeper than \(JSONParser.deepest)") }
  }

  mutating func string() throws -> String {
    position += 1
    let start = position
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        let text = try checked(bytes[start..<position])
        position += 1
        return text
      }
      if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
      if byte < 0x20 { throw error("a control character inside a string, found \(here)") }
      position += 1
    }
    throw error("a string that does not end")
  }

  func checked(_ slice: some Sequence<UInt8>) throws -> String {
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw error("a string that is not UTF-8")
    }
    return text
  }

  /// The rest of a string whose first escape was reached.
  mutating func escapedString(from start: Int) throws -> String {
    var text = Array(bytes[start..<position])
    while position < bytes.count {
      let byte = bytes[position]
      switch byte {
      case UInt8(ascii: "\""):
        let result = try checked(text)
        position += 1
        return result
      case UInt8(ascii: "\\"):
        position += 1
        try escape(into: &text)
      case 0..<0x20:
        throw error("a control character inside a string, found \(here)")
      default:
        text.append(byte)
        position += 1
      }
    }
    throw error("a string that does not end")
  }

  mutating func escape(into text: inout [UInt8]) throws {
    guard position < bytes.count else { throw error("a string that does not end") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hexadecimal()
      if code >= 0xD800, code < 0xDC00, bytes.count - position >= 6,
        bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u")
      {
        let mark = position
        position += 2
        let low = try hexadecimal()
        if low >= 0xDC00, low < 0xE000 {
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        } else {
          position = mark
        }
      }
      // A surrogate without its other half is no character; Swift's strings cannot hold it.
      let scalar = Unicode.Scalar(code) ?? "\u{FFFD}"
      text.append(contentsOf: UTF8.encode(scalar).map { Array($0) } ?? [])
    default:
      position -= 1
      throw error("an unknown escape, found \(here) after a backslash")
    }
  }

  mutating func hexadecimal() throws -> UInt32 {
    guard bytes.count - position >= 4,
      let text = String(validating: bytes[position..<position + 4], as: UTF8.self),
      text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
      let code = UInt32(text, radix: 16)
    else { throw error("expected four hexadecimal digits after \\u") }
    position += 4
    return code
  }
}
