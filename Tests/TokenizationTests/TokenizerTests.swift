import Failures
import Artifacts
import Foundation
import TestSupport
import Testing

@testable import Tokenization

@Suite struct TokenizerTests {
  let tokenizer: Tokenizer

  init() throws {
    tokenizer = try Tokenizer(directory: Goldens.folder + "/checkpoint")
  }

  @Test("Ids equal the tokenizers library's, control tokens recognised or not")
  func idsEqualReference() throws {
    let cases = try #require(try Goldens.json("tokens.json")["encode"]?.asArray)
    #expect(cases.count > 200)
    for example in cases {
      let text = try #require(example["text"]?.asString)
      let ids = Goldens.ids(example["ids"])
      #expect(tokenizer.encode(text) == ids, "\(text.debugDescription)")
      let plain = example["plain"].map { Goldens.ids($0) } ?? ids
      #expect(tokenizer.encode(text, allowSpecial: false) == plain, "\(text.debugDescription)")
    }
  }

  @Test("Decoding equals the tokenizers library's, broken characters included")
  func decodingEqualsReference() throws {
    let cases = try #require(try Goldens.json("tokens.json")["decode"]?.asArray)
    for example in cases {
      let ids = Goldens.ids(example["ids"])
      #expect(tokenizer.decode(ids) == example["text"]?.asString)
      #expect(tokenizer.decode(ids, skipSpecialTokens: true) == example["skipped"]?.asString)
    }
  }

  @Test("The bytes of tokens join to the text they were made from")
  func bytesJoinToText() {
    let text = "naïve 中文字符 👩‍👩‍👧 <|im_end|>"
    let bytes = tokenizer.encode(text).flatMap { tokenizer.bytes(of: $0) }
    #expect(String(decoding: bytes, as: UTF8.self) == text)
    #expect(tokenizer.bytes(of: -1).isEmpty)
    #expect(tokenizer.bytes(of: 1_000_000).isEmpty)
    #expect(tokenizer.decode([-5, 1_000_000]).isEmpty)
  }

  @Test("A long word merges by the heap as it merges by scanning, and in far less than n² time")
  func longWords() throws {
    let ids = tokenizer.encode(String(repeating: "ab", count: 200_000))
    #expect(tokenizer.decode(ids).utf8.count == 400_000)
    // Words around the length where the method changes.
    for count in 40...56 {
      let word = String((0..<count).map { "theredcircl"[$0 * $0 % 11] })
      var scanned: [Int32] = []
      var heaped: [Int32] = []
      var merger = BytePairMerger()
      Array(word.utf8).withUnsafeBufferPointer { bytes in
        merger.mergeByScan(bytes, tokenizer.model, to: &scanned)
        merger.mergeByHeap(bytes, tokenizer.model, to: &heaped)
      }
      #expect(scanned == heaped)
    }
  }

  @Test("Every thread gets the same ids, whatever the caches hold")
  func threadsAgree() async throws {
    let cases = try #require(try Goldens.json("tokens.json")["encode"]?.asArray)
    await withTaskGroup(of: Bool.self) { group in
      for worker in 0..<8 {
        group.addTask { [tokenizer] in
          (0..<cases.count).allSatisfy { index in
            let example = cases[(index * 7 + worker * 13) % cases.count]
            return tokenizer.encode(example["text"]?.asString ?? "") == Goldens.ids(example["ids"])
          }
        }
      }
      for await agrees in group { #expect(agrees) }
    }
  }

  @Test("Names of tokens: added ones and words of the vocabulary, by their text")
  func names() {
    #expect(tokenizer.id(ofToken: "<|im_end|>").map { tokenizer.isSpecial($0) } == true)
    #expect(tokenizer.id(ofToken: "a") == tokenizer.encode("a").first)
    #expect(tokenizer.id(ofToken: "<|nothing|>") == nil)
    #expect(tokenizer.unwritable(in: "anything é 中") == nil)
  }

  @Test("Merges as strings and as pairs, keys in any order: same ids, same fingerprint")
  func formattingDoesNotMatter() throws {
    let root = try Goldens.json("checkpoint/tokenizer.json")
    let model = try #require(root["model"])
    let merges = try #require(model["merges"]?.asArray)
    let strings = merges.map { merge -> JSON in
      let pair = merge.asArray ?? []
      return pair.isEmpty ? merge : .string(pair.compactMap(\.asString).joined(separator: " "))
    }
    let folder = try TemporaryFolder()
    let other = root.setting("model", model.setting("merges", .array(strings)))
    try folder.write(other.text(), to: "tokenizer.json")
    let second = try Tokenizer(directory: folder.path)
    #expect(second.fingerprint == tokenizer.fingerprint)
    #expect(second.encode("the red circle") == tokenizer.encode("the red circle"))
    let fewer = root.setting("model", model.setting("merges", .array(Array(merges.dropLast()))))
    try folder.write(fewer.text(), to: "tokenizer.json")
    #expect(try Tokenizer(directory: folder.path).fingerprint != tokenizer.fingerprint)
  }

  @Test("A byte that the vocabulary lacks is dropped, and can be found beforehand")
  func missingBytes() throws {
    let root = try Goldens.json("checkpoint/tokenizer.json")
    let folder = try TemporaryFolder()
    let model: JSON = ["type": "BPE", "vocab": ["a": 0, "b": 1, "Ġ": 2], "merges": []]
    try folder.write(
      root.setting("model", model).setting("added_tokens", .array([])).text(), to: "tokenizer.json")
    let small = try Tokenizer(directory: folder.path)
    #expect(small.encode("a cb") == [0, 2, 1])
    #expect(small.unwritable(in: "a cb") == "c")
    #expect(small.unwritable(in: "a b") == nil)
  }
}

extension String {
  fileprivate subscript(offset: Int) -> Character { self[index(startIndex, offsetBy: offset)] }
}

extension JSON {
  /// A copy with one member changed.
  func setting(_ key: String, _ value: JSON) -> JSON {
    var members = asObject ?? [:]
    members[key] = value
    return .object(members)
  }
}
