import Failures

/// What an answer is worth.
public struct Mark: Sendable, Equatable {
  /// 0, wrong, to 1, right; nil where nobody can tell yet.
  public var score: Double?
  /// What was read out of the answer: an option's letter, Yes or No.
  public var extracted: String?

  public init(score: Double?, extracted: String? = nil) {
    self.score = score
    self.extracted = extracted
  }
}

/// How one answer to one question is scored.
public protocol AnswerRule: Sendable {
  /// Its name in the column `rule`, in `evaluate.rule` and in predictions.
  static var name: String { get }

  /// What `answer` is worth to `question`.
  func mark(_ answer: String, _ question: BenchmarkQuestion) -> Mark
}

/// The rules that there are.
public enum AnswerRules {
  /// A new one is a type of its own and a line here.
  public static let all: [any AnswerRule] = [
    ExactRule(), ChoiceRule(), YesNoRule(), RelaxedAccuracy(), ANLS(), VQAAccuracy(),
    NumberRule(), MathVistaRule(), JudgeRule(),
  ]

  /// The rule of a name.
  public static func named(_ name: String) -> (any AnswerRule)? {
    all.first { type(of: $0).name == name }
  }

  /// The rule that fits a question: `choice` where it has options, `yes_no` where the answer is
  /// yes or no alone, else `exact`.
  static func fitting(_ question: BenchmarkQuestion) -> any AnswerRule {
    if !question.options.isEmpty { return ChoiceRule() }
    if question.accepted.count == 1, ["yes", "no"].contains(normalized(question.accepted[0])) {
      return YesNoRule()
    }
    return ExactRule()
  }
}
