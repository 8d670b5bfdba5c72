import Artifacts
import Evaluation
import Models

/// All that the page shows, read from a run's folder. What is missing is a gap, stated on the page.
public struct Report: Sendable {
  public let title: String
  public let run: Run
  public let scores: ScoreTable
  /// By backbone, `teacher` and `student`.
  let verbalization: [(backbone: String, curves: VerbalizationCurves)]
  /// VLsI's, then the baseline's.
  let interaction: [(contender: Contender, curves: InteractionCurves)]
  let matches: MatchHistory?
  let finetuning: [Curve]
  let predictions: LayerPredictions
  let layerAnswers: LayerAnswers
  let answers: AnswerTable
  let ablations: [Ablations]
  let costs: [Cost]
  let gaps: [String]
  let names: HubNames

  /// - Parameters:
  ///   - names: what student and teacher are called on the hub, as far as the user says it.
  ///   - questions: the number of held-out questions that every layer of the student answers, before
  ///     and after distillation; that decodes with both models.
  ///   - maxNewTokens: the longest of these answers.
  ///   - passages: the number of samples whose layers are heard.
  ///   - between: called between two steps of decoding, to stop by throwing.
  /// - Throws: `Failure` 66 when there is no run at `path`; what `between` throws.
  public init(
    path: String, title: String, questions: Int = 0, maxNewTokens: Int = 64, passages: Int = 6,
    names: HubNames = HubNames(),
    between: () throws -> Void = {}
  ) throws {
    var run = try Run(path: path)
    self.names = names
    self.title = title.isEmpty ? run.name : title
    scores = ScoreTable(run, title: self.title)
    verbalization = ["teacher", "student"].compactMap { backbone in
      let lines = run.metrics(of: "verbalizers/\(backbone)")
      return VerbalizationCurves(lines, tone: Tone(rawValue: backbone) ?? .other)
        .map { (backbone, $0) }
    }
    let temperature = run.manifest("targets")?.facts["temperature"]?.asDouble ?? 1
    var interaction: [(contender: Contender, curves: InteractionCurves)] = []
    var finetuning: [Curve] = []
    var matches: MatchHistory?
    for contender in [Contender.model, .lastLayer, .sft] {
      var offset = 0
      if let name = contender.adapter, let manifest = run.manifest(name) {
        let lines = run.metrics(of: name)
        let student = Report.layers(manifest, "student_layers")
        let align = manifest.settings["align"]
        if var curves = InteractionCurves(
          lines, studentLayers: student, align: align, tone: contender.tone)
        {
          curves.temperature = temperature
          interaction.append((contender, curves))
        }
        if contender == .model {
          matches = MatchHistory(
            lines, studentLayers: student, teacherLayers: Report.layers(manifest, "teacher_layers"),
            settings: align)
        }
        offset = align?["steps"]?.asInt ?? lines.count
      }
      if let name = contender.finetuned,
        let curve = Curve(
          loss: run.metrics(of: name), label: contender.short, tone: contender.tone, after: offset)
      {
        finetuning.append(curve)
      }
    }
    self.interaction = interaction
    self.matches = matches
    // VLsI's curve is drawn last, and strongest.
    self.finetuning = finetuning.reversed()
    predictions = LayerPredictions(run, count: passages)
    layerAnswers = try LayerAnswers(
      run, count: questions, maxNewTokens: maxNewTokens, between: between)
    answers = AnswerTable(scores, run)
    costs = Cost.all(run)
    ablations = run.ablations()
    gaps = run.gaps + predictions.gaps + layerAnswers.gaps
    self.run = run
  }

  private static func layers(_ manifest: Manifest, _ key: String) -> [Int] {
    (manifest.facts[key]?.asArray ?? []).compactMap(\.asInt)
  }
}
