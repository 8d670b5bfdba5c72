/// What only a judge can score: the column `score` of a file that was judged; nothing before.
struct JudgeRule: AnswerRule {
  static let name = "judge"

  func mark(_ answer: String, _ question: BenchmarkQuestion) -> Mark {
    guard let score = question.columns["score"].flatMap(Python.float), score.isFinite else {
      return Mark(score: nil)
    }
    // LLaVABench's run from 1 to 10, and come with those of the answer that they are set against.
    return Mark(score: question.columns["gpt4_score"] == nil ? score : score / 10)
  }
}
