import Foundation

/// What Python's text methods do, where the field's scoring depends on it.
enum Python {
  /// `str.isspace` of one code point.
  static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
  }

  /// `text.split()`.
  static func words(_ text: String) -> [String] {
    text.unicodeScalars.split(whereSeparator: isSpace).map { String($0) }
  }

  /// `text.strip()`.
  static func stripped(_ text: String) -> String {
    let scalars = text.unicodeScalars
    guard let first = scalars.firstIndex(where: { !isSpace($0) }),
      let last = scalars.lastIndex(where: { !isSpace($0) })
    else { return "" }
    return String(scalars[first...last])
  }

  /// `text.replace(old, new)` for every one of `scalars`.
  static func replacing(
    _ scalars: Set<Unicode.Scalar>, in text: String, with new: Unicode.Scalar?
  ) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if !scalars.contains(scalar) {
        result.append(scalar)
      } else if let new {
        result.append(new)
      }
    }
    return String(result)
  }

  /// Whether a code point is a digit to a regular expression's `\d`.
  static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.numericType == .decimal
  }

  /// `float(text)`; nil where it would raise.
  static func float(_ text: String) -> Double? {
    guard let plain = ascii(number: text) else { return nil }
    var rest = plain[...]
    if let sign = rest.first, sign == "+" || sign == "-" { rest.removeFirst() }
    let word = rest.lowercased()
    if ["inf", "infinity", "nan"].contains(word) {
      let value = word == "nan" ? Double.nan : .infinity
      return plain.hasPrefix("-") ? -value : value
    }
    // Swift reads hexadecimal numbers too, Python's float does not.
    guard let first = rest.first, first != "+", first != "-",
      rest.allSatisfy({ "0123456789.eE+-".contains($0) }),
      rest.contains(where: \.isNumber)
    else { return nil }
    var standard = String(rest)
    if standard.hasPrefix(".") { standard = "0" + standard }
    if let point = standard.firstIndex(of: "."),
      case let next = standard.index(after: point),
      next == standard.endIndex || !standard[next].isNumber
    {
      guard next == standard.endIndex || "eE".contains(standard[next]) else { return nil }
      standard.insert("0", at: next)
    }
    return Double(standard).map { plain.hasPrefix("-") ? -$0 : $0 }
  }

  /// `int(text)`; nil where it would raise, or the number is larger than 64 bits.
  static func int(_ text: String) -> Int? {
    guard let plain = ascii(number: text),
      plain.allSatisfy({ "0123456789+-".contains($0) })
    else { return nil }
    return Int(plain)
  }

  /// A number's text without space around it, its digits in ASCII, underscores between digits gone.
  private static func ascii(number text: String) -> String? {
    var plain = ""
    let scalars = Array(stripped(text).unicodeScalars)
    for (place, scalar) in scalars.enumerated() {
      if let value = scalar.properties.numericValue, isDigit(scalar) {
        plain += String(Int(value))
      } else if scalar == "_" {
        guard place > 0, place + 1 < scalars.count, isDigit(scalars[place - 1]),
          isDigit(scalars[place + 1])
        else { return nil }
      } else if scalar.isASCII {
        plain.unicodeScalars.append(scalar)
      } else {
        return nil
      }
    }
    return plain.isEmpty ? nil : plain
  }

  /// Whether `part` stands in `text`, code point by code point.
  static func holds(_ text: String, _ part: String) -> Bool {
    part.isEmpty || text.utf8.firstRange(of: part.utf8) != nil
  }

  /// Whether two texts are equal code point by code point: Swift's `==` takes more for equal.
  static func same(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }
}
