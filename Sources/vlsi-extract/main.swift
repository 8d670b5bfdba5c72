import ArgumentParser
import Artifacts
import Checkpoints
import Distillation
import Failures
import Kernels
import Planning
import Models
import StageKit
import Tensors
import Training

/// Hidden states of the target layers and of the last layer at the supervised positions.
struct Extract: StageCommand {
  static let name = "vlsi-extract"
  static let abstract = "Extracts a backbone's layer features from prepared samples."
  static let example =
    "vlsi-extract --model teacher --samples runs/2b/samples --role teacher --output features"

  enum Role: String, ExpressibleByArgument, CaseIterable {
    case teacher, student
  }

  @Option(help: "The backbone's checkpoint.")
  var model: String
  @Option(help: "The samples artifact.")
  var samples: String
  @Option(help: "Target layers, counted from 1: a list 2,6,10 or first:step 2:4.")
  var layers: String?
  @Option(help: "Whose layers of the preset to take when --layers is not given.")
  var role = Role.teacher
  @Option(
    help: "Features of a backbone with the same vision encoder: their visual embeddings are taken.")
  var features: String?
  @Option(help: "The features artifact to write.")
  var output: String
  @OptionGroup var part: ShareOptions
  @OptionGroup var common: CommonOptions

  func run(stage: Stage) throws {
    let settings = stage.preset.extract
    let backbone = try Backbone(model)
    let selection =
      try layers.map(LayerSelection.init(parsing:))
      ?? (role == .teacher ? settings.teacherLayers : settings.studentLayers)
    let targets = try selection.layers(of: backbone.config.text.layers, backbone: role.rawValue)
    let reader = try ExampleReader(
      samples: samples, config: backbone.config, processor: backbone.processor, limit: stage.limit)
    try backbone.requireSamples(reader.artifact)
    var inputs = backbone.fingerprints(as: "model")
    inputs["samples"] = reader.artifact.fingerprint
    let known = try stage.visualEmbeddings(in: features, of: backbone, samples: reader)
    let stores =
      known == nil
      && settings.storesVisual(
        ofStudent: role == .student, learns: stage.preset.finetune.trainVision)
    // A teacher speaks for every sample; of a student verbalize alone reads the hidden states.
    let share = FeatureShare(
      covering: role == .teacher
        ? 1 : stage.preset.verbalize.share(of: try reader.supervisedPositions()))
    var recipe: [String: JSON] = [
      "layers": .array(targets.map { .int($0) }), "store_visual": .bool(stores),
    ]
    if let (key, value) = share.setting { recipe[key] = value }
    let heard = share.of(reader.indices)
    let extraction = Extraction(
      model: backbone.model, layers: targets, heard: Set(heard), known: known, stores: stores)
    guard
      let writer = try stage.artifact(
        at: output, kind: .features,
        settings: .object(recipe), execution: ["extract": settings.execution], inputs: inputs,
        samplesPerShard: reader.artifact.manifest.samplesPerShard, share: part.wanted,
        before: {
          let passes = try SampleSurvey(reader).extractionPasses(
            tokens: settings.tokensPerBatch,
            samplesPerShard: reader.artifact.manifest.samplesPerShard)
          try stage.plan(
            memory: StageMemory.extract(
              ModelNeeds(backbone.config, threads: stage.threads), passes,
              layers: targets.count + 1, encodes: known == nil),
            advice: "Lower extract.tokens_per_batch or prepare.max_pixels.")
        })
    else { return }
    // What a share leaves out is in it for its visual embeddings alone.
    let indices = stores ? reader.indices : heard
    let isWhole = try stage.writeShards(
      of: indices, to: writer, unit: "samples", label: "extract"
    ) { indices, append, advance in
      try forEachGroup(
        indices, limit: settings.tokensPerBatch,
        read: { try reader.example($0, patches: known == nil) },
        cost: { $0.sample.inputIDs.count }
      ) { examples in
        try stage.checkInterrupt()
        for record in try extraction.records(of: examples) { try append(record) }
        advance(examples.count)
      }
      return []
    }
    guard isWhole else { return }
    var facts: [String: JSON] = [
      "positions": .int(try reader.supervisedPositions()), "model": .string(model),
      "layers": .array(targets.map { .int($0) }),
      "width": .int(backbone.config.text.hiddenSize),
      "vocabulary": .int(backbone.config.text.vocabularySize),
      "tokenizer": .string(backbone.tokenizer.fingerprint),
    ]
    facts["visual_embeddings"] = known.map { .string($0.artifact.fingerprint) }
    if stores { facts["vision"] = .string(backbone.visionFingerprint) }
    try stage.finish(writer, facts: facts)
  }
}

Extract.main()
