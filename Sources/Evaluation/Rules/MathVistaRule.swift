/// MathVista's answers as far as they can be told without a judge (VLMEvalKit's `post_check`): the
/// option that an answer names, or a number alone. What needs a judge to be read counts as wrong;
/// the columns `res` and `log` of a file that was judged are used instead.
struct MathVistaRule: AnswerRule {
  static let name = "mathvista"

  func mark(_ answer: String, _ question: BenchmarkQuestion) -> Mark {
    if question.columns["log"] != nil {
      return Mark(
        score: isRight(question.columns["res"] ?? "", question) ? 1 : 0,
        extracted: question.columns["res"])
    }
    guard let read = read(answer, question) else { return Mark(score: 0) }
    return Mark(score: isRight(read, question) ? 1 : 0, extracted: read)
  }

  private func isChoice(_ question: BenchmarkQuestion) -> Bool {
    question.columns["question_type"] == "multi_choice"
  }

  private func choices(_ question: BenchmarkQuestion) -> Choices {
    let texts = question.columns["choices"].flatMap(PythonList.items) ?? []
    return Choices(
      texts.prefix(26).enumerated().map {
        (Character(Unicode.Scalar(UInt8(ascii: "A") + UInt8($0))), $1)
      })
  }

  /// What the answer says by itself; a judge is asked where that is nil.
  private func read(_ answer: String, _ question: BenchmarkQuestion) -> String? {
    if isChoice(question) { return choices(question).letter(in: answer) }
    // What Python takes for false, it takes for not read.
    guard isRight(answer, question), Python.float(answer) != 0 else { return nil }
    return Python.stripped(answer)
  }

  private func isRight(_ read: String, _ question: BenchmarkQuestion) -> Bool {
    if isChoice(question) {
      return choices(question).letter(in: read) == question.columns["answer_option"]
    }
    switch question.columns["answer_type"] {
    case "integer":
      guard let value = Python.int(read) else { return false }
      return value == Python.int(question.answer)
    case "float":
      guard let value = Python.float(read) else { return false }
      return value == Python.float(question.answer)
    default: return false
    }
  }
}
