import Failures
import Kernels
import Models
import Tensors

/// The step of interaction on one batch (METHOD.md, step 2): verbalizes what the student's target
/// layers put out, matches each of them with a layer of the teacher (Algorithm 1), and takes their
/// losses and that of the last layers.
///
/// It keeps nothing between batches; what it draws comes from the generator that it is given.
public struct Interaction {
  /// The student's, one for each of its target layers.
  public let verbalizers: VerbalizerSet
  /// The student's language head, frozen, cut to the vocabulary that it shares with the teacher.
  public let head: LanguageHead
  /// The teacher's target layers, ascending.
  public let teacherLayers: [Int]
  public let matching: LayerMatching
  /// What a target layer learns.
  public let intermediate: LossTerm
  /// What the last layer learns.
  public let last: LossTerm
  /// For verbalizers without a language head, whose vectors are compared: what widens those of each
  /// student layer to the teacher's d [d of the teacher, d], none where they are as wide. Nil with
  /// the head.
  public let widening: [Parameter]?

  /// - Throws: `Failure(.badPreset)` when the layers cannot be matched.
  public init(
    verbalizers: VerbalizerSet, head: LanguageHead, teacherLayers: [Int], matching: LayerMatching,
    intermediate: LossTerm, last: LossTerm, widening: [Parameter]? = nil
  ) throws {
    self.verbalizers = verbalizers
    self.head = head
    self.teacherLayers = teacherLayers
    self.matching = matching
    self.intermediate = intermediate
    self.last = last
    self.widening = widening
    if intermediate.counts, intermediate.kind.needsTeacher {
      try matching.check(
        studentLayers: verbalizers.layers.count, teacherLayers: teacherLayers.count)
    }
  }

  /// The start of `widening`, random.
  public static func widening(
    layers: [Int], from width: Int, to teacherWidth: Int, seed: UInt64
  ) -> [Parameter] {
    if width == teacherWidth { return [] }
    var generator = SplitMix64(seed: seed ^ 0x51_DE)
    return layers.map { layer in
      Parameter(
        "layers.\(layer).widening.weight", shape: [teacherWidth, width],
        values: generator.normals(
          teacherWidth * width, deviation: 1 / Double(width).squareRoot()), trainable: true)
    }
  }

  /// The decoder blocks whose outputs a forward pass has to give.
  public var layersRead: Set<Int> { intermediate.counts ? Set(verbalizers.layers) : [] }

  /// Whether a loss compares with the teacher.
  public var needsTeacher: Bool {
    [intermediate, last].contains { $0.counts && $0.kind.needsTeacher }
  }

  // MARK: A batch

  /// The losses of a batch's n supervised positions, to be passed back together. Matches and terms
  /// are added to `measures` now, the norms of the gradients on the way back.
  /// - Parameters:
  ///   - output: the student's at these positions, with `layersRead`
  ///   - labels: the tokens to be predicted [n]
  ///   - answers: the positions of each answer, as `Verbalizer.forward` takes them
  ///   - teacherOutputs: at the same positions; nil where `needsTeacher` is false
  ///   - normaliser: what the sums over positions are divided by
  ///   - generator: what the matches are drawn from, `LayerMatching.generator`
  /// - Throws: `Failure(.badData)` when labels or targets do not fit, `NotFinite` for a divergence.
  public func losses(
    _ tape: Tape, _ output: VisionLanguageModel.Output, labels: [Int32], answers: [Range<Int>],
    teacherOutputs: TeacherOutputs?, normaliser: Float, measures: InteractionMeasures,
    using generator: inout SplitMix64
  ) throws -> [Tensor] {
    var losses: [Tensor] = []
    if intermediate.counts {
      let verbalized = try verbalizers.layers.indices.map {
        try verbalize($0, tape, output, answers: answers, measures)
      }
      // A loss without a teacher is taken once a layer.
      var matches: [[Int?]] = verbalized.map { _ in [nil] }
      if intermediate.kind.needsTeacher, let teacherOutputs {
        let found = try matching.match(
          divergences(verbalized, teacherOutputs), using: &generator)
        measures.add(found)
        matches = found.map(\.chosen)
      }
      for (i, matched) in matches.enumerated() {
        for j in matched {
          let loss = try loss(
            tape, verbalized[i], labels: labels,
            teacher: j.flatMap { teacherOutputs?.layer(.layer(teacherLayers[$0])) },
            normaliser: normaliser * Float(matched.count))
          measures.add(term: Double(loss.scalar) / intermediate.weight, layer: i)
          losses.append(loss)
        }
      }
    }
    if last.counts {
      let state = tape.observed(output.last) { measures.add(lastSquares: sumOfSquares($0, $1)) }
      let loss = try last(
        tape, last.speak(tape, state, head), labels: labels, teacher: teacherOutputs?.layer(.last),
        normaliser: normaliser)
      measures.add(lastTerm: Double(loss.scalar) / last.weight)
      losses.append(loss)
    }
    return losses
  }

  /// What the verbalizer of a student layer makes of it.
  private enum VerbalizedLayer {
    /// Through the language head, a distribution.
    case distribution(SpokenLayer)
    /// Without one, vectors of the teacher's width.
    case vectors(Tensor)
  }

  private func verbalize(
    _ i: Int, _ tape: Tape, _ output: VisionLanguageModel.Output, answers: [Range<Int>],
    _ measures: InteractionMeasures
  ) throws -> VerbalizedLayer {
    let verbalizer = verbalizers.all[i]
    guard let hidden = output.hidden[verbalizer.layer] else {
      throw Failure(.software, "the forward pass did not give layer \(verbalizer.layer)")
    }
    let state = tape.observed(hidden) { measures.add(squares: sumOfSquares($0, $1), layer: i) }
    let vectors = verbalizer.forward(tape, state, answers: answers)
    guard let widening else { return .distribution(intermediate.speak(tape, vectors, head)) }
    return .vectors(widening.isEmpty ? vectors : tape.linear(vectors, widening[i]))
  }

  /// The table by which layers are matched [t_s, t_l]: of KL as in Algorithm 1, whatever the loss;
  /// of squared distances without a language head.
  private func divergences(
    _ verbalized: [VerbalizedLayer], _ teacherOutputs: TeacherOutputs
  ) throws -> [[Float]] {
    let layers = teacherLayers.map { TargetLayer.layer($0) }
    var table: [[Float]]
    if widening == nil {
      let targets = try layers.map(teacherOutputs.soft)
      table = try divergenceTable(
        verbalized.compactMap { if case .distribution(let layer) = $0 { layer } else { nil } },
        targets)
    } else {
      let distance = LossTerm(.squared, temperature: intermediate.temperature)
      table = verbalized.map { _ in [] }
      for layer in layers {
        let target = try teacherOutputs.vectors(layer)
        for case (let i, .vectors(let vectors)) in verbalized.enumerated() {
          table[i].append(
            try distance(
              Tape(recording: false), vectors, teacher: target,
              normaliser: Float(max(1, vectors.rows))
            ).scalar)
        }
      }
    }
    for (layer, row) in zip(verbalizers.layers, table) {
      guard let j = row.firstIndex(where: { !$0.isFinite }) else { continue }
      throw NotFinite(
        "the divergence of layer \(layer) from the teacher's layer \(teacherLayers[j])",
        Double(row[j]))
    }
    return table
  }

  private func loss(
    _ tape: Tape, _ verbalized: VerbalizedLayer, labels: [Int32], teacher: TeacherLayer?,
    normaliser: Float
  ) throws -> Tensor {
    switch verbalized {
    case .distribution(let layer):
      return try intermediate(
        tape, layer, labels: labels, teacher: teacher, normaliser: normaliser)
    case .vectors(let vectors):
      guard let teacher else { throw Failure(.software, "a loss without its teacher layer") }
      return try intermediate(tape, vectors, teacher: teacher.vectors(), normaliser: normaliser)
    }
  }
}
