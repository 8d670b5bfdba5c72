/// Splits text into the words that byte pairs are merged within, as Qwen2's pattern does:
///
///     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*
///     |\s*[\r\n]+|\s+(?!\S)|\s+
///
/// Written by hand over UTF-8. Each alternative is tried in the pattern's order; every character
/// falls into one of them, so the words cover the text.
struct PreTokenizer {
  /// The pattern that this type stands for, as tokenizer.json spells it.
  static let pattern =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"#
    + #"|\s*[\r\n]+|\s+(?!\S)|\s+"#

  let text: UnsafeBufferPointer<UInt8>

  /// The class of the character at a position and its length in bytes.
  private func character(_ position: Int) -> (kind: CharacterClass, length: Int) {
    let (scalar, length) = UTF8Text.scalar(text, position)
    return (CharacterClasses.of(scalar), length)
  }

  /// The end of the word that starts at a position before the end of the text.
  func end(from start: Int) -> Int {
    if text[start] == UInt8(ascii: "'"), let end = contraction(start) { return end }
    let first = character(start)
    let second = start + first.length
    switch first.kind {
    case .letter: return run(of: .letter, from: second)
    case .number: return second
    case .space, .other:
      if second < text.count, character(second).kind == .letter {
        return run(of: .letter, from: second)
      }
    case .newline: break
    }
    if first.kind == .other { return symbols(from: second) }
    if text[start] == 0x20, second < text.count, character(second).kind == .other {
      return symbols(from: second)
    }
    return space(start)
  }

  private func run(of kind: CharacterClass, from start: Int) -> Int {
    var position = start
    while position < text.count {
      let next = character(position)
      if next.kind != kind { break }
      position += next.length
    }
    return position
  }

  private func symbols(from start: Int) -> Int {
    run(of: .newline, from: run(of: .other, from: start))
  }

  /// White space: up to its last line break; else all at the end of the text; else all but the
  /// last character, which goes with the next word; else that single character.
  private func space(_ start: Int) -> Int {
    var position = start
    var last = start
    var afterNewline: Int?
    while position < text.count {
      let next = character(position)
      guard next.kind == .space || next.kind == .newline else { break }
      last = position
      position += next.length
      if next.kind == .newline { afterNewline = position }
    }
    if let afterNewline { return afterNewline }
    return position == text.count || last == start ? position : last
  }

  private func contraction(_ start: Int) -> Int? {
    guard start + 1 < text.count else { return nil }
    let first = text[start + 1] | 0x20
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      if text[start + 1] < 0x80 { return start + 2 }
    default: break
    }
    // Case folding makes the long s (U+017F) an s as well.
    if start + 2 < text.count, text[start + 1] == 0xC5, text[start + 2] == 0xBF { return start + 3 }
    guard start + 2 < text.count, text[start + 1] < 0x80, text[start + 2] < 0x80 else { return nil }
    switch (first, text[start + 2] | 0x20) {
    case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
      (UInt8(ascii: "l"), UInt8(ascii: "l")):
      return start + 3
    default: return nil
    }
  }
}

/// Reading scalars out of UTF-8 that is known to be valid.
enum UTF8Text {
  @inline(__always)
  static func scalar(_ text: UnsafeBufferPointer<UInt8>, _ position: Int) -> (UInt32, Int) {
    let lead = UInt32(text[position])
    if lead < 0x80 { return (lead, 1) }
    func tail(_ offset: Int) -> UInt32 {
      let index = position + offset
      return index < text.count ? UInt32(text[index]) & 0x3F : 0
    }
    if lead < 0xE0 { return ((lead & 0x1F) << 6 | tail(1), min(2, text.count - position)) }
    if lead < 0xF0 {
      return ((lead & 0x0F) << 12 | tail(1) << 6 | tail(2), min(3, text.count - position))
    }
    return (
      (lead & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3),
      min(4, text.count - position)
    )
  }
}
