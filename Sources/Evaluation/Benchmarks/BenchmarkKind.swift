import Failures

/// A benchmark of the field: how its questions are put, how an answer is scored, and what figures a
/// set of answers comes to.
public struct BenchmarkKind: Sendable {
  /// What the field calls it.
  public let name: String
  /// What its files' names begin with, in lower case, letters and digits alone.
  let files: [String]
  /// How its questions are put.
  let form: QuestionForm
  /// How an answer is scored; nil where each question says it.
  let rule: (any AnswerRule)?
  public let summary: any Summary
  /// Some of its splits keep their answers to themselves.
  var mayLackAnswers = false

  /// A new benchmark is a line here, and a file of its own where its figures are.
  public static let all: [BenchmarkKind] = [
    .init("MMBench-CN", ["mmbenchdevcn", "mmbenchtestcn", "mmbenchcn"], CircularSummary()),
    .init("MMBench", ["mmbench"], CircularSummary()),
    .init("CCBench", ["ccbench"], CircularSummary()),
    .init("AI2D", ["ai2d"]),
    .init("Q-Bench", ["qbench"]),
    .init("MMStar", ["mmstar"]),
    .init("SEED-Bench", ["seedbench"]),
    .init("BLINK", ["blink"]),
    .init("RealWorldQA", ["realworldqa"]),
    .init("ScienceQA", ["scienceqa"]),
    .init("CV-Bench", ["cvbench"], CVBenchSummary(), form: .cvBench),
    .init("MMMU", ["mmmudev", "mmmuval", "mmmutest", "mmmu"], form: .mmmu, rule: MMMURule()),
    .init("POPE", ["pope"], POPESummary(), form: .yesNo, rule: YesNoRule()),
    .init("MME", ["mme"], MMESummary(), form: .plain, rule: YesNoRule()),
    .init(
      "HallusionBench", ["hallusionbench"], HallusionBenchSummary(), form: .yesNo,
      rule: YesNoRule()),
    .init("ChartQA", ["chartqa"], form: .short, rule: RelaxedAccuracy()),
    .init("DocVQA", ["docvqa"], MeanSummary("ANLS"), form: .short, rule: ANLS()),
    .init(
      "InfoVQA", ["infovqa", "infographicvqa"], MeanSummary("ANLS"), form: .short, rule: ANLS()),
    .init("TextVQA", ["textvqa"], form: .short, rule: VQAAccuracy()),
    .init(
      "MathVista", ["mathvista"], MathVistaSummary(), form: .open, rule: MathVistaRule()),
    .init("MM-Vet", ["mmvet"], MMVetSummary(), form: .plain, rule: JudgeRule()),
    .init(
      "LLaVABench", ["llavabench", "llavawilder"], LLaVABenchSummary(), form: .open,
      rule: JudgeRule()),
  ]

  /// Any other table: each question by its column `rule`, else by what it looks like.
  public static let other = BenchmarkKind(
    "benchmark", [], MeanSummary(), form: .asItIs, rule: nil, mayLackAnswers: false)

  private init(
    _ name: String, _ files: [String], _ summary: any Summary = MeanSummary(),
    form: QuestionForm = .options, rule: (any AnswerRule)? = ChoiceRule(),
    mayLackAnswers: Bool = true
  ) {
    self.name = name
    self.files = files
    self.form = form
    self.rule = rule
    self.summary = summary
    self.mayLackAnswers = mayLackAnswers
  }

  /// Benchmarks that begin like one of these and are others, scored by what their rows look like.
  private static let strangers = [
    "mmerealworld", "mmecot", "mmesci", "mmecc", "mmereasoning", "mmmupro", "mmbenchvideo",
    "qbenchvideo", "chartqapro", "blinkcircular",
  ]

  /// The benchmark of a name, as the field or VLMEvalKit writes it: its first words, figures behind
  /// them left out.
  public static func named(_ name: String) -> BenchmarkKind? {
    let words = name.lowercased().split { !($0.isASCII && ($0.isLetter || $0.isNumber)) }
    var begun = ""
    let starts = words.map { word in
      begun += word
      return begun
    }
    func names(_ start: String) -> [String] {
      [start, String(start.reversed().drop { $0.isNumber }.reversed())]
    }
    let all = starts.flatMap(names)
    guard !strangers.contains(where: all.contains) else { return nil }
    // The longest: MMBench_DEV_CN is not MMBench alone.
    return all.reversed().lazy.compactMap { start in
      BenchmarkKind.all.first { $0.files.contains(start) }
    }.first
  }

  /// What a file is: by its name, else by columns that one benchmark alone has.
  static func told(byName name: String, columns: [String]) -> BenchmarkKind {
    if let kind = named(name) { return kind }
    let there = Set(columns)
    let marks = [
      ("MathVista", ["question_type", "answer_type", "choices"]), ("LLaVABench", ["gpt4_ans"]),
      ("MMBench", ["g_index"]),
    ]
    let found = marks.first { there.isSuperset(of: $0.1) }
    return found.flatMap { named($0.0) } ?? other
  }

  /// The rule for a question: the benchmark's, else that of its column `rule`, else the one that
  /// fits.
  func ruling(on question: BenchmarkQuestion) -> any AnswerRule {
    if let rule { return rule }
    if let name = question.columns["rule"], let named = AnswerRules.named(name) { return named }
    return AnswerRules.fitting(question)
  }
}

/// Multiple choice in which a question without options is one with two: its answer, and others
/// (VLMEvalKit's `MMMU_preproc`).
struct MMMURule: AnswerRule {
  static let name = "mmmu"

  func mark(_ answer: String, _ question: BenchmarkQuestion) -> Mark {
    guard !question.options.contains(where: { $0.letter == "A" }) else {
      return ChoiceRule().mark(answer, question)
    }
    var closed = question
    closed.options.removeAll { $0.letter == "B" }
    let made: [(letter: Character, text: String)] = [
      ("A", question.rawAnswer), ("B", "Other Answers"),
    ]
    closed.options = made + closed.options
    let isLetter =
      question.rawAnswer.utf8.count == 1 && question.rawAnswer.first?.isUppercase == true
    closed.answer = isLetter ? question.rawAnswer : "A"
    return ChoiceRule().mark(answer, closed)
  }
}
