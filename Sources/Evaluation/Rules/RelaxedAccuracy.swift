/// A number within 5% of the right one, or the same text but for case: ChartQA's relaxed accuracy
/// (Masry et al. 2022, section 5.1), as pix2struct and VLMEvalKit compute it.
struct RelaxedAccuracy: AnswerRule {
  static let name = "relaxed"
  static let tolerance = 0.05

  func mark(_ answer: String, _ question: BenchmarkQuestion) -> Mark {
    let answer = Python.stripped(answer)
    let right = question.everyAccepted.contains { RelaxedAccuracy.accepts(answer, target: $0) }
    return Mark(score: right ? 1 : 0)
  }

  private static func accepts(_ answer: String, target: String) -> Bool {
    if let given = number(answer), let right = number(target), right != 0 {
      return abs(given - right) / abs(right) <= tolerance
    }
    return Python.same(answer.lowercased(), target.lowercased())
  }

  private static func number(_ text: String) -> Double? {
    guard text.unicodeScalars.last == "%" else { return Python.float(text) }
    var scalars = text.unicodeScalars[...]
    while scalars.last == "%" { scalars.removeLast() }
    return Python.float(String(scalars)).map { $0 / 100 }
  }
}
