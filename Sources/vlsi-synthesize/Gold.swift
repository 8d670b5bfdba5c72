/// How a held-out question is scored, in the manner of the benchmark that its task mirrors.
struct Gold: Sendable {
  /// A rule of vlsi-evaluate.
  var rule: String
  /// The cell `answer`.
  var answer: String
  /// The options A and B of a multiple-choice question.
  var options: [String] = []
}

extension Question {
  /// A comparison is multiple choice, existence a yes or no as in POPE, a shape may be named in
  /// several ways, and a number counts within the tolerance of ChartQA; other answers are the
  /// sentence.
  var gold: Gold {
    let words = answer.split(separator: " ").map(String.init)
    switch task {
    case .comparison:
      // By the alphabet, so that the order says nothing.
      let options = ([answer] + wrong).sorted()
      return Gold(rule: "choice", answer: options[0] == answer ? "A" : "B", options: options)
    case .existence:
      return Gold(rule: "yes_no", answer: words[0] == "yes" ? "Yes" : "No")
    case .shape:
      let names = [answer, words.suffix(2).joined(separator: " "), words[words.count - 1]]
      return Gold(rule: "exact", answer: "['" + names.joined(separator: "', '") + "']")
    case .chart, .arithmetic:
      guard let number = numberWords.firstIndex(of: words[words.count - 1]) else { break }
      return Gold(rule: "number", answer: String(number))
    default: break
    }
    return Gold(rule: "exact", answer: answer)
  }
}
