/// The alphabet of byte-level BPE (GPT-2's): every byte is written as one printable character, so
/// that vocabularies can be text. Printable Latin-1 bytes stand for themselves, the other 68 for
/// U+0100 and on.
enum ByteAlphabet {
  /// The character of each byte.
  static let characters: [UInt32] = {
    var next: UInt32 = 0x100
    return (0..<256).map { byte in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return UInt32(byte)
      default:
        next += 1
        return next - 1
      }
    }
  }()

  /// The byte of each character below U+0144, -1 for those that stand for none.
  private static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 0x144)
    for (byte, character) in characters.enumerated() { table[Int(character)] = Int16(byte) }
    return table
  }()

  /// The bytes that a vocabulary word stands for; nil where it has a character of no byte.
  static func bytes(of word: String) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(word.utf8.count)
    for scalar in word.unicodeScalars {
      guard scalar.value < 0x144, bytes[Int(scalar.value)] >= 0 else { return nil }
      result.append(UInt8(bytes[Int(scalar.value)]))
    }
    return result
  }
}
