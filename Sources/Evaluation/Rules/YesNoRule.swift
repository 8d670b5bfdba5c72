/// The answer holds the right one of the words yes and no, and not the other (VLMEvalKit's
/// `YOrN_Extraction`).
struct YesNoRule: AnswerRule {
  static let name = "yes_no"

  func mark(_ answer: String, _ question: BenchmarkQuestion) -> Mark {
    let words = Set(Python.words(VQAText.withoutPunctuation(answer.lowercased())))
    let extracted =
      switch (words.contains("yes"), words.contains("no")) {
      case (true, false): "Yes"
      case (false, true): "No"
      default: "Unknown"
      }
    let right = extracted.lowercased() == normalized(question.answer)
    return Mark(score: right ? 1 : 0, extracted: extracted)
  }
}
