import Failures

extension JSON {
  /// Parses UTF-8 JSON. Throws 65 with the line at fault. Nesting is limited, so that no input
  /// can exhaust the stack.
  /// - Parameters:
  ///   - firstLine: the number of the first line, for a value that stands within a file.
  ///   - rejectDuplicates: refuse an object that names a member twice; otherwise the last one
  ///     wins, as in Python.
  public init(
    parsing bytes: UnsafeRawBufferPointer, place: String, firstLine: Int = 1,
    rejectDuplicates: Bool = false
  ) throws {
    var parser = JSONParser(
      bytes: bytes, place: place, firstLine: firstLine, rejectDuplicates: rejectDuplicates)
    self = try parser.document()
  }

  public init(
    parsing bytes: [UInt8], place: String, firstLine: Int = 1, rejectDuplicates: Bool = false
  ) throws {
    self = try bytes.withUnsafeBytes {
      try JSON(
        parsing: $0, place: place, firstLine: firstLine, rejectDuplicates: rejectDuplicates)
    }
  }

  public init(parsing text: String, place: String) throws {
    self = try JSON(parsing: Array(text.utf8), place: place)
  }
}

private struct JSONParser {
  let bytes: UnsafeRawBufferPointer
  let place: String
  let firstLine: Int
  let rejectDuplicates: Bool
  var at = 0

  init(bytes: UnsafeRawBufferPointer, place: String, firstLine: Int, rejectDuplicates: Bool) {
    self.bytes = bytes
    self.place = place
    self.firstLine = firstLine
    self.rejectDuplicates = rejectDuplicates
  }

  mutating func document() throws -> JSON {
    // A byte-order mark is not JSON, but some editors leave one.
    if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { at = 3 }
    let result = try value(depth: 0)
    skipSpace()
    guard at == bytes.count else { throw failure("nothing after the value") }
    return result
  }

  func failure(_ expected: String) -> Failure {
    let line = firstLine + bytes.prefix(at).reduce(0) { $0 + ($1 == 10 ? 1 : 0) }
    let found: String
    if at >= bytes.count {
      found = "the end of the text"
    } else if bytes[at] >= 0x21, bytes[at] < 0x7F {
      found = "'\(Character(Unicode.Scalar(bytes[at])))'"
    } else {
      found = "byte 0x" + String(bytes[at], radix: 16)
    }
    return Failure(
      .badData, "invalid JSON", at: "\(place), line \(line)", expected: expected, found: found)
  }

  var byte: UInt8? { at < bytes.count ? bytes[at] : nil }

  mutating func skipSpace() {
    while at < bytes.count, bytes[at] == 32 || (9...10).contains(bytes[at]) || bytes[at] == 13 {
      at += 1
    }
  }

  mutating func value(depth: Int) throws -> JSON {
    guard depth < 128 else { throw failure("at most 128 levels of nesting") }
    skipSpace()
    switch byte {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"): return try number()
    case let digit? where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit):
      return try number()
    default: throw failure("a value")
    }
  }

  mutating func word(_ text: StaticString, _ value: JSON) throws -> JSON {
    let count = text.utf8CodeUnitCount
    for offset in 0..<count {
      guard at + offset < bytes.count, bytes[at + offset] == text.utf8Start[offset] else {
        throw failure("\(text)")
      }
    }
    at += count
    return value
  }

  mutating func object(depth: Int) throws -> JSON {
    at += 1
    var members: [String: JSON] = [:]
    skipSpace()
    if byte == UInt8(ascii: "}") {
      at += 1
      return .object(members)
    }
    while true {
      skipSpace()
      guard byte == UInt8(ascii: "\"") else { throw failure("a member's name in quotes") }
      let start = at
      let name = try string()
      skipSpace()
      guard byte == UInt8(ascii: ":") else { throw failure("':'") }
      at += 1
      if members.updateValue(try value(depth: depth + 1), forKey: name) != nil, rejectDuplicates {
        at = start
        throw failure("each name once, \"\(name)\" comes twice")
      }
      skipSpace()
      switch byte {
      case UInt8(ascii: ","): at += 1
      case UInt8(ascii: "}"):
        at += 1
        return .object(members)
      default: throw failure("',' or '}'")
      }
    }
  }

  mutating func array(depth: Int) throws -> JSON {
    at += 1
    var items: [JSON] = []
    skipSpace()
    if byte == UInt8(ascii: "]") {
      at += 1
      return .array(items)
    }
    while true {
      items.append(try value(depth: depth + 1))
      skipSpace()
      switch byte {
      case UInt8(ascii: ","): at += 1
      case UInt8(ascii: "]"):
        at += 1
        return .array(items)
      default: throw failure("',' or ']'")
      }
    }
  }

  mutating func number() throws -> JSON {
    let start = at
    var isInteger = true
    if byte == UInt8(ascii: "-") { at += 1 }
    try digits()
    let first = bytes[start] == UInt8(ascii: "-") ? start + 1 : start
    if bytes[first] == UInt8(ascii: "0"), at - first > 1 {
      at = start
      throw failure("a number without leading zeros")
    }
    if byte == UInt8(ascii: ".") {
      isInteger = false
      at += 1
      try digits()
    }
    if byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
      isInteger = false
      at += 1
      if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { at += 1 }
      try digits()
    }
    let text = String(decoding: bytes[start..<at], as: UTF8.self)
    if isInteger, let value = Int(text) { return .int(value) }
    guard let value = Double(text), value.isFinite else {
      at = start
      throw failure("a number that fits 64 bits")
    }
    return .number(value)
  }

  mutating func digits() throws {
    let start = at
    while let byte, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { at += 1 }
    guard at > start else { throw failure("a digit") }
  }

  mutating func string() throws -> String {
    at += 1
    let start = at
    while let byte, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
      at += 1
    }
    if byte == UInt8(ascii: "\"") {
      let text = try utf8(bytes[start..<at])
      at += 1
      return text
    }
    var unescaped = Array(bytes[start..<at])
    while true {
      guard let next = byte, next >= 0x20 else { throw failure("'\"' closing the string") }
      switch next {
      case UInt8(ascii: "\""):
        let text = try unescaped.withUnsafeBytes { try utf8($0[...]) }
        at += 1
        return text
      case UInt8(ascii: "\\"):
        at += 1
        try escape(into: &unescaped)
      default:
        unescaped.append(next)
        at += 1
      }
    }
  }

  func utf8(_ slice: Slice<UnsafeRawBufferPointer>) throws -> String {
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw failure("a string in UTF-8")
    }
    return text
  }

  mutating func escape(into out: inout [UInt8]) throws {
    guard let letter = byte else { throw failure("an escape") }
    at += 1
    switch letter {
    case UInt8(ascii: "n"): out.append(10)
    case UInt8(ascii: "t"): out.append(9)
    case UInt8(ascii: "r"): out.append(13)
    case UInt8(ascii: "b"): out.append(8)
    case UInt8(ascii: "f"): out.append(12)
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(letter)
    case UInt8(ascii: "u"):
      var code = try hex4()
      if (0xD800..<0xDC00).contains(code), byte == UInt8(ascii: "\\"), at + 1 < bytes.count,
        bytes[at + 1] == UInt8(ascii: "u")
      {
        let afterHigh = at
        at += 2
        let low = try hex4()
        if (0xDC00..<0xE000).contains(low) {
          code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        } else {
          at = afterHigh
        }
      }
      // A lone surrogate is no character: the replacement character stands for it.
      out.append(contentsOf: String(Unicode.Scalar(code) ?? "\u{FFFD}").utf8)
    default:
      at -= 1
      throw failure("one of the escapes \\n \\t \\r \\b \\f \\\" \\\\ \\/ \\u")
    }
  }

  mutating func hex4() throws -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let byte, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw failure("four hexadecimal digits")
      }
      code = code << 4 | UInt32(digit)
      at += 1
    }
    return code
  }
}
