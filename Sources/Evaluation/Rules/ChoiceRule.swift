/// The option that an answer names is the right one, as VLMEvalKit reads it without a judge
/// (`can_infer` of vlmeval/utils/matching_util.py): the one letter that stands alone among the last
/// words, else the letter behind "answer is", else the one option whose text the answer holds.
struct ChoiceRule: AnswerRule {
  static let name = "choice"

  func mark(_ answer: String, _ question: BenchmarkQuestion) -> Mark {
    let letter = Choices(question.options).letter(in: answer)
    // What names no option is Z, which none has.
    return Mark(score: letter == question.answer ? 1 : 0, extracted: letter ?? "Z")
  }
}

/// The options of a question, to find the one that an answer names.
struct Choices {
  let options: [(letter: String, text: String)]

  init(_ options: [(letter: Character, text: String)]) {
    self.options = options.map { (String($0.letter), $0.text) }
  }

  private static let refusals = [
    "Sorry, I can't help with images of people yet.", "I can't process this file.",
    "I'm sorry, but without the image provided", "Cannot determine the answer",
  ]

  /// The letter that an answer names; Z for one that refuses; nil for none or several.
  func letter(in answer: String) -> String? { named(in: answer) ?? spelt(in: answer) }

  private func has(_ letter: String) -> Bool { options.contains { $0.letter == letter } }

  private func named(in answer: String) -> String? {
    if Python.holds(answer, "Failed to obtain answer via API") { return nil }
    if Choices.refusals.contains(where: { Python.holds(answer, $0) }) { return "Z" }
    let words = Python.words(
      Python.replacing(Set(".()[],:;!*#{}".unicodeScalars), in: answer, with: " "))
    let there = options.filter { option in words.contains { Python.same($0, option.letter) } }
    if there.count == 1 {
      let letter = there[0].letter
      // A letter far from the end may be a word of an explanation.
      if let place = words.firstIndex(of: letter), place > words.count - 5 { return letter }
    } else if there.isEmpty, words.contains("Z") {
      return "Z"
    }
    return letterBehindAnswerIs(answer)
  }

  /// `(?i)answer\s+is\s+\**([ABCD])`, the first place where it fits.
  private func letterBehindAnswerIs(_ answer: String) -> String? {
    let scalars = Array(answer.unicodeScalars)
    func folded(_ place: Int) -> Unicode.Scalar? {
      guard place < scalars.count else { return nil }
      // Two letters of other scripts fold to ASCII: ſ to s.
      if scalars[place].value == 0x17F { return "s" }
      return scalars[place].isASCII
        ? Unicode.Scalar(String(scalars[place]).lowercased()) : scalars[place]
    }
    func word(_ word: String, _ place: inout Int) -> Bool {
      for letter in word.unicodeScalars {
        guard folded(place) == letter else { return false }
        place += 1
      }
      return true
    }
    func spaces(_ place: inout Int) -> Bool {
      let start = place
      while place < scalars.count, Python.isSpace(scalars[place]) { place += 1 }
      return place > start
    }
    for start in scalars.indices where folded(start) == "a" {
      var place = start
      guard word("answer", &place), spaces(&place), word("is", &place), spaces(&place) else {
        continue
      }
      while place < scalars.count, scalars[place] == "*" { place += 1 }
      guard let letter = folded(place), ("a"..."d").contains(letter) else { continue }
      let capital = String(letter).uppercased()
      return has(capital) ? capital : nil
    }
    return nil
  }

  private func spelt(in answer: String) -> String? {
    let answer = answer.lowercased()
    let most = 2 * options.reduce(0) { $0 + $1.text.unicodeScalars.count }
    guard answer.unicodeScalars.count <= most else { return nil }
    let there = options.filter { Python.holds(answer, $0.text.lowercased()) }
    return there.count == 1 ? there[0].letter : nil
  }
}
