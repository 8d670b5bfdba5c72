/// Finds added tokens in text, leftmost first, the longest among those that start together.
struct AddedTokenFinder: Sendable {
  /// By first byte, longest first.
  private var byFirst: [[(bytes: [UInt8], id: Int32)]]
  private let isEmpty: Bool

  init(_ tokens: [(content: String, id: Int32)]) {
    byFirst = Array(repeating: [], count: 256)
    for token in tokens {
      let bytes = Array(token.content.utf8)
      byFirst[Int(bytes[0])].append((bytes, token.id))
    }
    for first in 0..<256 {
      byFirst[first].sort { $0.bytes.count > $1.bytes.count }
    }
    isEmpty = tokens.isEmpty
  }

  /// Calls the body with each stretch of text, id nil, and each added token, in order.
  func split(
    _ text: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>, Int32?) -> Void
  ) {
    var start = 0
    var position = isEmpty ? text.count : 0
    while position < text.count {
      guard let token = token(in: text, at: position) else {
        position += 1
        continue
      }
      if start < position { body(UnsafeBufferPointer(rebasing: text[start..<position]), nil) }
      let end = position + token.length
      body(UnsafeBufferPointer(rebasing: text[position..<end]), token.id)
      start = end
      position = end
    }
    if start < text.count { body(UnsafeBufferPointer(rebasing: text[start...]), nil) }
  }

  private func token(
    in text: UnsafeBufferPointer<UInt8>, at position: Int
  ) -> (id: Int32, length: Int)? {
    let candidates = byFirst[Int(text[position])]
    if candidates.isEmpty { return nil }
    for candidate in candidates where candidate.bytes.count <= text.count - position {
      if candidate.bytes.indices.allSatisfy({ text[position + $0] == candidate.bytes[$0] }) {
        return (candidate.id, candidate.bytes.count)
      }
    }
    return nil
  }
}
