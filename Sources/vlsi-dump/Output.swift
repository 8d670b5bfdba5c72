import Artifacts
import Foundation
import StageKit

/// Standard output: results and nothing else.
enum Output {
  static func write(_ bytes: [UInt8]) { StandardOutput.show(bytes) }
  static func write(_ text: String) { StandardOutput.show(text.utf8) }
  static func line(_ text: String = "") { write(text + "\n") }
  static func json(_ value: JSON) { write(value.text(pretty: true)) }
  static let isTerminal = isatty(STDOUT_FILENO) == 1
}

extension Table {
  func show() { for line in lines { Output.line(line) } }
}

/// Numbers as people read them.
enum Human {
  /// 1,234,567.
  static func count(_ value: Int) -> String {
    var digits = Array(String(value.magnitude))
    var at = digits.count - 3
    while at > 0 {
      digits.insert(",", at: at)
      at -= 3
    }
    return (value < 0 ? "-" : "") + String(digits)
  }

  /// 512 B, 3.2 kB, 15.1 GB: powers of ten, three digits.
  static func bytes(_ value: Int) -> String {
    if value < 1000 { return "\(value) B" }
    var size = Double(value)
    var unit = 0
    let units = ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5, unit < units.count - 1 {
      size /= 1000
      unit += 1
    }
    return String(format: size < 9.995 ? "%.2f" : size < 99.95 ? "%.1f" : "%.0f", size)
      + " " + units[unit]
  }

  /// Four significant digits; whole numbers as they are.
  static func number(_ value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    if value == value.rounded(), abs(value) < 1e7 { return String(Int(value)) }
    return String(format: "%.4g", value)
  }

  static func plural(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    "\(Human.count(count)) \(count == 1 ? one : many ?? one + "s")"
  }

  static func shape(_ shape: [Int]) -> String {
    "[" + shape.map(String.init).joined(separator: ", ") + "]"
  }

  /// One line of at most `limit` characters, control characters written as escapes.
  static func line(_ text: String, limit: Int = 100) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        result += "\\u{\(String(scalar.value, radix: 16))}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result.count > limit ? String(result.prefix(limit - 1)) + "…" : result
  }
}
