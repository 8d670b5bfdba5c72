import Artifacts
import Evaluation
import Failures

/// The models that a run compares, in the order of the closing table.
public enum Contender: String, CaseIterable, Sendable {
  case teacher, student, sft
  case lastLayer = "last-layer"
  case model

  /// The row's words.
  public var label: String {
    switch self {
    case .teacher: "teacher"
    case .student: "student as it is"
    case .sft: "SFT alone"
    case .lastLayer: "last-layer distillation, then SFT"
    case .model: "VLsI, then SFT"
    }
  }

  /// The column's words.
  public var short: String {
    switch self {
    case .teacher: "teacher"
    case .student: "student"
    case .sft: "SFT"
    case .lastLayer: "last layer"
    case .model: "VLsI"
    }
  }

  var evaluation: String { "evaluation/\(rawValue)" }
  /// Where the trained ones' artifacts lie below the run.
  var adapter: String? {
    switch self {
    case .lastLayer: "compare/last-layer/adapter"
    case .model: "adapter"
    default: nil
    }
  }
  var finetuned: String? {
    switch self {
    case .sft, .lastLayer: "compare/\(rawValue)/model"
    case .model: "model"
    default: nil
    }
  }
}

/// The closing table: what each model scores on the held-out questions, and how far VLsI is ahead.
public struct ScoreTable: Sendable {
  public struct Row: Sendable {
    public var contender: Contender
    /// Nil when the model was not evaluated.
    public var scores: Scores?
    public var predictions: [Prediction] = []
    /// Student steps of align and of finetune; nil for models that were not trained in the run.
    public var steps: (align: Int, finetune: Int)?
    /// VLsI less this row, on the same questions.
    public var difference: PairedDifference?
    /// Why there is no score or no difference.
    public var note: String?
  }

  public var title: String
  public var rows: [Row] = []
  /// Held-out questions, 0 when nothing was evaluated.
  public var questions = 0
  /// Tasks in the benchmark's order.
  public var tasks: [String] = []
  /// Wrong answers among the training answers, from the data set's own count.
  public var wrong: (answers: Int, questions: Int)?
  /// What guessing from the question alone reaches, 0 to 1: overall and by task.
  public var guessing: (overall: Double, tasks: [String: Double])?

  public subscript(_ contender: Contender) -> Row? {
    rows.first { $0.contender == contender }
  }

  /// Reads the run's evaluations. What cannot be read is a note in its row.
  public init(_ run: Run, title: String) {
    self.title = title
    for contender in Contender.allCases { rows.append(ScoreTable.row(contender, run)) }
    let reference = self[.model].flatMap { $0.scores == nil ? nil : $0 }
    for number in rows.indices {
      let row = rows[number]
      guard let reference, row.contender != .model, row.scores != nil else { continue }
      do {
        rows[number].difference = try PairedDifference(
          reference.predictions, row.predictions, place: row.contender.evaluation)
      } catch {
        rows[number].note = "other questions"
      }
    }
    let longest = rows.compactMap(\.scores).max { $0.overall.questions < $1.overall.questions }
    questions = longest?.overall.questions ?? 0
    tasks = longest?.categories.map(\.name) ?? []
    read(run.synthesis)
  }

  private static func row(_ contender: Contender, _ run: Run) -> Row {
    var row = Row(contender: contender)
    if let model = contender.finetuned.flatMap({ run.manifest($0) }) {
      let align = contender.adapter.flatMap { run.manifest($0) }
      row.steps = (
        align?.settings["align"]?["steps"]?.asInt ?? 0,
        model.settings["finetune"]?["steps"]?.asInt ?? 0
      )
    }
    guard run.manifest(contender.evaluation) != nil else {
      let isThere = Files.isDirectory(run.path(contender.evaluation))
      row.note = isThere ? "evaluation unfinished" : "not run"
      return row
    }
    do {
      row.predictions = try Predictions.read(run.path("\(contender.evaluation)/predictions.jsonl"))
      row.scores = Scores(row.predictions)
    } catch let failure as Failure {
      row.note = failure.what
    } catch {
      row.note = "\(error)"
    }
    return row
  }

  /// What is known about an embedded data set.
  private mutating func read(_ synthesis: JSON?) {
    guard let splits = synthesis?["splits"] else { return }
    if let train = splits["train"], let answers = train["wrong_answers"]?.asInt,
      let questions = train["questions"]?.asInt, questions > 0
    {
      wrong = (answers, questions)
    }
    if let guessing = splits["test"]?["guessing"]?.asObject,
      let overall = guessing["overall"]?.asDouble
    {
      self.guessing = (overall, guessing.compactMapValues(\.asDouble))
    }
  }

  // MARK: Words

  /// What the held-out answers are worth, and how many training answers were wrong.
  public var wrongShare: String? {
    wrong.map {
      let share = Format.percent(Double($0.answers) / Double($0.questions))
      return "\(share)% of the training answers are wrong "
        + "(\(Format.count($0.answers)) of \(Format.count($0.questions))); "
        + "no held-out answer is"
    }
  }

  /// How VLsI stands to another row, in one sentence; nil without both.
  public func verdict(against contender: Contender) -> String? {
    guard let difference = self[contender]?.difference else { return nil }
    let points = 100 * difference.difference, error = 100 * difference.standardError
    let figures = "\(Format.signed(points)) points ± \(Format.fixed(error, 1))"
    let other = contender.label
    if abs(points) <= 2 * error || points == 0 {
      return "No advantage of VLsI over \(other): \(figures)."
    }
    return points > 0
      ? "VLsI is ahead of \(other): \(figures)." : "VLsI is behind \(other): \(figures)."
  }

  /// What speaks against comparing the rows, in words.
  public var warnings: [String] {
    var found: [String] = []
    if let own = self[.model]?.steps {
      for contender in [Contender.sft, .lastLayer] {
        guard let steps = self[contender]?.steps else { continue }
        if steps.align + steps.finetune != own.align + own.finetune {
          found.append(
            "\(contender.label) had \(steps.align + steps.finetune) student steps, "
              + "VLsI \(own.align + own.finetune): not the same budget")
        }
      }
    }
    return found
  }

  /// What a difference here does not say.
  public static let seedNote =
    "The error is that of sampling the questions. This is one seed; seeds differ by more."
}
