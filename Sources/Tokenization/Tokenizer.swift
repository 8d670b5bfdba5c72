import Artifacts
import Failures
import Kernels

/// What merging needs to know: the ids of single bytes, the merges, the whole words.
struct BytePairModel: Sendable {
  /// The id of each byte, -1 where the vocabulary lacks it.
  var byteIDs: [Int32]
  var merges: MergeTable
  var words: ByteTable
  var ignoresMerges: Bool
}

/// Byte-level BPE as Qwen2-VL's checkpoints bring it in tokenizer.json.
///
/// Gives the ids of Hugging Face's `tokenizers` library for the same file: added tokens are found
/// in the raw text first, leftmost and longest; what lies between is normalised (NFC), split by
/// Qwen2's pattern and merged by rank. A byte that the vocabulary lacks is dropped, as there.
///
/// Safe to use from several threads at once.
public final class Tokenizer: Sendable {
  /// One more than the highest id. A model's head may have more rows.
  public let vocabularySize: Int
  /// XXH3-128 over the content that decides ids (words, merges, added tokens), independent of how
  /// the file is formatted: equal for a teacher and a student that share a tokenizer.
  public let fingerprint: String

  let model: BytePairModel
  private let tokens: [[UInt8]?]
  private let specials: Set<Int32>
  private let ids: ByteTable
  private let rawTokens: AddedTokenFinder
  private let rawTokensNotSpecial: AddedTokenFinder
  private let normalizedTokens: AddedTokenFinder
  private let normalizedTokensNotSpecial: AddedTokenFinder
  private let normalizesNFC: Bool
  /// Scratch memory and word caches that no call is using at the moment.
  private let idle = Guarded<[BytePairMerger]>([])

  /// Reads `tokenizer.json` in a model's folder.
  ///
  /// - Throws: `Failure`, 66 where the file is missing, 65 where it is not a byte-level BPE with
  ///   Qwen2's pre-tokenizer or contradicts itself.
  public convenience init(directory: String) throws {
    try self.init(file: TokenizerFile(path: directory + "/tokenizer.json"))
  }

  init(file: TokenizerFile) throws {
    var tokens: [[UInt8]?] = []
    var words = ByteTable(capacity: file.vocabulary.count)
    var digest = Digest()
    func keep(_ bytes: [UInt8], _ id: Int32) {
      while tokens.count <= Int(id) { tokens.append(nil) }
      tokens[Int(id)] = bytes
    }
    for (word, id) in file.vocabulary {
      let bytes = ByteAlphabet.bytes(of: word) ?? Array(word.utf8)
      if words.value(of: bytes) == nil { words.insert(bytes, id) }
      keep(bytes, id)
    }
    var merges = MergeTable(capacity: file.merges.count)
    for (rank, merge) in file.merges.enumerated() {
      let left = ByteAlphabet.bytes(of: merge.left) ?? Array(merge.left.utf8)
      let right = ByteAlphabet.bytes(of: merge.right) ?? Array(merge.right.utf8)
      guard let leftID = words.value(of: left), let rightID = words.value(of: right),
        let merged = words.value(of: left + right)
      else {
        throw Failure(
          .badData, "merge \(rank) has a part that is not in the vocabulary", at: file.place,
          found: "\"\(merge.left)\" and \"\(merge.right)\"")
      }
      merges.set(leftID, rightID, rank: UInt32(rank), merged: merged)
      digest.add(leftID)
      digest.add(rightID)
    }
    model = BytePairModel(
      byteIDs: (0..<256).map { words.value(of: [UInt8($0)]) ?? -1 }, merges: merges, words: words,
      ignoresMerges: file.ignoresMerges)
    var names = ByteTable(capacity: file.added.count + file.vocabulary.count)
    for token in file.added {
      let bytes = Array(token.content.utf8)
      keep(bytes, token.id)
      if names.value(of: bytes) == nil { names.insert(bytes, token.id) }
      digest.add(token.isSpecial ? 1 : 0)
      digest.add(token.isNormalized ? 1 : 0)
      digest.add(token.id)
    }
    for (word, id) in file.vocabulary {
      let bytes = ByteAlphabet.bytes(of: word) ?? Array(word.utf8)
      if names.value(of: bytes) == nil { names.insert(bytes, id) }
    }
    ids = names
    for (id, token) in tokens.enumerated() {
      digest.add(Int32(id))
      digest.add(Int32(token?.count ?? -1))
      digest.add(token ?? [])
    }
    digest.add(file.normalizesNFC ? 1 : 0)
    digest.add(file.ignoresMerges ? 1 : 0)
    fingerprint = digest.value
    vocabularySize = tokens.count
    self.tokens = tokens
    specials = Set(file.added.filter(\.isSpecial).map(\.id))
    normalizesNFC = file.normalizesNFC
    func finder(normalized: Bool, special: Bool) -> AddedTokenFinder {
      AddedTokenFinder(
        file.added.filter { $0.isNormalized == normalized && (special || !$0.isSpecial) }
          .map {
            (normalized && file.normalizesNFC ? Normalization.nfc($0.content) : $0.content, $0.id)
          })
    }
    rawTokens = finder(normalized: false, special: true)
    rawTokensNotSpecial = finder(normalized: false, special: false)
    normalizedTokens = finder(normalized: true, special: true)
    normalizedTokensNotSpecial = finder(normalized: true, special: false)
  }

  /// The token ids of a text.
  ///
  /// - Parameter allowSpecial: whether control tokens such as `<|im_end|>` written in the text
  ///   become their ids; else they are split like any other text.
  public func encode(_ text: String, allowSpecial: Bool = true) -> [Int32] {
    var merger = idle.withLock { $0.popLast() } ?? BytePairMerger()
    var result: [Int32] = []
    var text = text
    let raw = allowSpecial ? rawTokens : rawTokensNotSpecial
    let normalized = allowSpecial ? normalizedTokens : normalizedTokensNotSpecial
    text.withUTF8 { bytes in
      result.reserveCapacity(bytes.count / 3 + 4)
      raw.split(bytes) { piece, id in
        if let id { return result.append(id) }
        guard normalizesNFC, let composed = Normalization.nfc(piece) else {
          return encodeNormalized(piece, normalized, &merger, &result)
        }
        composed.withUnsafeBufferPointer { encodeNormalized($0, normalized, &merger, &result) }
      }
    }
    idle.withLock { $0.append(merger) }
    return result
  }

  private func encodeNormalized(
    _ text: UnsafeBufferPointer<UInt8>, _ finder: AddedTokenFinder, _ merger: inout BytePairMerger,
    _ result: inout [Int32]
  ) {
    finder.split(text) { piece, id in
      if let id { return result.append(id) }
      let words = PreTokenizer(text: piece)
      var start = 0
      while start < piece.count {
        let end = words.end(from: start)
        merger.append(UnsafeBufferPointer(rebasing: piece[start..<end]), model, to: &result)
        start = end
      }
    }
  }

  /// The text of token ids; bytes that are not UTF-8 become U+FFFD, ids of no token nothing.
  public func decode(_ ids: [Int32], skipSpecialTokens: Bool = false) -> String {
    var bytes: [UInt8] = []
    for id in ids where !(skipSpecialTokens && specials.contains(id)) {
      bytes.append(contentsOf: self.bytes(of: id))
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The bytes of one token, for writing text as it is generated: a token may end within a
  /// character. Empty for an id of no token.
  public func bytes(of id: Int32) -> [UInt8] {
    tokens.indices.contains(Int(id)) ? tokens[Int(id)] ?? [] : []
  }

  /// Whether an id is a control token, such as `<|im_end|>`.
  public func isSpecial(_ id: Int32) -> Bool {
    specials.contains(id)
  }

  /// The id of the token that stands for exactly this text, added tokens first.
  public func id(ofToken token: String) -> Int32? {
    ids.value(of: Array(token.utf8))
  }

  /// The first character of a text that the vocabulary cannot express and `encode` would drop.
  /// nil for every text where the vocabulary has all 256 bytes, as Qwen2's has.
  public func unwritable(in text: String) -> Character? {
    guard lacksBytes else { return nil }
    let text = normalizesNFC ? Normalization.nfc(text) : text
    return text.first { $0.utf8.contains { model.byteIDs[Int($0)] < 0 } }
  }

  private var lacksBytes: Bool { model.byteIDs.contains { $0 < 0 } }
}

extension Digest {
  fileprivate mutating func add(_ value: Int32) {
    withUnsafeBytes(of: value.littleEndian) { update($0) }
  }

  fileprivate mutating func add(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }
}

extension Tokenizer {
  /// Throws 65 naming both unless the teacher has this tokenizer too.
  /// - Parameters:
  ///   - teacher: the teacher's folder
  ///   - student: the folder of this tokenizer
  public func requireTeachers(
    _ other: Tokenizer, of teacher: String, at student: String
  ) throws {
    guard other.fingerprint == fingerprint else {
      throw Failure(
        .badData, "teacher and student have different tokenizers", at: student,
        expected: "that of \(teacher)", found: difference(from: other),
        advice: "The method needs one tokenizer for both")
    }
  }

  /// Throws 65 naming both and the first difference unless one vocabulary begins with the other: ids
  /// that both have are the same tokens. Enough where each side's samples are its own.
  /// - Parameters: as of `requireTeachers`
  public func requireSharedIDs(
    _ other: Tokenizer, of teacher: String, at student: String
  ) throws {
    let count = min(tokens.count, other.tokens.count)
    guard tokens[..<count] != other.tokens[..<count] else { return }
    throw Failure(
      .badData, "teacher and student have different tokens for the same ids", at: student,
      expected: "those of \(teacher)", found: difference(from: other),
      advice: "What the teacher says is compared token by token: take a teacher with these tokens")
  }

  /// The first thing in which two tokenizers differ, in words.
  private func difference(from other: Tokenizer) -> String {
    func shown(_ id: Int, _ tokens: [[UInt8]?]) -> String {
      guard id < tokens.count, let bytes = tokens[id] else { return "nothing" }
      return "\"\(String(decoding: bytes.prefix(60), as: UTF8.self))\""
    }
    let count = max(tokens.count, other.tokens.count)
    for id in 0..<count {
      let (ours, theirs) = (
        tokens.indices.contains(id) ? tokens[id] : nil,
        other.tokens.indices.contains(id) ? other.tokens[id] : nil
      )
      if ours != theirs {
        return "token \(id) is \(shown(id, tokens)) here and \(shown(id, other.tokens)) there"
      }
    }
    if let id = specials.symmetricDifference(other.specials).min() {
      return "token \(id), \(shown(Int(id), tokens)), is a control token in one of them only"
    }
    return "the same tokens with other merges, normalisation or added tokens"
  }
}
