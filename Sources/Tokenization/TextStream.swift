/// Text from tokens as they come, whole characters only: a token may end within one, and its bytes
/// then wait for the rest. All that it gives together is `Tokenizer.decode` of all tokens.
public struct TextStream {
  private let tokenizer: Tokenizer
  private let skipsSpecialTokens: Bool
  private var pending: [UInt8] = []

  public init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = false) {
    self.tokenizer = tokenizer
    skipsSpecialTokens = skipSpecialTokens
  }

  /// The text that is certain once this token has come.
  public mutating func add(_ token: Int32) -> String {
    if skipsSpecialTokens, tokenizer.isSpecial(token) { return "" }
    pending += tokenizer.bytes(of: token)
    let whole = pending.count - TextStream.unfinished(pending)
    defer { pending.removeFirst(whole) }
    return String(decoding: pending[..<whole], as: UTF8.self)
  }

  /// What is left when no token comes any more: bytes that are no character become U+FFFD.
  public mutating func finish() -> String {
    defer { pending = [] }
    return String(decoding: pending, as: UTF8.self)
  }

  /// How many bytes at the end begin a character and lack its rest (Unicode, table 3-7).
  private static func unfinished(_ bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let tail = bytes.suffix(length)
      guard let lead = tail.first, lead & 0xC0 != 0x80 else { continue }
      let size =
        switch lead {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 1
        }
      guard length < size else { return 0 }
      // After some leads the second byte has a narrower range; outside it nothing is waited for.
      let second: ClosedRange<UInt8> =
        switch lead {
        case 0xE0: 0xA0...0xBF
        case 0xED: 0x80...0x9F
        case 0xF0: 0x90...0xBF
        case 0xF4: 0x80...0x8F
        default: 0x80...0xBF
        }
      return tail.dropFirst().first.map(second.contains) ?? true ? length : 0
    }
    return 0
  }
}
