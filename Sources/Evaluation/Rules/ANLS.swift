/// Average normalised Levenshtein similarity: 1 less the edits over the longer text's length, 0
/// where that is below a half; the best of the accepted answers (Biten et al. 2019, "Scene Text
/// Visual Question Answering", section 3.3; the details VLMEvalKit's).
struct ANLS: AnswerRule {
  static let name = "anls"
  static let threshold = 0.5

  func mark(_ answer: String, _ question: BenchmarkQuestion) -> Mark {
    let least = question.everyAccepted.map { ANLS.distance($0, answer) }.min() ?? 1
    let similarity = 1 - least
    return Mark(score: similarity < ANLS.threshold ? 0 : similarity)
  }

  private static func distance(_ gold: String, _ answer: String) -> Double {
    func plain(_ text: String) -> [Unicode.Scalar] {
      Array(Python.words(text.lowercased()).joined(separator: " ").unicodeScalars)
    }
    let length = [gold, answer].map { $0.uppercased().unicodeScalars.count }.max() ?? 0
    return length == 0 ? 0 : Double(edits(plain(gold), plain(answer))) / Double(length)
  }

  private static func edits(_ first: [Unicode.Scalar], _ second: [Unicode.Scalar]) -> Int {
    var distances = Array(0...first.count)
    for (row, other) in second.enumerated() {
      var diagonal = distances[0]
      distances[0] = row + 1
      for (column, one) in first.enumerated() {
        let above = distances[column + 1]
        distances[column + 1] =
          one == other ? diagonal : 1 + min(diagonal, above, distances[column])
        diagonal = above
      }
    }
    return distances[first.count]
  }
}
