import Artifacts
import Failures

/// What tokenizer.json says, checked: a byte-level BPE with Qwen2's pre-tokenizer.
struct TokenizerFile {
  struct AddedToken {
    var id: Int32
    var content: String
    /// A control token, such as `<|im_end|>`.
    var isSpecial: Bool
    /// Looked for after Unicode normalisation instead of before.
    var isNormalized: Bool
  }

  var place: String
  /// Words in the byte alphabet, with their ids.
  var vocabulary: [(word: String, id: Int32)] = []
  var merges: [(left: String, right: String)] = []
  var added: [AddedToken] = []
  var normalizesNFC = false
  /// Whether a word of the vocabulary is taken whole, without merging.
  var ignoresMerges = false

  init(path: String) throws {
    place = path
    guard Files.exists(path) else {
      throw Failure(
        .inputMissing, "there is no tokenizer", at: path,
        advice: "A model folder needs the tokenizer.json of its checkpoint.")
    }
    let root = try JSON(file: path)
    guard let model = root["model"], model.asObject != nil else {
      throw failure("no \"model\"", expected: "a tokenizer.json of the tokenizers library")
    }
    try readModel(model)
    try readNormalizer(root["normalizer"] ?? .null)
    try checkPreTokenizer(root["pre_tokenizer"] ?? .null)
    try readAdded(root["added_tokens"] ?? .null)
  }

  private func failure(
    _ what: String, expected: String? = nil, found: String? = nil
  ) -> Failure {
    Failure(.badData, what, at: place, expected: expected, found: found)
  }

  private mutating func readModel(_ model: JSON) throws {
    // Old files have no type; BPE is what has merges.
    if let type = model["type"]?.asString, type != "BPE" {
      throw failure("unknown tokenizer model", expected: "BPE", found: type)
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let text = model[key]?.asString, !text.isEmpty {
        throw failure("\(key) is not supported", expected: "none", found: "\"\(text)\"")
      }
    }
    if model["byte_fallback"]?.asBool == true {
      throw failure("byte_fallback is not supported", expected: "a byte-level vocabulary")
    }
    ignoresMerges = model["ignore_merges"]?.asBool ?? false
    guard let words = model["vocab"]?.asObject else { throw failure("no \"vocab\" in the model") }
    vocabulary.reserveCapacity(words.count)
    for (word, id) in words { vocabulary.append((word, try tokenID(id, of: word))) }
    vocabulary.sort { $0.id < $1.id }
    guard let list = model["merges"]?.asArray else { throw failure("no \"merges\" in the model") }
    merges.reserveCapacity(list.count)
    for (rank, merge) in list.enumerated() {
      if let pair = merge.asArray, pair.count == 2, let left = pair[0].asString,
        let right = pair[1].asString
      {
        merges.append((left, right))
      } else if let text = merge.asString,
        case let parts = text.split(separator: " ", omittingEmptySubsequences: false),
        parts.count == 2
      {
        merges.append((String(parts[0]), String(parts[1])))
      } else {
        throw failure(
          "merge \(rank) is not a pair", expected: "\"a b\" or [\"a\", \"b\"]", found: merge.text())
      }
    }
  }

  private func tokenID(_ value: JSON?, of word: String) throws -> Int32 {
    guard let id = value?.asInt, id >= 0, id < 1 << 24 else {
      throw failure(
        "token \"\(word)\" has no id", expected: "a whole number from 0 to \((1 << 24) - 1)",
        found: value?.text())
    }
    return Int32(id)
  }

  private mutating func readNormalizer(_ normalizer: JSON) throws {
    if normalizer == .null { return }
    switch normalizer["type"]?.asString {
    case "NFC": normalizesNFC = true
    case "Sequence":
      for part in normalizer["normalizers"]?.asArray ?? [] { try readNormalizer(part) }
    default:
      throw failure(
        "unknown normalizer", expected: "NFC or none", found: normalizer["type"]?.text())
    }
  }

  private func checkPreTokenizer(_ preTokenizer: JSON) throws {
    let parts =
      preTokenizer["type"]?.asString == "Sequence"
      ? preTokenizer["pretokenizers"]?.asArray ?? [] : [preTokenizer]
    guard parts.count == 2, let split = parts.first, let byteLevel = parts.last,
      split["type"]?.asString == "Split", byteLevel["type"]?.asString == "ByteLevel",
      byteLevel["use_regex"]?.asBool == false, byteLevel["add_prefix_space"]?.asBool != true,
      split["invert"]?.asBool != true, split["behavior"]?.asString == "Isolated"
    else {
      throw failure(
        "unknown pre-tokenizer", expected: "Qwen2's: a Split by its pattern, then ByteLevel",
        found: preTokenizer.text())
    }
    let pattern = split["pattern"]?["Regex"]?.asString
    guard pattern == PreTokenizer.pattern else {
      throw failure(
        "unknown pattern of the pre-tokenizer", expected: PreTokenizer.pattern,
        found: pattern ?? split["pattern"]?.text())
    }
  }

  private mutating func readAdded(_ list: JSON) throws {
    for entry in list.asArray ?? [] {
      guard let content = entry["content"]?.asString, !content.isEmpty else {
        throw failure("an added token without content", found: entry.text())
      }
      for flag in ["lstrip", "rstrip", "single_word"] where entry[flag]?.asBool == true {
        throw failure("\(flag) of the added token \"\(content)\" is not supported")
      }
      added.append(
        AddedToken(
          id: try tokenID(entry["id"], of: content), content: content,
          isSpecial: entry["special"]?.asBool ?? false,
          isNormalized: entry["normalized"]?.asBool ?? true))
    }
  }
}
