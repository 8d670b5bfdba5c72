/// When a prediction counts as right.
public enum ScoringRule: String, Sendable, Codable, CaseIterable {
  /// The normalised texts are equal.
  case exact
  /// The prediction names the right option's letter, or its text and no other's.
  case choice
  /// The prediction's first yes or no is the right one.
  case yesNo = "yes_no"

  /// The rule that fits a question: `choice` where it has options, `yesNo` where the answer is
  /// yes or no alone, else `exact`.
  public init(for question: BenchmarkQuestion) {
    if !question.options.isEmpty {
      self = .choice
    } else if question.accepted.count == 1,
      ["yes", "no"].contains(normalized(question.accepted[0]))
    {
      self = .yesNo
    } else {
      self = .exact
    }
  }

  /// Whether `prediction` answers `question` rightly.
  public func accepts(_ prediction: String, for question: BenchmarkQuestion) -> Bool {
    switch self {
    // Here canonically equal texts are equal on purpose: they read the same.
    case .exact: question.accepted.contains { normalized($0) == normalized(prediction) }
    case .choice: chosenLetter(prediction, question.options) == question.answer.first
    case .yesNo: firstYesOrNo(prediction) == normalized(question.answer)
    }
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

/// The letter that a prediction chooses: one that opens it (`B`, `(b)`, `B. red`), else the one
/// after "answer is" or "answer:", else the one letter that stands alone in capitals, else the one
/// option whose text it has. Nil when none or several fit.
func chosenLetter(
  _ prediction: String, _ options: [(letter: Character, text: String)]
) -> Character? {
  let letters = options.map(\.letter)
  func letter(_ word: Substring) -> Character? {
    let bare = word.filter { $0.isLetter || $0.isNumber }
    guard bare.count == 1, let only = bare.uppercased().first, letters.contains(only) else {
      return nil
    }
    return only
  }
  let words = prediction.split(whereSeparator: \.isWhitespace)
  guard let first = words.first else { return nil }
  // "A red circle" does not choose A: a bare capital opens an answer only alone or with a mark.
  if let found = letter(first), words.count == 1 || first.count > 1 { return found }
  for (word, next) in zip(words, words.dropFirst())
  where ["is", "answer", "option"].contains(normalized(String(word))) {
    // Nor does "the answer is a red circle".
    if next == "a", next.endIndex != words.last?.endIndex { continue }
    if let found = letter(next) { return found }
  }
  let text = normalized(prediction)
  if let same = options.first(where: { normalized($0.text) == text }) { return same.letter }
  var alone: Set<Character> = []
  for word in words where word != "A" && (word.first == "(" || word.first?.isUppercase ?? false) {
    if let found = letter(word) { alone.insert(found) }
  }
  if let only = alone.first, alone.count == 1 { return only }
  let named = options.filter { option in
    let name = normalized(option.text)
    return !name.isEmpty && " \(text) ".contains(" \(name) ")
  }
  return named.count == 1 ? named[0].letter : nil
}

/// The first word that is yes or no.
func firstYesOrNo(_ prediction: String) -> String? {
  for word in normalized(prediction).split(separator: " ") {
    let letters = String(word.prefix { $0.isLetter })
    if letters == "yes" || letters == "no" { return letters }
  }
  return nil
}
