import Foundation
import TestSupport
import Testing

@testable import Tokenization

/// The true vocabulary against the tokenizers library, with the files and texts that
/// Tests/Goldens/true_tokenizer.py makes. All of it, with the two speeds:
///
///     VLSI_PYTHON=… VLSI_TOKENIZER_LINES=100000 swift test … --filter TrueVocabulary
@Suite(
  .enabled(
    if: Python.has("tokenizers", "dashscope"),
    "needs Python with tokenizers and dashscope: `make test` provides it as VLSI_PYTHON"))
struct TrueVocabularyTests {
  /// How many lines the speeds are compared on; a few lines say nothing about speed.
  private static let manyLines = 100_000

  private let lines =
    Int(
      ProcessInfo.processInfo.environment["VLSI_TOKENIZER_LINES"] ?? "") ?? 3000
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
  }

  private func script(_ what: String, _ more: String...) throws -> String {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Goldens/true_tokenizer.py").path
    let (status, text) = Python.run([path, what, folder.path] + more)
    try #require(status == 0, "\(text)")
    return text
  }

  /// The parts of a file: a length of four bytes before each.
  private func parts(_ name: String) throws -> [ArraySlice<UInt8>] {
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder(name))))
    var result: [ArraySlice<UInt8>] = []
    var start = 0
    while start < bytes.count {
      let count = bytes[start..<start + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
      result.append(bytes[start + 4..<start + 4 + count])
      start += 4 + count
    }
    return result
  }

  private func ids(_ bytes: ArraySlice<UInt8>) -> [Int32] {
    stride(from: bytes.startIndex, to: bytes.endIndex, by: 4).map { start in
      bytes[start..<start + 4].reversed().reduce(0) { $0 << 8 | Int32($1) }
    }
  }

  private func seconds(_ body: () throws -> Void) rethrows -> Double {
    try ContinuousClock().measure { try body() } / .seconds(1)
  }

  @Test("Ids and text equal the tokenizers library's on every line, in no more time on one thread")
  func equalsReference() throws {
    _ = try script("make")
    let report = try script("expect", "--lines", "\(lines)")
    let reference = try JSONDecoder().decode(
      [String: Double].self, from: Data((report.split(separator: "\n").last ?? "").utf8))
    var loaded: Tokenizer?
    let loading = try seconds { loaded = try Tokenizer(directory: folder.path) }
    let tokenizer = try #require(loaded)
    #expect(tokenizer.vocabularySize == 151_657)
    let parts = try parts("expected.bin")
    #expect(parts.count == 3 * lines)
    let texts = stride(from: 0, to: parts.count, by: 3).map {
      String(decoding: parts[$0], as: UTF8.self)
    }

    var found: [[Int32]] = []
    let took = (0..<3).map { _ in seconds { found = texts.map { tokenizer.encode($0) } } }
    for (index, text) in texts.enumerated() {
      let expected = ids(parts[3 * index + 1])
      let decoded = String(decoding: parts[3 * index + 2], as: UTF8.self)
      guard found[index] != expected || !same(tokenizer.decode(expected), decoded) else { continue }
      let scalars = text.unicodeScalars.map { String($0.value, radix: 16) }
      Issue.record("\(scalars): found \(found[index]), expected \(expected)")
      return
    }
    // Decoding gives the text back, in the form of Unicode that it was encoded in.
    #expect(zip(texts, found).allSatisfy { same(tokenizer.decode($1), Normalization.nfc($0)) })
    try expectDecoding(tokenizer)

    guard lines >= TrueVocabularyTests.manyLines else { return }
    let bytes = Double(texts.reduce(0) { $0 + $1.utf8.count })
    let theirs = try #require(reference["seconds"])
    let ours = took.min() ?? .infinity
    print(
      """
      \(lines) lines of \(Int(bytes)) bytes, one thread: \(bytes / ours / 1e6) MB/s \
      (first pass \(bytes / took[0] / 1e6)), the tokenizers library \(bytes / theirs / 1e6) MB/s; \
      loaded in \(loading) s, the library in \(reference["loading"] ?? 0) s
      """)
    #expect(ours <= theirs)
  }

  /// Ids drawn at random: broken characters, control tokens.
  private func expectDecoding(_ tokenizer: Tokenizer) throws {
    let parts = try parts("decoded.bin")
    #expect(parts.count >= 600)
    for start in stride(from: 0, to: parts.count, by: 3) {
      let ids = ids(parts[start])
      #expect(Array(tokenizer.decode(ids).utf8) == Array(parts[start + 1]))
      #expect(Array(tokenizer.decode(ids, skipSpecialTokens: true).utf8) == Array(parts[start + 2]))
    }
  }

  /// Equal by scalars: strings are equal already where they look alike.
  private func same(_ left: String, _ right: String) -> Bool {
    left.utf8.elementsEqual(right.utf8)
  }
}
