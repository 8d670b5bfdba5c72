import Foundation

/// Unicode normalisation form C, skipped where the text cannot change under it.
enum Normalization {
  /// Whether every scalar belongs to a range that normalisation leaves alone whatever its
  /// neighbours: below the first combining mark, or in a block without marks and singletons.
  static func isInert(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    var position = 0
    while position < text.count {
      if text[position] < 0xCC {
        // One byte, or two bytes below U+0300.
        position += 1
        continue
      }
      let (scalar, length) = UTF8Text.scalar(text, position)
      guard isInert(scalar) else { return false }
      position += length
    }
    return true
  }

  private static func isInert(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0..<0x300, 0x400...0x482, 0x48A...0x52F, 0x2002...0x20CF, 0x3000...0x3029,
      0x3030...0x3098, 0x309B...0x30FF, 0x4E00...0x9FFF, 0xAC00...0xD7A3, 0xFF00...0xFFEF,
      0x1F300...0x1FAFF:
      true
    default: false
    }
  }

  static func nfc(_ text: String) -> String {
    text.precomposedStringWithCanonicalMapping
  }
}
