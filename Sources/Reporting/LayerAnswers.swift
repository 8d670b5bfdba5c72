import Decoding
import Artifacts
import Distillation
import Evaluation
import Failures
import Imaging
import Models
import Tokenization
import Training

/// What each layer of the student answers on its own to held-out questions, word after word by
/// itself, before and after distillation (the paper's figure 3).
public struct LayerAnswers: Sendable {
  struct Row: Sendable {
    var question: BenchmarkQuestion
    /// A PNG file.
    var image: [UInt8]?
    /// By backbone; in each, shallow to deep, the model itself last.
    var given: [(backbone: String, answers: [Answered])]
  }

  struct Answered: Sendable {
    /// `2` or `last`
    var layer: String
    var text: String
    var isRight: Bool
  }

  var rows: [Row] = []
  /// What could not be heard, with the reason.
  var gaps: [String] = []

  /// Nobody is asked.
  init() {}

  /// Asks up to `count` questions, the middle one of as many tasks.
  /// - Parameters:
  ///   - maxNewTokens: the longest answer.
  ///   - between: called between two steps, to stop by throwing; what it throws is thrown.
  init(
    _ run: Run, count: Int, maxNewTokens: Int, between: () throws -> Void
  ) throws {
    guard count > 0, let asked = run.asked(.model).first,
      let path = asked.facts["benchmark"]?.asString
    else { return }
    do {
      guard try Fingerprint.file(path) == asked.inputs["benchmark"] else {
        throw Failure(.badData, "the benchmark is another one than was asked", at: path)
      }
      let benchmark = try Benchmark(
        contentsOf: path, allowsOutside: asked.allowsOutsideImages)
      let questions = LayerAnswers.chosen(benchmark.questions, count: count)
      rows = questions.map { Row(question: $0, image: nil, given: []) }
      for backbone in ["student", "model"] {
        let layers = try AnsweringLayers(run, backbone, prompt: asked.prompt)
        for number in rows.indices {
          let pictures = try questions[number].pictures.map {
            try benchmark.image($0)
          }
          rows[number].image = try pictures.first?.small(160).pngData()
          rows[number].given.append(
            (
              backbone,
              try layers.ask(
                questions[number], pictures, kind: benchmark.kind, maxNewTokens: maxNewTokens,
                between: between)
            ))
        }
      }
    } catch let failure as Failure where failure.code != .interrupted {
      rows = []
      gaps = ["what the layers answer: \(failure)"]
    }
  }

  /// The middle question of up to `count` tasks, which are evenly spread.
  static func chosen(_ questions: [BenchmarkQuestion], count: Int) -> [BenchmarkQuestion] {
    var tasks: [String] = []
    var byTask: [String: [BenchmarkQuestion]] = [:]
    for question in questions {
      if byTask[question.category] == nil { tasks.append(question.category) }
      byTask[question.category, default: []].append(question)
    }
    return LayerPredictions.spread(count, of: tasks.count).compactMap { place in
      byTask[tasks[place]].flatMap { $0.at($0.count / 2) }
    }
  }
}

/// A backbone whose layers answer.
private struct AnsweringLayers {
  private let backbone: Backbone
  private let builder: PromptBuilder
  private let style: PromptStyle
  private let defaults: GenerationDefaults
  private let readouts: [(layer: String, readout: Readout)]

  /// - Parameter prompt: the setting `evaluate.prompt`
  init(_ run: Run, _ role: String, prompt: String) throws {
    let contender: Contender = role == "model" ? .model : .student
    guard
      let directory = run.evaluations(of: contender).first?.artifact.manifest.facts["model"]?
        .asString
    else { throw Failure(.inputMissing, "the \(contender.label) was not evaluated", at: run.path) }
    backbone = try Backbone(directory)
    builder = PromptBuilder(backbone.parts)
    style = try PromptStyle(
      setting: prompt, hasAdapted: type(of: backbone.config).hasAdaptedQuestions)
    defaults = try GenerationDefaults(directory: directory)
    let verbalizers = try VerbalizerSet(run, of: role)
    let text = backbone.config.text
    guard verbalizers.width == text.hiddenSize,
      verbalizers.layers.allSatisfy({ (1...text.layers).contains($0) })
    else {
      throw Failure(
        .badData, "the verbalizers do not fit the model", at: directory,
        expected: "width \(text.hiddenSize), layers 1 to \(text.layers)",
        found: "width \(verbalizers.width), layers \(verbalizers.layers)")
    }
    let layers = verbalizers.all.map { (String($0.layer), $0.readout) }
    readouts = layers + [("last", backbone.model.readout)]
  }

  func ask(
    _ question: BenchmarkQuestion, _ pictures: [RGBImage], kind: BenchmarkKind, maxNewTokens: Int,
    between: () throws -> Void
  ) throws -> [LayerAnswers.Answered] {
    let parts = kind.prompt(question, style)
    let content: [Turn.Part] = parts.map { part in part.text.map { .text($0) } ?? .image }
    let prompt = try builder.prompt(
      [Turn(role: .user, content: content)],
      images: parts.compactMap { $0.picture }.map { pictures[$0] })
    guard backbone.model.room(after: prompt) > 0 else {
      throw Failure(
        .badData, "the question fills all positions of the model", at: "question \(question.index)")
    }
    var settings = GenerationSettings(
      maxNewTokens: maxNewTokens, stop: defaults.stop.union([builder.end]))
    settings.repetitionPenalty = defaults.repetitionPenalty
    let answers = try backbone.model.generate(
      [prompt], readouts: readouts.map(\.readout), settings, between: between
    ) { _, _ in }
    return zip(readouts, answers).map { readout, answer in
      let text = backbone.tokenizer.decode(answer.tokens, skipSpecialTokens: true)
      return LayerAnswers.Answered(
        layer: readout.layer, text: text,
        isRight: Prediction(text, for: question, kind: kind).isCorrect)
    }
  }
}
