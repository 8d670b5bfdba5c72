/// The kinds of character that the pre-tokenizer tells apart.
enum CharacterClass: UInt8 {
  /// `\p{L}`
  case letter
  /// `\p{N}`
  case number
  /// `\r` and `\n`, which are white space too
  case newline
  /// the rest of `\s`
  case space
  /// everything else
  case other
}

/// The class of every Unicode scalar, looked up once.
enum CharacterClasses {
  /// Above this, no scalar is a letter, a number or white space.
  private static let limit: UInt32 = 0x3_4000

  private static let table: [UInt8] = (0..<limit).map { classify($0).rawValue }

  static func of(_ scalar: UInt32) -> CharacterClass {
    scalar < limit ? CharacterClass(rawValue: table[Int(scalar)]) ?? .other : .other
  }

  private static func classify(_ value: UInt32) -> CharacterClass {
    guard let scalar = Unicode.Scalar(value) else { return .other }
    if value == 0x0A || value == 0x0D { return .newline }
    let properties = scalar.properties
    if properties.isWhitespace { return .space }
    // The tokenizers library (0.23) knows Unicode 16: later letters are symbols to it.
    if let age = properties.age, age.major > 16 { return .other }
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
      return .letter
    case .decimalNumber, .letterNumber, .otherNumber:
      return .number
    default:
      return .other
    }
  }
}
