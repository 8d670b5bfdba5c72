import Artifacts
import Distillation
import Failures
import Kernels
import Models
import Planning
import StageKit
import Tensors
import Training

/// Step 2 over stored artifacts: the parts of the interaction, opened and held against each other,
/// and what learns.
struct Alignment {
  let interaction: Interaction
  let parameters: [Parameter]
  private let settings: AlignSettings
  private let model: VisionLanguageModel
  private let teacher: Teacher
  private let visual: VisualEmbeddings?
  private let memory: TrainingMemory
  private let seed: UInt64

  /// - Parameters:
  ///   - place: of the verbalizers
  ///   - teacher: its checkpoint; nil takes the one that the targets name
  ///   - visual: stored visual embeddings, or nil to encode the images
  ///   - memory: what passes take, which tells what of them is computed again
  /// - Throws: 65 when the parts do not fit together, 78 when the preset's options exclude each
  ///   other or need more than the targets hold.
  init(
    settings: AlignSettings, backbone: Backbone, verbalizers: VerbalizerSet, at place: String,
    targets: TargetReader, teacher: String?, visual: VisualEmbeddings?,
    memory: TrainingMemory, seed: UInt64
  ) throws {
    self.settings = settings
    self.visual = visual
    self.memory = memory
    self.seed = seed
    model = backbone.model
    let text = model.config.text
    let intermediate = settings.intermediateTerm(temperature: targets.temperature)
    let last = settings.lastTerm(temperature: targets.temperature)
    try settings.check(intermediate, last)
    let throughHead = [settings.languageHead ? intermediate : nil, last].compactMap { $0 }
    self.teacher = try Teacher(
      targets, losses: [intermediate, last].filter(\.counts).map(\.kind),
      needsHead: throughHead.contains { $0.counts && $0.kind.needsVectors }, directory: teacher)
    if settings.trainVerbalizers { verbalizers.all.forEach { $0.train() } }
    guard targets.width == text.hiddenSize else {
      throw Failure(
        .badData, "the targets were made for a student of another width",
        at: targets.artifact.directory, expected: "\(text.hiddenSize)",
        found: "\(targets.width)", advice: "Run vlsi-target with this student.")
    }
    if intermediate.counts, let layer = verbalizers.layers.first(where: { $0 > text.layers }) {
      throw Failure(
        .badData, "the student has no layer \(layer)", at: place,
        expected: "1 to \(text.layers)")
    }
    var widening: [Parameter]?
    if !settings.languageHead {
      guard let teacherWidth = targets.teacherWidth else {
        throw Failure(
          .badData, "the targets do not tell the teacher's width", at: targets.artifact.directory,
          advice: "Run vlsi-target again")
      }
      widening = Interaction.widening(
        layers: verbalizers.layers, from: text.hiddenSize, to: teacherWidth, seed: seed)
    }
    interaction = try Interaction(
      verbalizers: verbalizers, head: LanguageHead(model.head).prefix(targets.sharedVocabulary),
      teacherLayers: targets.layers, matching: settings.layerMatching, intermediate: intermediate,
      last: last, widening: widening)
    switch settings.weights {
    case .lora:
      var start = SplitMix64(seed: seed ^ 0x10_4A)
      LowRankAdapters.attach(
        to: model, rank: settings.loraRank, alpha: Float(settings.loraAlpha)
      ) { start.uniform() }
    case .full: model.train([.language])
    }
    parameters =
      LowRankAdapters.parameters(of: model) + model.parameters.filter(\.trainable)
      + (settings.trainVerbalizers ? verbalizers.all.flatMap(\.parameters) : [])
      + (widening ?? [])
  }

  /// The gradients of optimizer step `step`, of this rank's passes. Returns the step's metrics: the
  /// loss, its terms with the norms of their gradients, the matches of every batch with the entropy of
  /// their sampling beside its maximum.
  func step(
    _ step: Int, _ batches: MicroBatches, for training: ParallelOptimizers
  ) throws -> [(key: String, value: SettingValue)] {
    let measures = InteractionMeasures(studentLayers: interaction.verbalizers.layers.count)
    let loss = try batches.accumulateGradients(
      in: model, for: training, layers: interaction.layersRead, visual: visual,
      recomputing: memory.recomputation
    ) { pass, tape, output in
      measures.begin(pass: pass.number)
      var generator = LayerMatching.generator(seed: seed, step: step, pass: pass.number)
      return try interaction.losses(
        tape, output, labels: pass.batch.labels, answers: pass.batch.answers,
        teacherOutputs: interaction.needsTeacher ? teacher.outputs(pass.examples) : nil,
        normaliser: pass.normaliser, measures: measures, using: &generator)
    }
    let sum = try training.ranks.sum([loss])[0]
    let all = try training.ranks.gather(measures.words).map(InteractionMeasures.init(words:))
    return InteractionMeasures(of: all).line(loss: sum, teacherLayers: interaction.teacherLayers)
  }
}

extension InteractionMeasures {
  /// The line for `metrics.jsonl`.
  func line(loss: Double, teacherLayers: [Int]) -> [(key: String, value: SettingValue)] {
    func list(_ numbers: [Double]) -> SettingValue { .list(numbers.map { .number($0) }) }
    let chosen = matches.map { batch in
      SettingValue.list(batch.map { .list($0.chosen.map { .int(teacherLayers[$0]) }) })
    }
    return [
      ("loss", .number(loss)), ("last", .number(last)), ("intermediate", list(intermediate)),
      ("matches", .list(chosen)), ("entropy", list(entropies)),
      ("maximum_entropy", list(maximumEntropies)), ("last_gradient", .number(lastGradientNorm)),
      ("intermediate_gradient", list(gradientNorms)),
    ]
  }
}
