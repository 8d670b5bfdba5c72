import Artifacts
import Evaluation

/// All that the page shows, read from a run's folder. What is missing is a gap, stated on the page.
public struct Report: Sendable {
  public let title: String
  public let run: Run
  public let scores: ScoreTable
  /// By backbone, `teacher` and `student`.
  let verbalization: [(backbone: String, curves: VerbalizationCurves)]
  /// VLsI's, then the baseline's.
  let interaction: [(label: String, curves: InteractionCurves)]
  let matches: MatchHistory?
  let finetuning: [Curve]
  let speech: Speech
  let answers: AnswerTable
  let gaps: [String]

  /// - Parameter passages: the number of samples whose layers are heard.
  /// - Throws: `Failure` 66 when there is no run at `path`.
  public init(path: String, title: String, passages: Int = 8) throws {
    var run = try Run(path: path)
    self.title = title.isEmpty ? run.name : title
    scores = ScoreTable(run, title: self.title)
    verbalization = ["teacher", "student"].compactMap { backbone in
      VerbalizationCurves(run.metrics(of: "verbalizers/\(backbone)")).map { (backbone, $0) }
    }
    var interaction: [(label: String, curves: InteractionCurves)] = []
    var finetuning: [Curve] = []
    var matches: MatchHistory?
    for contender in [Contender.model, .lastLayer, .sft] {
      var offset = 0
      if let name = contender.adapter, let manifest = run.manifest(name) {
        let lines = run.metrics(of: name)
        let student = Report.layers(manifest, "student_layers")
        if let curves = InteractionCurves(lines, studentLayers: student) {
          interaction.append((contender.short, curves))
        }
        if contender == .model {
          matches = MatchHistory(
            lines, studentLayers: student, teacherLayers: Report.layers(manifest, "teacher_layers"),
            settings: manifest.settings["align"])
        }
        offset = manifest.settings["align"]?["steps"]?.asInt ?? lines.count
      }
      if let name = contender.finetuned,
        let curve = Curve(loss: run.metrics(of: name), label: contender.short, after: offset)
      {
        finetuning.append(curve)
      }
    }
    self.interaction = interaction
    self.matches = matches
    // VLsI's curve is drawn last, and strongest.
    self.finetuning = finetuning.reversed()
    speech = Speech(run, count: passages)
    answers = AnswerTable(scores, run)
    gaps = run.gaps + speech.gaps
    self.run = run
  }

  private static func layers(_ manifest: Manifest, _ key: String) -> [Int] {
    (manifest.facts[key]?.asArray ?? []).compactMap(\.asInt)
  }
}

/// A few held-out questions with what every model answered.
struct AnswerTable: Sendable {
  struct Row: Sendable {
    var task: String
    var question: String
    var answer: String
    /// A PNG file.
    var image: [UInt8]?
    /// By contender, in the columns' order; nil where it was not asked.
    var given: [(text: String, isRight: Bool)?]
  }

  var contenders: [Contender] = []
  var rows: [Row] = []

  /// Two questions of each task, a third and two thirds into it: chosen by place, not by outcome.
  init(_ scores: ScoreTable, _ run: Run, perTask: Int = 2) {
    let asked = scores.rows.filter { !$0.predictions.isEmpty }
    guard let first = asked.last else { return }
    contenders = asked.map(\.contender)
    let byIndex = asked.map { row in
      Dictionary(row.predictions.map { ($0.index, $0) }, uniquingKeysWith: { first, _ in first })
    }
    let pictures = Pictures(run, first.contender)
    let tasks = Dictionary(grouping: first.predictions, by: \.category)
    for task in scores.tasks {
      let questions = tasks[task] ?? []
      let places = Set((1...perTask).map { questions.count * $0 / (perTask + 1) }).sorted()
      for place in places where questions.indices.contains(place) {
        let question = questions[place]
        rows.append(
          Row(
            task: task, question: question.question, answer: question.answer,
            image: pictures.image(of: question.index),
            given: byIndex.map { predictions in
              predictions[question.index].map { ($0.prediction, $0.isCorrect) }
            }))
      }
    }
  }
}
