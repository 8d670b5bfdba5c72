/// The normalised texts are equal: the answer and one of those accepted.
struct ExactRule: AnswerRule {
  static let name = "exact"

  func mark(_ answer: String, _ question: BenchmarkQuestion) -> Mark {
    // Canonically equal texts are equal on purpose: they read the same.
    let right = question.accepted.contains { normalized($0) == normalized(answer) }
    return Mark(score: right ? 1 : 0)
  }
}

/// Lower case, white space single, no punctuation at the ends of words: what exact match compares.
public func normalized(_ text: String) -> String {
  let edge: Set<Character> = [".", ",", "!", "?", ";", ":", "\"", "'", "`", "(", ")", "*"]
  return text.lowercased().split(whereSeparator: \.isWhitespace).compactMap { word in
    var word = Substring(word)
    while let first = word.first, edge.contains(first) { word.removeFirst() }
    while let last = word.last, edge.contains(last) { word.removeLast() }
    return word.isEmpty ? nil : String(word)
  }.joined(separator: " ")
}
