import Artifacts
import Decoding
import Distillation
import Imaging
import Kernels
import Models
import Planning
import Tensors
import Training

/// The sample that the stages' rows read: one picture, and an answer at the end.
enum SampleShape {
  static let grid = ImageGrid(height: 32, width: 32)
  static var patches: Int { grid.patches }
  /// 256 of the picture, the rest text.
  static let tokens = 396
  /// The last so many.
  static let supervised = 64
}

/// The questions that the rows of vlsi-evaluate ask, each about a picture of `SampleShape`.
enum QuestionShape {
  static let questions = 32
  /// About one picture, in the row whose questions share theirs.
  static let each = 4
  /// At a time.
  static let batch = 8
  /// Tokens of a prompt that are its own: the words of its question and what begins the answer.
  static let own = 40
  /// Of the answers in turn: most are a word, some an explanation.
  static let lengths = [2, 2, 2, 2, 2, 2, 2, 24]
}

/// What the stages do with one sample, by a model of few blocks of real widths.
struct StageRows {
  /// Of either encoder: enough for everything between blocks, few enough to be quick.
  static let blocks = 4
  static let loraRank = 64
  /// Blocks whose outputs the student's verbalizers read.
  static let targetLayers = [2, 4]

  let config: any ModelConfig

  init(_ config: any ModelConfig) {
    self.config = config.shortened(layers: Self.blocks, encoderBlocks: Self.blocks)
  }

  var all: [Row] {
    [
      extract, align, finetune, decode, answers("answers", each: QuestionShape.each),
      answers("answers-apart", each: 1),
    ]
  }

  private static let shape =
    "\(SampleShape.patches) patches, \(SampleShape.tokens) tokens, \(blocks) + \(blocks) blocks"

  // MARK: The model and the sample

  /// Random weights in bfloat16, as they lie in a checkpoint.
  private func model() -> VisionLanguageModel {
    let model = VisionLanguageModel(config: config)
    for parameter in model.parameters {
      let buffer = RandomNumbers.bfloat16(parameter.count)
      parameter.map(UnsafeRawPointer(buffer.pointer), type: .bfloat16, owner: buffer)
    }
    return model
  }

  private func sample() -> ModelSample {
    var generator = SplitMix64(seed: 2)
    let visual = config.imageTokens(SampleShape.grid) ?? 0
    let words = (0..<SampleShape.tokens - visual).map { _ in Int32(generator.below(10_000)) }
    return ModelSample(
      inputIDs: [words[0]] + [Int32](repeating: Int32(config.imageTokenID), count: visual)
        + words.dropFirst(),
      images: [
        ModelImage(
          grid: SampleShape.grid,
          patches: RandomNumbers.float32(
            SampleShape.patches * config.encoder.patchDimension
          ).array)
      ])
  }

  private func batch(_ model: VisionLanguageModel) throws -> ExampleBatch {
    let sample = sample()
    let positions = (0..<SampleShape.supervised).map {
      Int32(SampleShape.tokens - SampleShape.supervised - 1 + $0)
    }
    return try ExampleBatch(
      [
        Example(
          index: 0, sample: sample, positions: positions,
          labels: positions.map { sample.inputIDs[Int($0) + 1] })
      ], model: model)
  }

  // MARK: Operations

  private var needs: ModelNeeds { ModelNeeds(config, threads: Parallelism.threads) }
  private var encoding: Double { needs.encodingOperations(patches: [SampleShape.patches]) }
  private var forward: Double { needs.forwardOperations(lengths: [SampleShape.tokens]) }

  /// A product of the supervised positions with the language head.
  private var headProduct: Double {
    2 * Double(SampleShape.supervised) * Double(config.text.vocabularySize)
      * Double(config.text.hiddenSize)
  }

  /// Products of so many operations, then an optimizer step.
  private func work(
    _ operations: Double, then bytes: [Limit: Double] = [:], trial: @escaping () throws -> Double
  ) -> Work {
    Work(
      needs: Limit.products(operations).merging(bytes) { $0 + $1 },
      rate: Work.operations(operations), trial: trial)
  }

  // MARK: Rows

  /// Hidden states of the target layers, as vlsi-extract asks for them.
  private var extract: Row {
    Row(name: "extract", shape: Self.shape) {
      let model = model()
      let batch = try batch(model)
      return work(encoding + forward) {
        seconds {
          let tape = Tape(recording: false)
          _ = model.forward(
            batch.batch, tape: tape, layers: Set(Self.targetLayers), rows: batch.rows,
            visual: model.visualEmbeddings(batch.batch, tape: tape))
        }
      }
    }
  }

  /// A step of interaction with one sample, as vlsi-align takes it.
  private var align: Row {
    Row(name: "align", shape: Self.shape + ", LoRA \(Self.loraRank)") {
      let model = model()
      let batch = try batch(model)
      var generator = SplitMix64(seed: 3)
      LowRankAdapters.attach(to: model, rank: Self.loraRank, alpha: Float(Self.loraRank)) {
        generator.uniform()
      }
      let parameters = LowRankAdapters.parameters(of: model)
      // Images are encoded once for all passes, blocks kept where memory allows.
      let visual = model.visualEmbeddings(batch.batch, tape: Tape(recording: false))
      let optimizer = AdamW(parameters, AdamW.Settings())
      let verbalizers = VerbalizerSet(
        layers: Self.targetLayers, finalNorm: model.finalNorm.array,
        form: VerbalizerForm(backbone: config.text.block), seed: 4)
      let interaction = try Interaction(
        verbalizers: verbalizers, head: LanguageHead(model.head),
        teacherLayers: Array(1...Self.blocks), matching: LayerMatching(),
        intermediate: LossTerm(.kullbackLeibler), last: LossTerm(.kullbackLeibler))
      let targets = try targets(batch)
      // Forwards, and the gradient in what the products read; of the adapters the one in themselves
      // too. Each layer that speaks is two products with the head.
      let adapters = 2 * Double(SampleShape.tokens * needs.adapters(rank: Self.loraRank))
      let spoken = Double(Self.targetLayers.count + 1) * 2 * headProduct
      return work(
        2 * forward + 4 * adapters + spoken,
        then: OptimizerBytes.needs(weights: parameters.reduce(0) { $0 + $1.count }, .float32)
      ) {
        try seconds {
          let measures = InteractionMeasures(studentLayers: Self.targetLayers.count)
          _ = try batch.accumulateGradients(
            in: model, layers: interaction.layersRead, visual: visual
          ) { tape, output in
            try interaction.losses(
              tape, output, labels: batch.labels, answers: batch.answers,
              teacherOutputs: TeacherOutputs([targets], head: nil),
              normaliser: Float(SampleShape.supervised), measures: measures, using: &generator)
          }
          optimizer.step(learningRate: 1e-5)
        }
      }
    }
  }

  /// Stored targets that nobody said.
  private func targets(_ batch: ExampleBatch) throws -> StoredTargets {
    let (positions, width) = (SampleShape.supervised, config.text.hiddenSize)
    let said = SoftTarget.exact(
      projected: RandomNumbers.float32(positions * width).array,
      entropy: [Float](repeating: 1, count: positions))
    let record = SoftTargetRecord(
      index: 0, positions: batch.rows.map { Int32($0) }, labels: batch.labels,
      layers: Dictionary(
        uniqueKeysWithValues: TargetLayer.all(Array(1...Self.blocks)).map { ($0, said) }))
    return try StoredTargets(
      record.record(width: width, precision: .float16), width: width, place: "targets")
  }

  /// A step of fine-tuning with one sample, as vlsi-finetune takes it with the moments in 8 bits.
  private var finetune: Row {
    Row(name: "finetune", shape: Self.shape + ", 8-bit moments") {
      let model = model()
      model.train([.language, .head])
      let batch = try batch(model)
      let visual = model.visualEmbeddings(batch.batch, tape: Tape(recording: false))
      let optimizer = AdamW(model.parameters, AdamW.Settings(moments: .blockwise8))
      let weights = optimizer.parameters.reduce(0) { $0 + $1.count }
      // Forwards, and the gradients in what products read and in the weights.
      // With the head: logits, the expectation, logits again, the head's gradient.
      return work(
        3 * forward + 4 * headProduct,
        then: OptimizerBytes.needs(weights: weights, .blockwise8)
      ) {
        try seconds {
          _ = try batch.accumulateGradients(in: model, visual: visual) { tape, output in
            [
              try tape.crossEntropy(
                output.last, model.head, labels: batch.labels,
                normaliser: Float(SampleShape.supervised))
            ]
          }
          optimizer.step(learningRate: 1e-5)
        }
      }
    }
  }

  /// Tokens of one sequence behind the sample, greedily: each reads every weight once.
  private var decode: Row {
    let tokens = 8
    return Row(name: "decode", shape: "\(tokens) tokens, \(Self.blocks) blocks") {
      let model = model()
      let session = DecodingSession(model, readouts: [model.readout])
      session.begin(try session.run([sample()])[0], [0])
      _ = session.step([])
      let weights =
        model.head.count
        + model.language.blocks.flatMap(\.projections).reduce(0) {
          $0 + $1.weight.count
        }
      let tape = Tape(recording: false)
      var token: Int32 = 0
      return Work(
        needs: [.read: 2 * Double(tokens * weights)], rate: Work.rate(Double(tokens), "tokens/s")
      ) {
        seconds {
          for _ in 0..<tokens {
            let logits = model.logits(session.step([token]), tape: tape)
            token = Int32(indexOfMaximum(logits.values, logits.count))
          }
        }
      }
    }
  }

  /// Questions as vlsi-evaluate asks them: those about one picture behind it, and a waiting one in the
  /// place of each that is answered. What it needs at least: the prompts' products, and the weights
  /// once for each token of the answers of a full batch.
  private func answers(_ name: String, each: Int) -> Row {
    typealias Shape = QuestionShape
    let shape =
      "\(Shape.questions) questions, \(each) a picture, \(SampleShape.tokens) tokens, \(Self.blocks) + \(Self.blocks) blocks"
    return Row(name: name, shape: shape) {
      let model = model()
      let sample = sample()
      let shared = SampleShape.tokens - Shape.own
      let weights =
        model.head.count
        + model.language.blocks.flatMap(\.projections).reduce(0) { $0 + $1.weight.count }
      let pictures = Shape.questions / each
      let tokens = (0..<Shape.questions).reduce(0) { $0 + Shape.lengths[$1 % Shape.lengths.count] }
      let prompts =
        Double(pictures) * (encoding + needs.forwardOperations(lengths: [shared]))
        + Double(Shape.questions) * needs.forwardOperations(lengths: [Shape.own])
      return Work(
        needs: Limit.products(prompts).merging(
          [.read: 2 * Double(tokens * weights) / Double(Shape.batch)]) { $0 + $1 },
        rate: Work.rate(Double(Shape.questions), "questions/s")
      ) {
        var generator = SplitMix64(seed: 7)
        var picture = 0
        return try seconds {
          try model.answer(
            readouts: [model.readout],
            GenerationSettings(maxNewTokens: Shape.lengths.max() ?? 1, stop: []),
            bounds: BatchBounds(answers: Shape.batch, tokens: 4096), name: { "\($0)" },
            between: {}, onToken: { _, _ in }
          ) {
            guard picture < pictures else { return nil }
            defer { picture += 1 }
            let prompts = (0..<each).map { _ in
              var prompt = sample
              for place in shared..<SampleShape.tokens {
                prompt.inputIDs[place] = Int32(generator.below(10_000))
              }
              return prompt
            }
            var group = SharedPrompt.grouping(prompts, imageToken: Int32(config.imageTokenID))[0]
            group.lengths = (0..<each).map {
              Shape.lengths[(picture * each + $0) % Shape.lengths.count]
            }
            return group
          } completed: { _, _ in
          }
        }
      }
    }
  }
}
