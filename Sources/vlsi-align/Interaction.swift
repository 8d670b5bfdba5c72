import Artifacts
import Distillation
import Failures
import Kernels
import Qwen2VL
import StageKit
import Tensors
import Training

/// The loss of step 2 on one batch after another: matches every student layer with a teacher layer,
/// sums the chosen terms and that of the last layers, and passes the gradient back.
final class Interaction {
  let parameters: [Parameter]
  let studentLayers: [Int]
  let teacherLayers: [Int]
  private let settings: AlignSettings
  private let model: Qwen2VL
  private let head: LanguageHead
  private let verbalizers: VerbalizerSet
  private let teacher: Teacher
  private let visual: ArtifactReader?
  private let matching: LayerMatching
  private let intermediate: LossTerm
  private let last: LossTerm
  /// Without a language head: what widens each student layer's vectors to the teacher's d
  /// [d of the teacher, d]; none where they are as wide.
  private let widening: [Parameter]
  private let seed: UInt64

  /// Throws 65 when the parts do not fit together, 78 when the preset's options exclude each other
  /// or need more than the targets hold.
  init(
    settings: AlignSettings, backbone: Backbone, verbalizers: ArtifactReader,
    targets: TargetReader, teacher: String?, visual: ArtifactReader?, seed: UInt64
  ) throws {
    self.settings = settings
    model = backbone.model
    self.visual = visual
    intermediate = settings.intermediateTerm(temperature: targets.temperature)
    last = settings.lastTerm(temperature: targets.temperature)
    try settings.check(intermediate, last)
    let spoken = [settings.languageHead ? intermediate : nil, last].compactMap { $0 }
    self.teacher = try Teacher(
      targets, losses: [intermediate, last].filter(\.counts).map(\.kind),
      needsHead: spoken.contains { $0.counts && $0.kind.needsVectors }, directory: teacher)
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
    let depth = model.config.text.layers
    if intermediate.counts, let layer = studentLayers.first(where: { $0 > depth }) {
      throw Failure(
        .badData, "the student has no layer \(layer)", at: verbalizers.directory,
        expected: "1 to \(depth)")
    }
    teacherLayers = targets.layers
    matching = settings.layerMatching
    if intermediate.counts, intermediate.kind.needsTeacher {
      try matching.check(studentLayers: studentLayers.count, teacherLayers: teacherLayers.count)
    }
    self.seed = seed
    widening =
      settings.languageHead
      ? [] : try Self.widening(studentLayers, from: model.config.text.hiddenSize, targets, seed)
    var learning = settings.trainVerbalizers ? self.verbalizers.all.flatMap(\.parameters) : []
    learning += widening
    switch settings.weights {
    case .lora:
      var start = SplitMix64(seed: seed ^ 0x10_4A)
      LowRankAdapters.attach(
        to: model, rank: settings.loraRank, alpha: Float(settings.loraAlpha)
      ) { start.uniform() }
      parameters = LowRankAdapters.parameters(of: model) + learning
    case .full:
      model.train([.language])
      parameters = model.parameters.filter(\.trainable) + learning
    }
  }

  private static func widening(
    _ layers: [Int], from width: Int, _ targets: TargetReader, _ seed: UInt64
  ) throws -> [Parameter] {
    guard let wide = targets.teacherWidth else {
      throw Failure(
        .badData, "the targets do not tell the teacher's width", at: targets.artifact.directory,
        advice: "Run vlsi-target again")
    }
    if wide == width { return [] }
    var start = SplitMix64(seed: seed ^ 0x51_DE)
    return layers.map { layer in
      Parameter(
        "layers.\(layer).widening.weight", shape: [wide, width],
        values: (0..<wide * width).map { _ in
          Float(start.normal() / Double(width).squareRoot())
        }, trainable: true)
    }
  }

  /// Writes the verbalizers as they are after a training that changed them.
  func writeVerbalizers(to path: String) throws { try verbalizers.write(to: path) }

  // MARK: A step

  /// The loss and its gradient over the batches of optimizer step `step`. Returns the metrics: the
  /// loss, its terms with the norms of their gradients, the matches of every batch with the entropy
  /// of their sampling beside its maximum.
  func step(_ step: Int, _ batches: MicroBatches) throws -> [(key: String, value: SettingValue)] {
    let log = StepLog(layers: studentLayers.count)
    let total = try batches.accumulateGradients(
      in: model, layers: intermediate.counts ? Set(studentLayers) : [],
      checkpointing: settings.training.gradientCheckpointing, visual: visualEmbeddings
    ) { pass, tape, output in
      var generator = LayerMatching.generator(seed: seed, step: step, pass: pass.number)
      let needsTeacher = [intermediate, last].contains { $0.counts && $0.kind.needsTeacher }
      let said = needsTeacher ? try teacher.batch(pass.examples) : nil
      var losses: [Tensor] = []
      if intermediate.counts {
        let voices = studentLayers.indices.compactMap {
          voice($0, tape, output, answers: pass.batch.answers, log)
        }
        let partners = try partners(voices, said, of: batches, log, using: &generator)
        for (i, chosen) in partners.enumerated() {
          for j in chosen {
            let loss = try loss(
              tape, voices[i], labels: pass.batch.labels,
              teacher: j.flatMap { said?.layer(.layer(teacherLayers[$0])) },
              normaliser: pass.normaliser * Float(chosen.count))
            log.terms[i] += Double(loss.scalar) / intermediate.weight
            losses.append(loss)
          }
        }
      }
      if last.counts {
        let state = observed(tape, output.last, layer: nil, log)
        let loss = try last(
          tape, last.speak(tape, state, head), labels: pass.batch.labels,
          teacher: said?.layer(.last), normaliser: pass.normaliser)
        log.last += Double(loss.scalar) / last.weight
        losses.append(loss)
      }
      return losses
    }
    return log.line(loss: total)
  }

  /// What a student layer puts out: said through the head, or the widened vectors without one.
  private enum Voice {
    case spoken(SpokenLayer)
    case vectors(Tensor)
  }

  private func voice(
    _ i: Int, _ tape: Tape, _ output: Qwen2VL.Output, answers: [Range<Int>], _ log: StepLog
  ) -> Voice? {
    guard let hidden = output.hidden[studentLayers[i]] else { return nil }
    let vectors = verbalizers.all[i].forward(
      tape, observed(tape, hidden, layer: i, log), answers: answers)
    if settings.languageHead { return .spoken(intermediate.speak(tape, vectors, head)) }
    return .vectors(widening.isEmpty ? vectors : tape.linear(vectors, widening[i]))
  }

  private func observed(_ tape: Tape, _ state: Tensor, layer: Int?, _ log: StepLog) -> Tensor {
    tape.observed(state) { log.addSquares(sumOfSquares($0, $1), layer: layer) }
  }

  /// The teacher layers that each student layer learns from; [nil] for a loss without a teacher.
  private func partners(
    _ voices: [Voice], _ said: Teacher.Batch?, of batches: MicroBatches, _ log: StepLog,
    using generator: inout SplitMix64
  ) throws -> [[Int?]] {
    guard intermediate.kind.needsTeacher, let said else { return voices.map { _ in [nil] } }
    let layers = teacherLayers.map { TargetLayer.layer($0) }
    var table: [[Float]]
    if settings.languageHead {
      // Whatever the loss, layers are matched by KL, as in Algorithm 1.
      let soft = try layers.map { try said.soft($0) }
      table = try voices.map { voice in
        guard case .spoken(let layer) = voice else { return [] }
        return try soft.map { try layer.divergence(from: $0) }
      }
    } else {
      let distance = LossTerm(.squared, temperature: intermediate.temperature)
      table = voices.map { _ in [] }
      for layer in layers {
        let vectors = try said.vectors(layer)
        for (i, voice) in voices.enumerated() {
          guard case .vectors(let ours) = voice else { continue }
          table[i].append(
            try distance(
              Tape(recording: false), ours, teacher: vectors, normaliser: Float(max(1, ours.rows))
            ).scalar)
        }
      }
    }
    for (layer, row) in zip(studentLayers, table) {
      guard let j = row.firstIndex(where: { !$0.isFinite }) else { continue }
      throw NotFinite(
        "the divergence of layer \(layer) from the teacher's layer \(teacherLayers[j])",
        Double(row[j]))
    }
    let found = try matching.match(table, using: &generator)
    log.note(found, teacherLayers: teacherLayers, batches: batches.passes.count)
    return found.map { $0.chosen.map { $0 } }
  }

  private func loss(
    _ tape: Tape, _ voice: Voice, labels: [Int32], teacher: TeacherLayer?, normaliser: Float
  ) throws -> Tensor {
    switch voice {
    case .spoken(let layer):
      return try intermediate(
        tape, layer, labels: labels, teacher: teacher, normaliser: normaliser)
    case .vectors(let ours):
      guard let teacher else { throw Failure(.software, "a loss without its teacher layer") }
      return try intermediate(tape, ours, teacher: teacher.vectors(), normaliser: normaliser)
    }
  }

  // MARK: Images

  /// The stored visual embeddings of these samples [visual tokens, d], or nil to encode the images.
  private func visualEmbeddings(_ examples: [Example]) throws -> Tensor? {
    guard let visual else { return nil }
    var values: [Float] = []
    let width = model.config.text.hiddenSize
    let merge = model.config.vision.spatialMergeSize
    for example in examples {
      let tokens = example.sample.images.reduce(0) { $0 + $1.patchCount / (merge * merge) }
      let tensor = try visual.record(example.index).tensors["visual"]
      guard tensor?.shape ?? [0, width] == [tokens, width] else {
        throw Failure(
          .badData, "does not fit the sample's images",
          at: "\(visual.place(of: example.index)), tensor visual",
          expected: "[\(tokens), \(width)]",
          found: tensor.map { "\($0.shape)" } ?? "none", advice: "Run vlsi-extract again")
      }
      values += try tensor?.floats() ?? []
    }
    return values.isEmpty ? nil : Tensor(values, [values.count / width, width])
  }
}
