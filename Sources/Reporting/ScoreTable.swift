import Artifacts
import Evaluation
import Failures

/// The closing table: what each model scores on the held-out questions, and how far VLsI is ahead.
public struct ScoreTable: Sendable {
  public struct Row: Sendable {
    public var contender: Contender
    /// One for each seed; none when the model was not evaluated.
    public var evaluations: [Evaluated] = []
    /// The share of right answers, over seeds where there are several.
    public var accuracy: Estimate?
    /// Student steps of align and of finetune; nil for models that were not trained in the run.
    public var steps: (align: Int, finetune: Int)?
    /// VLsI less this row, on the same questions, seed by seed.
    public var difference: Estimate?
    /// Why there is no score or no difference.
    public var note: String?

    /// The share of right answers in one task.
    func accuracy(_ task: String) -> Estimate? {
      let scores = evaluations.compactMap { evaluated in
        evaluated.scores.categories.first { $0.name == task }?.score
      }
      return Estimate(scores.map(\.accuracy), sampling: scores.first?.standardError ?? 0)
    }
  }

  /// What one seed's model answered.
  public struct Evaluated: Sendable {
    /// The seed's folder; empty where the model has one evaluation.
    public var seed: String
    public var predictions: [Prediction]
    public var scores: Scores
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

  /// The most seeds of a model.
  public var seeds: Int { rows.map(\.evaluations.count).max() ?? 0 }

  /// Reads the run's evaluations. What cannot be read is a note in its row.
  public init(_ run: Run, title: String) {
    self.title = title
    let others = run.contenders.filter { !Contender.known.contains($0) }
    for contender in Contender.known + others { rows.append(ScoreTable.row(contender, run)) }
    let reference = self[.model]?.evaluations ?? []
    for number in rows.indices where rows[number].contender != .model {
      guard !reference.isEmpty, !rows[number].evaluations.isEmpty else { continue }
      do {
        rows[number].difference = try ScoreTable.difference(reference, rows[number].evaluations)
        if rows[number].difference == nil { rows[number].note = "other seeds" }
      } catch {
        rows[number].note = "other questions"
      }
    }
    let longest = rows.flatMap(\.evaluations).map(\.scores)
      .max { $0.overall.questions < $1.overall.questions }
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
    for (seed, artifact) in run.evaluations(of: contender) {
      do {
        let predictions = try Predictions.read(run.path("\(artifact.name)/predictions.jsonl"))
        row.evaluations.append(
          Evaluated(seed: seed, predictions: predictions, scores: Scores(predictions)))
      } catch {
        row.note = (error as? Failure)?.what ?? "\(error)"
      }
    }
    row.accuracy = Estimate(
      row.evaluations.map(\.scores.overall.accuracy),
      sampling: row.evaluations.first?.scores.overall.standardError ?? 0)
    if row.accuracy == nil, row.note == nil {
      row.note =
        run.contenders.contains(contender) ? "evaluation \(run.state(of: contender))" : "not run"
    }
    return row
  }

  /// The paired differences over the seeds that both have; an evaluation without seeds, such as the
  /// teacher's, stands for all. Nil when no seed is common; throws when the questions differ.
  private static func difference(_ own: [Evaluated], _ other: [Evaluated]) throws -> Estimate? {
    let pairs = own.flatMap { own in
      other.filter { $0.seed == own.seed || $0.seed.isEmpty || own.seed.isEmpty }.map { (own, $0) }
    }
    let differences = try pairs.map { try PairedDifference($0.0.predictions, $0.1.predictions) }
    return Estimate(
      differences.map(\.difference), sampling: differences.first?.standardError ?? 0)
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

  /// Held-out questions of one task.
  func questions(in task: String) -> Int {
    rows.flatMap(\.evaluations).compactMap { evaluated in
      evaluated.scores.categories.first { $0.name == task }?.score.questions
    }.max() ?? 0
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
    let points = 100 * difference.mean
    let seeds = difference.values.count
    let figures =
      "\(Format.signed(points)) points ± \(Format.fixed(100 * difference.error, 1))"
      + (seeds > 1 ? " over \(seeds) seeds" : "")
    let other = contender.label
    if !difference.isCertain { return "No advantage of VLsI over \(other): \(figures)." }
    return points > 0
      ? "VLsI is ahead of \(other): \(figures)." : "VLsI is behind \(other): \(figures)."
  }

  /// What speaks against comparing the rows, in words.
  public var warnings: [String] {
    var found: [String] = []
    if let own = self[.model]?.steps {
      for contender in [Contender.sft, .lastLayer] {
        guard let steps = self[contender]?.steps else { continue }
        if steps.align &+ steps.finetune != own.align &+ own.finetune {
          found.append(
            "\(contender.label) had \(steps.align &+ steps.finetune) student steps, "
              + "VLsI \(own.align &+ own.finetune): not the same budget")
        }
      }
    }
    return found
  }

  /// What ± means here, and what it does not say.
  public var errorNote: String {
    seeds > 1
      ? "Over several seeds ± is the standard error of their mean, an interval 95% by Student’s t; "
        + "of one evaluation it is the error of sampling the questions."
      : "± is the error of sampling the questions. This is one seed; seeds differ by more."
  }
}
