import Models
import ArgumentParser
import Artifacts
import Checkpoints
import Distillation
import Failures
import Planning
import StageKit
import Tensors
import Training

/// Step 1, verbalization: the verbalizer of every target layer learns to say, through the frozen
/// language head, what its layer knows about the next token.
struct Verbalize: StageCommand {
  static let name = "vlsi-verbalize"
  static let abstract = "Trains the verbalizer of every target layer on stored features."
  static let example =
    "vlsi-verbalize --model teacher --features runs/2b/features/teacher --output verbalizers"

  @Option(help: "The checkpoint that the features were extracted from.")
  var model: String
  @Option(help: "The features artifact.")
  var features: String?
  @Option(help: "The verbalizers artifact to write.")
  var output: String?
  @Flag(
    help: "Train nothing: print what every architecture costs. Needs the model's config.json alone."
  )
  var plan = false
  @Option(
    help: "With --plan: target layers, counted from 1, as 2,6,10 or 2:4 (default: the preset's).")
  var layers: String?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if plan {
      if features != nil || output != nil {
        throw ValidationError("--plan takes neither --features nor --output")
      }
    } else if features == nil || output == nil {
      throw ValidationError("--features and --output are needed, or --plan")
    } else if layers != nil {
      throw ValidationError("--layers goes with --plan: the features have their own")
    }
  }

  static let isParallel = true

  func run(stage: Stage) throws {
    if plan {
      let text = try ModelFamilies.config(directory: model).text
      let selection =
        try layers.map(LayerSelection.init(parsing:)) ?? stage.preset.extract.teacherLayers
      return try Plan(
        text, layers: selection.layers(of: text.layers, backbone: model),
        settings: stage.preset.verbalize
      ).show()
    }
    if let features, let output { try train(on: features, to: output, stage: stage) }
  }

  private func train(on features: String, to output: String, stage: Stage) throws {
    var settings = stage.preset.verbalize
    let checkpoint = try Backbone(model).checkpoint
    let text = checkpoint.config.text
    let reader = try FeatureReader(directory: features)
    try reader.artifact.requireInput("model.weights", checkpoint.fingerprint, from: model)
    guard !reader.layers.isEmpty else {
      throw Failure(
        .badData, "the features hold no target layer", at: features,
        advice: "Extract them again with extract.teacher_layers or --layers")
    }
    settings.settle(positions: try positions(of: reader, settings, limit: stage.limit))
    var inputs = ["features": reader.artifact.fingerprint, "model.weights": checkpoint.fingerprint]
    inputs["model.tokenizer"] = reader.artifact.manifest.inputs["model.tokenizer"]
    let form = settings.form(of: text.block)
    guard
      let made = try stage.trainingOutput(
        at: output, kind: .verbalizers, settings: ["verbalize": settings.json],
        execution: ["verbalize": settings.execution], inputs: inputs,
        before: {
          try stage.plan(
            memory: StageMemory.verbalize(
              form, layers: reader.layers.count, settings: settings,
              features: reader.decodedBytes, ranks: stage.ranks.count),
            advice: "Lower verbalize.tokens_per_batch, or extract fewer layers at a time")
        })
    else { return }

    let norm = try checkpoint.tensor(
      checkpoint.config.tensorNames.finalNorm, shape: [text.hiddenSize]
    ).raw().floats()
    let verbalizers = VerbalizerSet(
      layers: reader.layers, finalNorm: norm, form: form, seed: stage.seed)
    verbalizers.all.forEach { $0.train() }
    let losses = try train(
      verbalizers, head: LanguageHead(checkpoint), on: reader, settings, to: made, stage: stage)
    guard let writer = made.writer else { return }
    try verbalizers.write(to: writer.path(VerbalizerSet.fileName))
    try writer.adoptFile(VerbalizerSet.fileName)
    try stage.finish(
      writer,
      facts: [
        "model": .string(model), "layers": .array(reader.layers.map { .int($0) }),
        "width": .int(text.hiddenSize), "vocabulary": .int(text.vocabularySize),
        "tokenizer": reader.artifact.manifest.facts["tokenizer"] ?? .null,
        "final_loss": .object(losses),
      ])
  }

  /// The supervised positions of the features, for epochs; of their first samples about.
  /// - Throws: 65 where the features do not tell and epochs ask for it.
  private func positions(
    of reader: FeatureReader, _ settings: VerbalizeSettings, limit: Int?
  ) throws -> Int {
    let manifest = reader.artifact.manifest
    guard let all = manifest.facts["positions"]?.asInt else {
      if settings.length.epochs == nil { return 0 }
      throw Failure(
        .badData, "the features do not tell how many positions they hold",
        at: reader.artifact.directory,
        expected: "the fact positions, for verbalize.epochs", found: "none",
        advice: "Run vlsi-extract again, or give verbalize.steps")
    }
    let samples = reader.artifact.indices.count
    guard let limit, limit < samples else { return all }
    return all * limit / samples
  }

  /// Trains all layers in one pass over the features: they are independent of each other, but a
  /// record holds them all. Returns the loss of each layer, averaged over the last tenth of the
  /// steps.
  private func train(
    _ verbalizers: VerbalizerSet, head: LanguageHead, on reader: FeatureReader,
    _ settings: VerbalizeSettings, to output: TrainingOutput, stage: Stage
  ) throws -> [String: JSON] {
    let training = StageTraining(
      stage: stage, output: output,
      training: ParallelOptimizers(
        sideBySide: verbalizers.all.map(\.parameters), settings.optimizer.adamW,
        ranks: stage.ranks),
      settings: settings.optimizer, steps: settings.steps,
      checkpointMinutes: settings.checkpointMinutes)
    let indices = reader.indices
    var batches = try FeatureBatches(
      reader, indices: stage.limit.map { Array(indices.prefix($0)) } ?? indices,
      tokensPerBatch: settings.tokensPerBatch, seed: stage.seed, keeping: settings.bytesKept)
    let window = max(1, settings.steps / 10)
    var closing = [Double](repeating: 0, count: verbalizers.all.count)

    try training.run(label: "verbalize") {
      var words = [
        "place": String(batches.cursor.place), "position": String(batches.cursor.position),
      ]
      words["closing"] = closing.map { String($0) }.joined(separator: " ")
      return words
    } restore: { words in
      batches.cursor.place = words["place"].flatMap { Int($0) } ?? 0
      batches.cursor.position = words["position"].flatMap { Int($0) } ?? 0
      let sums = (words["closing"] ?? "").split(separator: " ").compactMap { Double($0) }
      if sums.count == closing.count { closing = sums }
    } lines: { step in
      let batch = try batches.next()
      var losses = [Double](repeating: 0, count: verbalizers.all.count)
      for (number, verbalizer) in verbalizers.all.enumerated() {
        guard let hidden = batch.hidden[verbalizer.layer], training.training.trains(number) else {
          continue
        }
        let tape = Tape(recording: true)
        let layer = tape.speak(verbalizer.forward(tape, hidden, answers: batch.answers), head)
        let loss = try tape.crossEntropy(layer, labels: batch.labels)
        guard loss.scalar.isFinite else {
          throw Failure(
            .badData, "the loss of layer \(verbalizer.layer) is not finite at step \(step)",
            at: reader.artifact.directory, found: "\(loss.scalar)",
            advice: "Lower verbalize.learning_rate, or look for bad features with vlsi-dump --stats"
          )
        }
        tape.backward(loss)
        losses[number] = Double(loss.scalar)
      }
      losses = try stage.ranks.sum(losses)
      if step >= settings.steps - window {
        for number in losses.indices { closing[number] += losses[number] }
      }
      return zip(verbalizers.layers, losses).map {
        [("layer", .int($0)), ("loss", .number($1))]
      }
    }
    try training.training.gatherWeights()
    if settings.steps == 0 { return [:] }
    return Dictionary(
      uniqueKeysWithValues: zip(verbalizers.layers, closing).map {
        (String($0), .number($1 / Double(window)))
      })
  }
}

Verbalize.main()
