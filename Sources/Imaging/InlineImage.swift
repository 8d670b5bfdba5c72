import Failures
import Foundation

/// An image file within a text: a `data:` URL, or base64 alone.
public enum InlineImage {
  /// What the base64 of the formats that are read begins with: PNG, JPEG, GIF, WebP.
  private static let beginnings = ["iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR"]
  /// No path is longer.
  private static let longestPath = 4096

  /// Whether a text that may be a path is an image's bytes instead.
  public static func stands(in text: String) -> Bool {
    if text.begins(bytes: "data:", anyCase: true) { return true }
    guard text.utf8.count >= 64 else { return false }
    return text.utf8.count > longestPath
      || beginnings.contains { text.begins(bytes: $0) } && digits(text.utf8) != nil
  }

  /// The bytes of a `data:` URL or of base64 alone.
  ///
  /// White space and line breaks do not count, nor does padding that is left out; the digits are
  /// those of either alphabet, and in a URL any byte may be written as `%2B`.
  ///
  /// - Throws: `Failure(.badData)` for anything else.
  public static func bytes(_ text: String, place: String) throws -> [UInt8] {
    guard text.begins(bytes: "data:", anyCase: true) else {
      return try decode(text.utf8, place)
    }
    guard let comma = text.utf8.firstIndex(of: UInt8(ascii: ",")) else {
      throw Failure(
        .badData, "the data: URL has no comma", at: place, found: readable(text, most: 24))
    }
    let head = text.utf8[..<comma].filter { !isSpace($0) }
    guard String(decoding: head, as: UTF8.self).lowercased().hasSuffix(";base64") else {
      throw Failure(
        .badData, "the data: URL is not base64", at: place, expected: "data:image/png;base64,…",
        found: readable(String(decoding: head, as: UTF8.self), most: 40))
    }
    return try decode(unescaped(text.utf8[text.utf8.index(after: comma)...]), place)
  }

  private static func decode(_ text: some Collection<UInt8>, _ place: String) throws -> [UInt8] {
    guard let digits = digits(text), !digits.isEmpty, let data = Data(base64Encoded: Data(digits))
    else {
      throw Failure(
        .badData, "the image is not base64", at: place,
        found: readable(String(decoding: text.prefix(24), as: UTF8.self), most: 24))
    }
    return [UInt8](data)
  }

  /// The digits alone in the usual alphabet, padded; nil where something else stands among them.
  private static func digits(_ text: some Collection<UInt8>) -> [UInt8]? {
    // A text's bytes one by one take ten times as long.
    text.withContiguousStorageIfAvailable(standard) ?? Array(text).withUnsafeBufferPointer(standard)
  }

  private static func standard(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    var padding = 0
    var isSound = true
    let digits = [UInt8](unsafeUninitializedCapacity: text.count + 3) { digits, count in
      for byte in text where !isSpace(byte) {
        var digit = byte
        switch byte {
        case UInt8(ascii: "="):
          padding += 1
          continue
        case UInt8(ascii: "-"): digit = UInt8(ascii: "+")
        case UInt8(ascii: "_"): digit = UInt8(ascii: "/")
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "+"), UInt8(ascii: "/"): break
        default: isSound = false
        }
        guard isSound, padding == 0 else {
          isSound = false
          return
        }
        digits[count] = digit
        count += 1
      }
      guard count % 4 != 1 else { return }
      while count % 4 != 0 {
        digits[count] = UInt8(ascii: "=")
        count += 1
      }
    }
    return isSound && padding <= 3 && digits.count % 4 == 0 ? digits : nil
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
  }

  private static func unescaped(_ text: Substring.UTF8View) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var rest = text
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"),
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      {
        result.append(value)
        rest = rest.dropFirst(2)
      } else {
        result.append(byte)
      }
    }
    return result
  }
}
