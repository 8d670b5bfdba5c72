/// A text as a message shows it: on one line, cut to a readable length. Cut by scalars, for a
/// single character may be of any length.
///
/// - Parameter most: scalars that are kept; of a longer text the message says how long it is.
public func readable(_ text: String, most: Int = 120) -> String {
  var shown = ""
  var rest = text.unicodeScalars[...]
  for _ in 0..<most {
    guard let scalar = rest.popFirst() else { break }
    switch scalar {
    case "\n": shown += "\\n"
    case "\r": shown += "\\r"
    case "\t": shown += "\\t"
    case let control where control.value < 0x20 || (0x7F...0x9F).contains(control.value):
      shown += "\\u{\(String(control.value, radix: 16))}"
    default: shown.unicodeScalars.append(scalar)
    }
  }
  return rest.isEmpty ? shown : "\(shown)… (\(text.utf8.count) bytes)"
}

extension StringProtocol {
  /// Whether this text's bytes hold those of another. `contains` compares characters instead: to it
  /// `<image>` with a combining mark behind holds no `<image>`, though a tokenizer finds one.
  public func holds(bytes other: String) -> Bool {
    utf8.firstRange(of: other.utf8) != nil
  }

  /// Whether this text's bytes begin with those of another, or, where ASCII's case does not count,
  /// with the same letters.
  public func begins(bytes other: String, anyCase: Bool = false) -> Bool {
    guard anyCase else { return utf8.starts(with: other.utf8) }
    func lower(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
    return utf8.lazy.map(lower).starts(with: other.utf8.lazy.map(lower))
  }
}

/// A text that equals another only byte by byte. Swift's `String` takes canonically equal ones,
/// such as `é` in one scalar or in two, for the same; file names and ids are not.
public struct ExactText: Sendable, Hashable, Comparable {
  public let text: String

  public init(_ text: String) { self.text = text }

  public static func == (left: Self, right: Self) -> Bool {
    left.text.utf8.elementsEqual(right.text.utf8)
  }

  public static func < (left: Self, right: Self) -> Bool {
    left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
  }

  public func hash(into hasher: inout Hasher) {
    for byte in text.utf8 { hasher.combine(byte) }
    hasher.combine(0xFF as UInt8)
  }
}
