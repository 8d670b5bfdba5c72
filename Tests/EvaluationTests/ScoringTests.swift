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
    answer: answer, columns: ["category": category])
}

private func isRight(
  _ rule: any AnswerRule, _ prediction: String, _ question: BenchmarkQuestion
) -> Bool {
  rule.mark(prediction, question).score == 1
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
    #expect(EvaluationTests.isRight(ExactRule(), prediction, question(answer)) == isRight)
  }

  @Test(
    "A choice is read as VLMEvalKit reads it",
    arguments: [
      ("B", "B"), ("(B)", "B"), ("B.", "B"), ("B. a red one", "B"), ("b", nil),
      ("The answer is C.", "C"), ("Answer: D", "D"), ("a cat", "A"), ("I see a bird there", "C"),
      ("It must be (D)", "D"), ("the answer is **d**, since it swims", "D"),
      ("B it is, as anybody can see from the picture", nil), ("A or B", nil), ("Z", "Z"),
      ("Sorry, I can't help with images of people yet.", "Z"),
      ("a dog or a bird", nil), ("E", nil), ("", nil), ("none of them", nil),
      ("a bird, for all that can be seen of it in this picture, which is not much at all", nil),
    ] as [(String, String?)])
  func choice(prediction: String, letter: String?) {
    let options = zip("ABCD", ["a cat", "a dog", "a bird", "a fish"]).map { ($0, $1) }
    #expect(Choices(options).letter(in: prediction) == letter)
  }

  @Test(
    "A number is the last one of an answer, in figures or words, within 5%",
    arguments: [
      ("the red bar has the value three", "3", true), ("3", "3", true), ("It is 3.1.", "3", true),
      ("3.2", "3", false), ("from 2 to 3", "3", true), ("from 3 to 2", "3", false),
      ("1,234.5 km²", "1234.5", true), ("$1,200", "1234", true), ("12%", "12", true),
      ("about −4°", "-4", true), ("minus four", "-4", true), ("4", "-4", false),
      ("0", "0", true), ("0.01", "0", false), ("zero", "0", true), ("(Three)", "3", true),
      ("none", "0", false), ("", "0", false), ("nan", "0", false), ("1e999", "3", false),
      ("inf", "3", false), ("five", "[5, 7]", true), ("7", "[5, 7]", true), ("6", "[5, 7]", false),
      ("x2y", "2", true), (".5", "0.5", true), ("-", "3", false), ("twenty", "20", true),
    ])
  func number(prediction: String, answer: String, isRight: Bool) {
    #expect(EvaluationTests.isRight(NumberRule(), prediction, question(answer)) == isRight)
  }

  @Test(
    "Yes or no is the one of the two that stands there alone",
    arguments: [
      ("Yes", "yes", true), ("yes, there is", "Yes", true), ("No.", "yes", false),
      ("There is no dog", "no", true), ("nothing", "no", false), ("", "no", false),
      ("yes and no", "yes", false), ("no-one", "no", true),
    ])
  func yesNo(prediction: String, answer: String, isRight: Bool) {
    #expect(EvaluationTests.isRight(YesNoRule(), prediction, question(answer)) == isRight)
  }

  @Test(
    "Relaxed accuracy takes numbers within 5%, and percent",
    arguments: [
      ("104.9", "100", true), ("105.1", "100", false), ("95%", "0.95", true), ("0", "0", true),
      ("0.01", "0", false), ("1e2", "100", true), (" Red ", "red", true), ("red.", "red", false),
      ("1,000", "1000", false), ("１００", "100", true), ("1_00", "100", true), ("_100", "100", false),
      ("nan", "nan", false), ("0x64", "100", false), ("5", "[5, 7]", true), ("7.1", "[5, 7]", true),
    ])
  func relaxed(prediction: String, answer: String, isRight: Bool) {
    #expect(EvaluationTests.isRight(RelaxedAccuracy(), prediction, question(answer)) == isRight)
  }

  @Test(
    "ANLS is one less the share of edits, and nothing below a half",
    arguments: [
      ("hello", "hello", 1), ("Hello ", "hello", 1), ("helo", "hello", 0.8), ("xyz", "hello", 0),
      ("", "hello", 0), ("b", "['hello', 'b']", 1),
    ])
  func anls(prediction: String, answer: String, score: Double) {
    let marked = ANLS().mark(prediction, question(answer)).score ?? -1
    #expect(abs(marked - score) < 1e-12)
  }

  @Test("VQA accuracy: three of the other annotators make a right answer")
  func vqa() {
    func score(_ prediction: String, _ times: Int) -> Double {
      let golds = (0..<10).map { $0 < times ? "'two dogs'" : "'x\($0)'" }
      let text = "[\(golds.joined(separator: ", "))]"
      return VQAAccuracy().mark(prediction, question(text)).score ?? -1
    }
    #expect(score("The two dogs.", 10) == 1)
    #expect(score("2 dogs", 4) == 1)
    #expect(abs(score("2 dogs", 3) - 0.9) < 1e-12)
    #expect(abs(score("2 dogs", 1) - 0.3) < 1e-12)
    #expect(score("dogs", 10) == 0)
  }

  @Test("The rule follows the question")
  func inferred() {
    #expect(AnswerRules.fitting(question("A", ["x", "y"])) is ChoiceRule)
    #expect(AnswerRules.fitting(question("No")) is YesNoRule)
    #expect(AnswerRules.fitting(question("no there is no dog")) is ExactRule)
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
    #expect(scores.overall == Score([1, 0, 1, 1]))
    #expect(scores.categories.map(\.name) == ["x", "y"])
    #expect(scores.categories.map(\.score.accuracy) == [0.5, 1])
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
    #expect(paired.questions == 6)
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
