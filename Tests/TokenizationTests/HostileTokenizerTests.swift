import Artifacts
import Failures
import TestSupport
import Testing

@testable import Tokenization

@Suite struct HostileTokenizerTests {
  func failure(_ text: String?) throws -> Failure? {
    let folder = try TemporaryFolder()
    if let text { try folder.write(text, to: "tokenizer.json") }
    do {
      _ = try Tokenizer(directory: folder.path)
      return nil
    } catch { return try #require(error as? Failure) }
  }

  @Test("A folder without tokenizer.json is missing input, 66")
  func missing() throws {
    #expect(try failure(nil)?.code == .inputMissing)
  }

  @Test(
    "A damaged tokenizer.json is bad data, 65, and the message names the file",
    arguments: [
      "", "{", "[]", "{}", "null", "{\"model\": 3}", "{\"model\": {\"type\": \"WordPiece\"}}",
      "{\"model\": {\"vocab\": {}}}", "{\"model\": {\"vocab\": {\"a\": -1}, \"merges\": []}}",
      "{\"model\": {\"vocab\": {\"a\": 1e9}, \"merges\": []}}",
      "{\"model\": {\"vocab\": {\"a\": 0.5}, \"merges\": []}}",
      "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [\"a\"]}}",
      "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": [[\"a\", 3]]}}",
      "{\"model\": {\"byte_fallback\": true, \"vocab\": {\"a\": 0}, \"merges\": []}}",
      "{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}, \"pre_tokenizer\": null}",
    ])
  func damaged(_ text: String) throws {
    let failure = try failure(text)
    #expect(failure?.code == .badData)
    #expect(failure?.place?.contains("tokenizer.json") == true)
  }

  @Test("What would change ids silently is refused: other patterns, normalizers, stripping tokens")
  func unsupported() throws {
    let root = try Goldens.json("checkpoint/tokenizer.json")
    let model = try #require(root["model"])
    let added = try #require(root["added_tokens"]?.asArray?.first)
    let strip = JSON.array([added.setting("lstrip", .bool(true))])
    let pieces = try #require(root["pre_tokenizer"]?["pretokenizers"]?.asArray)
    let split = pieces[0].setting("pattern", ["Regex": .string(#"\w+"#)])
    let unknown = JSON.array([.array([.string("zzz"), .string("a")])])
    for changed in [
      root.setting("added_tokens", strip),
      root.setting("normalizer", ["type": "Lowercase"]),
      root.setting(
        "pre_tokenizer",
        ["type": "Sequence", "pretokenizers": .array([split, pieces[1]])]),
      root.setting("model", model.setting("merges", unknown)),
    ] {
      #expect(try failure(changed.text())?.code == .badData)
    }
    #expect(try failure(root.text()) == nil)
  }
}
