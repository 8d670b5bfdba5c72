import Artifacts
import Distillation
import Failures
import Kernels
import Qwen2VL
import StageKit
import Tensors
import Training

/// The loss of step 2 on one batch after another: matches every student layer with a teacher layer,
/// sums the chosen divergences and that of the last layers, and passes the gradient back.
final class Interaction {
  let parameters: [Parameter]
  let studentLayers: [Int]
  let teacherLayers: [Int]
  private let settings: AlignSettings
  private let model: Qwen2VL
  private let head: LanguageHead
  private let verbalizers: VerbalizerSet
  private let targets: TargetReader
  private let visual: ArtifactReader?
  private let matching: LayerMatching
  private var generator: SplitMix64

  /// Throws 65 when the parts do not fit together, 78 when there are more student than teacher
  /// layers or the options of the matching exclude each other.
  init(
    settings: AlignSettings, backbone: Backbone, verbalizers: ArtifactReader,
    targets: TargetReader, visual: ArtifactReader?, seed: UInt64
  ) throws {
    self.settings = settings
    model = backbone.model
    self.targets = targets
    self.visual = visual
    self.verbalizers = try VerbalizerSet(verbalizers)
    if settings.trainVerbalizers { self.verbalizers.all.forEach { $0.train() } }
    guard targets.width == model.config.text.hiddenSize else {
      throw Failure(
        .badData, "the targets were made for a student of another width",
        at: targets.artifact.directory, expected: "\(model.config.text.hiddenSize)",
        found: "\(targets.width)", advice: "Run vlsi-target with this student.")
    }
    head = try LanguageHead(model.head).prefix(targets.sharedVocabulary)
    studentLayers = self.verbalizers.layers
    teacherLayers = targets.layers
    matching = settings.layerMatching
    try matching.check(studentLayers: studentLayers.count, teacherLayers: teacherLayers.count)
    generator = SplitMix64(seed: seed ^ 0xA119)
    var start = SplitMix64(seed: seed ^ 0x10_4A)
    LowRankAdapters.attach(
      to: model, rank: settings.loraRank, alpha: Float(settings.loraAlpha)
    ) { start.uniform() }
    parameters =
      LowRankAdapters.parameters(of: model)
      + (settings.trainVerbalizers ? self.verbalizers.all.flatMap(\.parameters) : [])
  }

  /// Whether the target layers take part at all.
  private var speaks: Bool {
    settings.intermediateLoss == .kl && settings.intermediateWeight > 0
  }

  /// What a continued run needs besides the parameters: the state of the sampling.
  var words: [String: String] {
    get { ["matching": String(generator.state)] }
    set { if let state = newValue["matching"].flatMap(UInt64.init) { generator.state = state } }
  }

  /// Writes the verbalizers as they are after a training that changed them.
  func writeVerbalizers(to path: String) throws { try verbalizers.write(to: path) }

  /// The loss and its gradient over one optimizer step's batches. Returns the metrics: the loss, its
  /// terms, the matches of every batch with the entropy of their sampling beside its maximum.
  func step(_ batches: MicroBatches) throws -> [(key: String, value: SettingValue)] {
    var terms = [Double](repeating: 0, count: studentLayers.count)
    var last = 0.0
    var matches: [SettingValue] = []
    var entropy = [Double](repeating: 0, count: studentLayers.count)
    var largest = entropy
    for pass in batches.passes {
      let examples = try batches.examples(pass)
      let packed = ExampleBatch(examples, model: model)
      let share = Float(packed.rows.count) / batches.supervisedPositions
      let tape = Tape(recording: true)
      let wanted = speaks ? Set(studentLayers) : []
      let output = model.forward(
        packed.batch, tape: tape, layers: wanted, rows: packed.rows,
        visual: try visualEmbeddings(examples),
        checkpointing: settings.training.gradientCheckpointing)
      let teacher = try softTargets(examples)
      var losses: [Tensor] = []
      if speaks {
        let answers = zip(examples, packed.stretches).flatMap {
          Verbalizer.answers($0.positions, from: $1.lowerBound)
        }
        let spoken = try zip(studentLayers, verbalizers.all).map { layer, verbalizer in
          guard let hidden = output.hidden[layer] else {
            throw Failure(
              .badData, "the student has no layer \(layer)",
              expected: "1 to \(model.config.text.layers)")
          }
          return tape.speak(verbalizer.forward(tape, hidden, answers: answers), head)
        }
        let table = try divergenceTable(spoken, teacher.layers)
        let found = try matching.match(table, using: &generator)
        for (i, match) in found.enumerated() {
          for j in match.chosen {
            losses.append(
              try tape.kullbackLeibler(
                spoken[i], teacher.layers[j],
                normaliser: batches.supervisedPositions * Float(match.chosen.count)
                  / Float(settings.intermediateWeight)))
            terms[i] += Double(table[i][j] * share) / Double(match.chosen.count)
          }
          entropy[i] += match.entropy / Double(batches.passes.count)
          largest[i] += match.maximumEntropy / Double(batches.passes.count)
        }
        matches.append(
          .list(found.map { .list($0.chosen.map { .int(teacherLayers[$0]) }) }))
      }
      if settings.lastLoss == .kl, settings.lastWeight > 0 {
        let spoken = tape.speak(output.last, head)
        let divergence = try tape.kullbackLeibler(
          spoken, teacher.last,
          normaliser: batches.supervisedPositions / Float(settings.lastWeight))
        last += Double(divergence.scalar) / settings.lastWeight
        losses.append(divergence)
      }
      tape.backward(losses)
    }
    let total =
      settings.intermediateWeight * terms.reduce(0, +) + settings.lastWeight * last
    return [
      ("loss", .number(total)), ("last", .number(last)),
      ("intermediate", .list(terms.map { .number($0) })), ("matches", .list(matches)),
      ("entropy", .list(entropy.map { .number($0) })),
      ("maximum_entropy", .list(largest.map { .number($0) })),
    ]
  }

  /// What the teacher's layers and its last layer say at all positions of these samples.
  private func softTargets(
    _ examples: [Example]
  ) throws -> (layers: [SoftTarget], last: SoftTarget) {
    let intermediate = speaks ? teacherLayers : []
    let wanted = TargetLayer.all(intermediate)
    var parts: [TargetLayer: [SoftTarget]] = [:]
    for example in examples {
      let record = try targets.targets(example.index, layers: wanted)
      guard record.positions == example.positions else {
        throw Failure(
          .badData, "the targets were made at other positions than the sample's",
          at: targets.artifact.place(of: example.index), advice: "Run vlsi-target again.")
      }
      for layer in wanted { parts[layer, default: []] += record.layers[layer].map { [$0] } ?? [] }
    }
    return (
      try intermediate.map { try .joined(parts[.layer($0)] ?? []) },
      try .joined(parts[.last] ?? [])
    )
  }

  /// The stored visual embeddings of these samples [visual tokens, d], or nil to encode the images.
  private func visualEmbeddings(_ examples: [Example]) throws -> Tensor? {
    guard let visual else { return nil }
    var values: [Float] = []
    for example in examples {
      if let tensor = try visual.record(example.index).tensors["visual"] {
        values += try tensor.floats()
      }
    }
    let width = model.config.text.hiddenSize
    return values.isEmpty ? nil : Tensor(values, [values.count / width, width])
  }
}

extension AlignSettings {
  /// Algorithm 1 with the preset's options.
  var layerMatching: LayerMatching {
    let strategy: LayerMatching.Strategy =
      switch matching {
      case .multinomial: .multinomial
      case .random: .random
      case .uniform: .uniform
      case .bottom1: .bottom1
      case .bottom3: .bottom3
      }
    return LayerMatching(
      strategy: strategy, searchRange: searchRange, orderPreservation: orderPreservation,
      adaptiveTemperature: adaptiveTemperature)
  }
}
