import Failures
import Foundation
import Testing

@testable import Evaluation

private func question(
  _ answer: String, _ options: [String] = [], index: String = "1", category: String = "all"
) -> BenchmarkQuestion {
  let letters = "ABCDEFGH"
  return BenchmarkQuestion(
    index: index, pictures: [], question: "q", options: zip(letters, options).map { ($0, $1) },
    answer: answer, category: category)
}

@Suite("Scoring rules keep to what they say")
struct ScoringTests {
  @Test(
    "Exact match compares words, not marks, case or spaces",
    arguments: [
      ("the circle is red", "the circle is red", true),
      (" The circle is red.\n", "the circle is red", true),
      ("the  circle is 'red'", "the circle is red", true),
      ("the circle is dark red", "the circle is red", false),
      ("", "the circle is red", false),
      ("3.5", "3.5", true),
      ("35", "3.5", false),
    ])
  func exact(prediction: String, answer: String, isRight: Bool) {
    #expect(ScoringRule.exact.accepts(prediction, for: question(answer)) == isRight)
  }

  @Test(
    "A choice is a letter, or an option's text",
    arguments: [
      ("B", "B"), ("b", "B"), ("(B)", "B"), ("B.", "B"), ("B. a red one", "B"),
      ("The answer is C.", "C"), ("Answer: D", "D"), ("a cat", "A"), ("A dog", "B"),
      ("I see a bird there", "C"), ("It must be (D)", "D"),
      ("the answer is a fish", "D"), ("the answer is a", "A"),
      ("a dog or a bird", nil), ("E", nil), ("", nil), ("none of them", nil),
    ] as [(String, Character?)])
  func choice(prediction: String, letter: Character?) {
    let options = zip("ABCD", ["a cat", "a dog", "a bird", "a fish"]).map { ($0, $1) }
    #expect(chosenLetter(prediction, options) == letter)
  }

  @Test(
    "Yes or no is the first of the two",
    arguments: [
      ("Yes", "yes", true), ("yes, there is", "Yes", true), ("No.", "yes", false),
      ("There is no dog", "no", true), ("nothing", "no", false), ("", "no", false),
    ])
  func yesNo(prediction: String, answer: String, isRight: Bool) {
    #expect(ScoringRule.yesNo.accepts(prediction, for: question(answer)) == isRight)
  }

  @Test("The rule follows the question")
  func inferred() {
    #expect(ScoringRule(for: question("A", ["x", "y"])) == .choice)
    #expect(ScoringRule(for: question("No")) == .yesNo)
    #expect(ScoringRule(for: question("no there is no dog")) == .exact)
  }

  @Test("Scores count by category, with the binomial error")
  func scores() throws {
    let predictions = [
      Prediction("a", for: question("a", index: "1", category: "x")),
      Prediction("b", for: question("a", index: "2", category: "x")),
      Prediction("a", for: question("a", index: "3", category: "y")),
      Prediction("a", for: question("a", index: "4", category: "y")),
    ]
    let scores = Scores(predictions)
    #expect(scores.overall == Score(correct: 3, questions: 4))
    #expect(scores.categories.map(\.name) == ["x", "y"])
    #expect(scores.categories.map(\.score.correct) == [1, 2])
    #expect(abs(scores.overall.standardError - (0.75 * 0.25 / 4).squareRoot()) < 1e-12)
    let path = NSTemporaryDirectory() + "scores-\(UUID().uuidString).json"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(try scores.encode()).write(to: URL(fileURLWithPath: path))
    #expect(try Scores(contentsOf: path) == scores)
  }

  @Test("Predictions survive the file, hostile text included")
  func predictionsFile() throws {
    let text = "tab\t line\n quote\" back\\ \u{2028} é"
    let predictions = [
      Prediction(text, for: question(text, index: "a/b")), Prediction("", for: question("x")),
    ]
    let bytes = try Predictions.encode(predictions)
    #expect(bytes.count(where: { $0 == 10 }) == 2)
    #expect(try Predictions.decode(bytes, place: "p") == predictions)
    let error = #expect(throws: Failure.self) {
      try Predictions.decode(bytes + Array("{\"index\": 3".utf8), place: "p")
    }
    #expect(error?.code == .badData)
    #expect(error?.place == "p:3")
    #expect(throws: Failure.self) { try Predictions.decode(bytes + bytes, place: "p") }
  }

  @Test("The paired difference counts what only one of the two knows")
  func paired() throws {
    func answers(_ right: [Bool]) -> [Prediction] {
      right.enumerated().map { index, isRight in
        Prediction(isRight ? "a" : "b", for: question("a", index: String(index)))
      }
    }
    let first = answers([true, true, true, false, false, true])
    let second = answers([true, false, false, true, false, true])
    let paired = try PairedDifference(first, Array(second.reversed()))
    #expect(paired == PairedDifference(questions: 6, onlyFirst: 2, onlySecond: 1))
    #expect(abs(paired.difference - 1.0 / 6) < 1e-12)
    // The same by the textbook: sample variance of the six differences, divided by six.
    let values: [Double] = [0, 1, 1, -1, 0, 0]
    let mean = values.reduce(0, +) / 6
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 5
    #expect(abs(paired.standardError - (variance / 6).squareRoot()) < 1e-12)
    #expect(throws: Failure.self) { try PairedDifference(first, answers([true])) }
    #expect(throws: Failure.self) {
      try PairedDifference(
        first,
        second.map { prediction in
          var other = prediction
          other.answer = "c"
          return other
        })
    }
    let seeds = meanOverSeeds([1, 2, 3])
    #expect(seeds.mean == 2)
    #expect(abs((seeds.standardError ?? 0) - (1.0 / 3).squareRoot()) < 1e-12)
    #expect(meanOverSeeds([1]).standardError == nil)
  }
}
