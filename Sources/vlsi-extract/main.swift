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
      model: backbone.model, layers: Set(targets), heard: Set(heard), known: known, stores: stores)
    var plan: ExtractionPlan?
    guard
      let writer = try stage.artifact(
        at: output, kind: .features,
        settings: .object(recipe), execution: ["extract": settings.execution], inputs: inputs,
        samplesPerShard: reader.artifact.manifest.samplesPerShard, share: part.wanted,
        before: {
          let found = ExtractionPlan(
            ModelNeeds(backbone.config, threads: stage.threads), try SampleSurvey(reader),
            settings: settings, samplesPerShard: reader.artifact.manifest.samplesPerShard,
            layers: targets.count + 1, weights: backbone.checkpoint.blockBytes,
            encodes: known == nil, stores: stores)
          try stage.plan(memory: found.memory, advice: ExtractionPlan.advice)
          if found.rereads {
            let weights = MemoryPlan.text(backbone.checkpoint.blockBytes)
            let often =
              found.tokensInFlight == 1
              ? "for every pass" : "once for passes of \(found.tokensInFlight) tokens together"
            stage.log.info(
              "\(weights) of decoder blocks do not fit into memory beside that: read \(often)")
          }
          plan = found
        })
    else { return }
    let inFlight = plan?.tokensInFlight ?? 1
    let weights = BlockWeights(backbone.model)
    var fetches = true
    // What a share leaves out is in it for its visual embeddings alone.
    let indices = stores ? reader.indices : heard
    let isWhole = try stage.writeShards(
      of: indices, to: writer, unit: "samples", label: "extract"
    ) { indices, append, advance in
      var flight = Flight(extraction, fetching: fetches ? weights : nil)
      func land() throws {
        let isShared = flight.isShared, count = flight.count
        var told = 0
        func tell(_ samples: Int) {
          advance(samples - told)
          told = samples
        }
        // What fits into memory is in memory from now on.
        fetches = plan?.rereads ?? false
        let records = try flight.land { part in
          guard isShared else { return }
          try stage.checkInterrupt()
          tell(Int(Double(count) * part))
        }
        for record in records { try append(record) }
        tell(count)
        flight = Flight(extraction, fetching: fetches ? weights : nil)
      }
      try forEachGroup(
        indices, limit: settings.tokensPerBatch,
        read: { try reader.example($0, patches: known == nil) },
        cost: { $0.sample.inputIDs.count }
      ) { examples in
        let tokens = examples.reduce(0) { $0 + $1.sample.inputIDs.count }
        if flight.count > 0, flight.tokens + tokens > inFlight { try land() }
        try stage.checkInterrupt()
        try flight.enter(examples)
        if flight.tokens >= inFlight { try land() }
      }
      if flight.count > 0 { try land() }
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
