import ArgumentParser
import Artifacts
import Checkpoints
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
  @Option(help: "The features artifact to write.")
  var output: String
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
    guard
      let writer = try stage.artifact(
        at: output, kind: .features,
        settings: [
          "layers": .array(targets.map { .int($0) }), "store_visual": .bool(settings.storeVisual),
        ], execution: ["extract": settings.execution], inputs: inputs,
        samplesPerShard: reader.artifact.manifest.samplesPerShard,
        before: {
          let passes = try SampleSurvey(reader).extractionPasses(
            tokens: settings.tokensPerBatch,
            samplesPerShard: reader.artifact.manifest.samplesPerShard)
          try stage.plan(
            memory: StageMemory.extract(
              ModelNeeds(backbone.config, threads: stage.threads), passes,
              layers: targets.count + 1),
            advice: "Lower extract.tokens_per_batch or prepare.max_pixels.")
        })
    else { return }
    try stage.writeShards(of: reader.indices, to: writer, unit: "samples", label: "extract") {
      indices, append, advance in
      try forEachGroup(
        indices, limit: settings.tokensPerBatch, read: reader.example,
        cost: { $0.sample.inputIDs.count }
      ) { examples in
        try stage.checkInterrupt()
        for record in try records(
          examples, model: backbone.model, layers: targets, visual: settings.storeVisual)
        {
          try append(record)
        }
        advance(examples.count)
      }
      return []
    }
    let positions = try reader.indices.reduce(0) { $0 + (try reader.size($1)).supervisedPositions }
    try stage.finish(
      writer,
      facts: [
        "positions": .int(positions), "model": .string(model),
        "layers": .array(targets.map { .int($0) }),
        "width": .int(backbone.config.text.hiddenSize),
        "vocabulary": .int(backbone.config.text.vocabularySize),
        "tokenizer": .string(backbone.tokenizer.fingerprint),
      ])
  }

  private func records(
    _ examples: [Example], model: VisionLanguageModel, layers: [Int], visual: Bool
  ) throws -> [Record] {
    let tape = Tape(recording: false)
    let packed = try ExampleBatch(examples, model: model)
    let embeddings = model.visualEmbeddings(packed.batch, tape: tape)
    let output = model.forward(
      packed.batch, tape: tape, layers: Set(layers), rows: packed.rows, visual: embeddings)
    func stretch(_ tensor: Tensor, _ rows: Range<Int>) -> RawTensor {
      let width = tensor.columns
      let start = tensor.values + rows.lowerBound * width
      return RawTensor(
        Array(UnsafeBufferPointer(start: start, count: rows.count * width)), as: .bfloat16,
        shape: [rows.count, width])
    }
    var visualStart = 0
    return zip(examples, packed.stretches).map { example, rows in
      var tensors: [String: RawTensor] = [
        "positions": RawTensor(int32: example.positions, shape: [rows.count]),
        "labels": RawTensor(int32: example.labels, shape: [rows.count]),
        "hidden.last": stretch(output.last, rows),
      ]
      for (layer, tensor) in output.hidden { tensors["hidden.\(layer)"] = stretch(tensor, rows) }
      if visual, let embeddings {
        let count = example.sample.inputIDs.count { Int($0) == model.config.imageTokenID }
        tensors["visual"] = stretch(embeddings, visualStart..<visualStart + count)
        visualStart += count
      }
      return Record(index: example.index, tensors: tensors)
    }
  }
}

Extract.main()
