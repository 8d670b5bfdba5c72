import Foundation
import Testing

@testable import Tokenization

/// Streamed text is the decoded whole, and never holds half a character.
@Suite struct TextStreamTests {
  private let tokenizer: Tokenizer
  /// The token of each byte.
  private let bytes: [Int32]

  init() throws {
    tokenizer = try Tokenizer(directory: Goldens.folder + "/checkpoint")
    var bytes = [Int32](repeating: -1, count: 256)
    for id in 0..<Int32(tokenizer.vocabularySize) {
      let content = tokenizer.bytes(of: id)
      if content.count == 1, !tokenizer.isSpecial(id) { bytes[Int(content[0])] = id }
    }
    self.bytes = bytes
    try #require(bytes.allSatisfy { $0 >= 0 })
  }

  private func stream(_ ids: [Int32]) -> [String] {
    var stream = TextStream(tokenizer, skipSpecialTokens: true)
    return ids.map { stream.add($0) } + [stream.finish()]
  }

  @Test func byteByByte() {
    let text = "aé–語🧑‍🚀z"
    let pieces = stream(text.utf8.map { bytes[Int($0)] })
    #expect(pieces.joined() == text)
    // A character comes with its last byte, at once.
    #expect(pieces.filter { !$0.isEmpty } == text.unicodeScalars.map { String($0) })
    #expect(pieces.allSatisfy { !$0.contains("\u{FFFD}") })
  }

  /// Whatever the bytes: cut short, overlong, surrogates, beyond Unicode. All texts of up to four of
  /// bytes that stand for their kinds.
  @Test func anyBytes() {
    let kinds: [UInt8] = [0x41, 0x80, 0x90, 0xA0, 0xC0, 0xC3, 0xE0, 0xE4, 0xED, 0xF0, 0xF4, 0xF8]
    var texts: [[UInt8]] = [[]], wrong: [[UInt8]] = []
    for _ in 1...4 {
      texts = texts.flatMap { text in kinds.map { text + [$0] } }
      wrong += texts.filter { text in
        let ids = text.map { bytes[Int($0)] }
        return stream(ids).joined() != tokenizer.decode(ids)
      }
    }
    #expect(wrong.isEmpty, "\(wrong.count), such as \(wrong.prefix(3))")
  }

  @Test func specialTokensSayNothing() throws {
    let end = try #require(tokenizer.id(ofToken: "<|im_end|>"))
    #expect(stream([bytes[0xC3], end, bytes[0xA9]]).joined() == "é")
  }
}
