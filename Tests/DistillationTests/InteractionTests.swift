import Checkpoints
import Foundation
import Imaging
import Kernels
import Models
import Tensors
import Testing

@testable import Distillation
@testable import Training

/// The step of interaction as a whole, from token ids to the gradients, on a tiny student beside a
/// teacher that is random numbers.
@Suite struct InteractionTests {
  /// Which weights learn and from what.
  struct Case: CustomTestStringConvertible, Sendable {
    var lora = true
    var trainVerbalizers = false
    var languageHead = true
    var strategy = LayerMatching.Strategy.bottom1
    var intermediate = LossTerm.Kind.kullbackLeibler
    var last = LossTerm.Kind.kullbackLeibler
    var checkpointing = false

    var testDescription: String {
      "\(lora ? "LoRA" : "full")\(trainVerbalizers ? " and verbalizers" : "")"
        + "\(languageHead ? "" : ", no head"): \(intermediate.rawValue), \(last.rawValue)"
    }
  }

  /// Two passes of one optimizer step, one with an image and two samples.
  final class Step {
    static let teacherLayers = [2, 6, 10, 14]
    /// The vocabulary that both share: the student's is longer by its special tokens.
    static let vocabulary = 150

    let model: VisionLanguageModel
    let interaction: Interaction
    /// All that learn.
    let parameters: [Parameter]
    private let passes: [(batch: ExampleBatch, teacherOutputs: TeacherOutputs)]
    private let normaliser: Float
    private let checkpointing: Bool

    init(_ options: Case) throws {
      let checkpoint = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Goldens/model/a").path
      let model = try VisionLanguageModel(Checkpoint(directory: checkpoint))
      self.model = model
      checkpointing = options.checkpointing
      let width = model.config.text.hiddenSize
      let verbalizers = VerbalizerSet(
        layers: [1, 2], finalNorm: model.finalNorm.array,
        form: VerbalizerForm(backbone: model.config.text.block), seed: 1)
      for verbalizer in verbalizers.all {
        VerbalizerTests.awaken(verbalizer)
        if !options.trainVerbalizers { verbalizer.parameters.forEach { $0.freeze() } }
      }
      let head = try LanguageHead(model.head).prefix(Self.vocabulary)
      let teacherHead = RandomMatrix(Self.vocabulary, 14, scale: 0.5, seed: 2).head
      interaction = try Interaction(
        verbalizers: verbalizers, head: head, teacherLayers: Self.teacherLayers,
        matching: LayerMatching(strategy: options.strategy),
        intermediate: LossTerm(options.intermediate, weight: 0.7, temperature: 1.5),
        last: LossTerm(options.last, weight: 1.3, temperature: 1.5),
        widening: options.languageHead
          ? nil : Interaction.widening(layers: [1, 2], from: width, to: 14, seed: 3))
      var generator = SplitMix64(seed: 4)
      if options.lora {
        LowRankAdapters.attach(to: model, rank: 3, alpha: 3) { generator.uniform() }
        // B starts at zero, where A has no gradient.
        for parameter in LowRankAdapters.parameters(of: model) {
          for i in 0..<parameter.count where parameter.floats[i] == 0 {
            parameter.mutableValues?[i] = Float(generator.normal() * 0.1)
          }
        }
      } else {
        model.train([.language])
      }
      parameters =
        LowRankAdapters.parameters(of: model) + model.parameters.filter(\.trainable)
        + (options.trainVerbalizers ? verbalizers.all.flatMap(\.parameters) : [])
        + (interaction.widening ?? [])

      let numbers = 16 * model.config.encoder.patchDimension
      let image = ModelImage(
        grid: ImageGrid(height: 4, width: 4),
        patches: (0..<numbers).map { _ in Float(generator.normal()) })
      let pad = Int32(model.config.imageTokenID)
      func text(_ count: Int) -> [Int32] {
        (0..<count).map { _ in Int32(generator.below(Self.vocabulary)) }
      }
      var seeing = text(2)
      seeing += [pad, pad, pad, pad]
      seeing += text(7)
      let conversations: [(ids: [Int32], images: [ModelImage], positions: [Int])] = [
        (seeing, [image], [8, 9, 10, 11]),
        (text(11), [], [2, 3, 7, 8, 9]), (text(9), [], [4, 5, 6, 7]),
      ]
      let examples = conversations.enumerated().map { index, conversation in
        Example(
          index: index,
          sample: ModelSample(inputIDs: conversation.ids, images: conversation.images),
          positions: conversation.positions.map { Int32($0) },
          labels: conversation.positions.map { conversation.ids[$0 + 1] })
      }
      passes = try [examples[..<2], examples[2...]].map { part in
        let targets = try part.map { try Self.targets(of: $0, teacherHead, through: head) }
        return (
          try ExampleBatch(Array(part), model: model), TeacherOutputs(targets, head: teacherHead)
        )
      }
      normaliser = Float(examples.reduce(0) { $0 + $1.positions.count })
    }

    /// What vlsi-target would have stored.
    private static func targets(
      of example: Example, _ teacherHead: LanguageHead, through head: LanguageHead
    ) throws -> StoredTargets {
      var stored = SoftTargetRecord(
        index: example.index, positions: example.positions, labels: example.labels, layers: [:])
      let n = example.positions.count
      for (number, layer) in TargetLayer.all(teacherLayers).enumerated() {
        let vectors = RandomMatrix(
          n, teacherHead.width, scale: 1 + 0.2 * Double(number),
          seed: UInt64(10 * example.index + number))
        let projection = try teacherHead.project(vectors.floats, positions: n, through: head)
        stored.layers[layer] = .exact(
          projected: projection.projected.array, entropy: projection.entropy)
        stored.vectors[layer] = TeacherVectors(
          width: teacherHead.width, values: vectors.parameter.array,
          logSumExp: teacherHead.read(vectors.floats, positions: n).logSumExp)
      }
      return try StoredTargets(
        stored.record(width: head.width, precision: .float16), width: head.width,
        vocabulary: vocabulary, place: "record \(example.index)")
    }

    /// The loss of step `number`, its passes in this order; the gradients are left in the
    /// parameters.
    func run(
      _ number: Int = 0, order: [Int] = [0, 1]
    ) throws -> (loss: Double, measures: InteractionMeasures) {
      let measures = InteractionMeasures(studentLayers: 2)
      let loss = try order.reduce(0.0) { sum, place in
        let pass = passes[place]
        var generator = LayerMatching.generator(seed: 5, step: number, pass: place)
        measures.begin(pass: place)
        return try sum
          + pass.batch.accumulateGradients(
            in: model, layers: interaction.layersRead,
            recomputing: checkpointing ? .all : .none
          ) { tape, output in
            try interaction.losses(
              tape, output, labels: pass.batch.labels, answers: pass.batch.answers,
              teacherOutputs: pass.teacherOutputs, normaliser: normaliser, measures: measures,
              using: &generator)
          }
      }
      return (loss, measures)
    }
  }

  @Test(
    "The gradient of every weight that learns is that of the loss, along random directions",
    arguments: [
      Case(),
      Case(lora: false, trainVerbalizers: true, last: .crossEntropy, checkpointing: true),
      Case(
        trainVerbalizers: true, languageHead: false, strategy: .bottom3, intermediate: .squared,
        last: .reverseKullbackLeibler),
    ])
  func gradients(options: Case) throws {
    let step = try Step(options)
    let (loss, measures) = try step.run()
    let terms = 0.7 * measures.intermediate.reduce(0, +) + 1.3 * measures.last
    #expect(abs(loss - terms) < 1e-6 * loss)
    #expect(measures.gradientNorms.allSatisfy { $0 > 0 } && measures.lastGradientNorm > 0)
    let gradients = try step.parameters.map { try #require($0.gradient).array }
    var generator = SplitMix64(seed: 6)
    for (parameter, gradient) in zip(step.parameters, gradients) {
      let values = try #require(parameter.mutableValues)
      let middle = parameter.array
      let size = gradient.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      let direction = gradient.map { _ -> Float in generator.uniform() < 0.5 ? -1 : 1 }
      let expected = zip(gradient, direction).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
      let h: Float = 2e-3
      let sides = try [h, -h].map { h in
        for i in middle.indices { values[i] = middle[i] + h * direction[i] }
        let (loss, moved) = try step.run()
        #expect(moved.matches == measures.matches, "the step is too long: \(parameter.name)")
        return loss
      }
      for i in middle.indices { values[i] = middle[i] }
      let measured = (sides[0] - sides[1]) / Double(2 * h)
      #expect(
        abs(measured - expected) < 1e-2 * size,
        "\(parameter.name): gradient \(expected), measured \(measured)")
    }
  }

  @Test("A pass's matches depend on neither the steps nor the passes before it")
  func independent() throws {
    let options = Case(strategy: .multinomial)
    let step = try Step(options)
    let whole = try (0..<6).map { try step.run($0).measures.matches }
    #expect(Set(whole.flatMap { $0.map { $0.map(\.chosen) } }).count > 2)
    let late = try Step(options).run(5, order: [1, 0]).measures.matches
    #expect(late == whole[5].reversed())
  }
}
