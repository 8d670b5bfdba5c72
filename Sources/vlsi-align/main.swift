import ArgumentParser
import Artifacts
import Checkpoints
import Distillation
import Failures
import Kernels
import Planning
import Models
import Reporting
import StageKit
import Tensors
import Training

/// Step 2, interaction: the student learns, by LoRA unless told otherwise, to say at each target layer
/// what a layer of the teacher says (METHOD.md).
struct Align: StageCommand {
  static let name = "vlsi-align"
  static let abstract = "Aligns the student's layers with the teacher's stored distributions."
  static let example = """
    vlsi-align --student student --samples runs/2b/samples \
    --verbalizers runs/2b/verbalizers/student --targets runs/2b/targets --output adapter
    """

  @Option(help: "The student's checkpoint.")
  var student: String
  @Option(help: "The samples artifact.")
  var samples: String
  @Option(help: "The student's verbalizers.")
  var verbalizers: String
  @Option(help: "The teacher's soft targets, made for this student.")
  var targets: String
  @Option(
    help: "The teacher's checkpoint, for losses that need its head (default: the targets' own).")
  var teacher: String?
  @Option(
    help: "The student's features: their visual embeddings are taken, and no image is encoded.")
  var features: String?
  @Option(help: "The adapter artifact to write, in PEFT's format.")
  var output: String
  @OptionGroup var common: CommonOptions

  static let isParallel = true

  func run(stage: Stage) throws {
    let names = try stage.preset.run.hubNames()
    var settings = stage.preset.align
    let backbone = try Backbone(student)
    let weights = backbone.checkpoint.fingerprint
    let reader = try ExampleReader(
      samples: samples, config: backbone.config, processor: backbone.processor, limit: stage.limit)
    try backbone.requireSamples(reader.artifact)
    settings.training.settle(samples: reader.indices.count)
    let targetReader = try TargetReader(directory: targets)
    try targetReader.artifact.requireInput("samples", reader.artifact.fingerprint, from: samples)
    try targetReader.artifact.requireInput("student.weights", weights, from: student)
    let verbalizerReader = try ArtifactReader(directory: verbalizers, kind: .verbalizers)
    try verbalizerReader.requireInput("model.weights", weights, from: student)

    var inputs = backbone.fingerprints(as: "student")
    inputs["samples"] = reader.artifact.fingerprint
    inputs["verbalizers"] = verbalizerReader.fingerprint
    inputs["targets"] = targetReader.artifact.fingerprint
    let visual = try stage.visualEmbeddings(in: features, of: backbone, samples: reader)
    let verbalizerSet = try VerbalizerSet(verbalizerReader)
    let intermediate = settings.intermediateTerm(temperature: targetReader.temperature)
    var prepared: Alignment?
    guard
      let made = try stage.trainingOutput(
        at: output, kind: .adapter, settings: ["align": settings.json],
        execution: ["align": settings.execution], inputs: inputs,
        before: {
          let memory = TrainingMemory.align(
            ModelNeeds(backbone.config, threads: stage.threads), settings: settings,
            form: verbalizerSet.form,
            studentLayers: intermediate.counts ? verbalizerSet.layers.count : 0,
            targetNumbers: (targetReader.layers.count + 1)
              * (targetReader.width + (targetReader.teacherWidth ?? 0)),
            encodes: visual == nil, ranks: stage.ranks.count)
          try stage.plan(
            memory, SampleSurvey(reader).trainingPasses(settings.training, seed: stage.seed),
            advice: "Lower align.tokens_per_batch or prepare.max_pixels, "
              + "or set align.moments: blockwise8.")
          prepared = try Alignment(
            settings: settings, backbone: backbone, verbalizers: verbalizerSet,
            at: verbalizers, targets: targetReader, teacher: teacher, visual: visual,
            memory: memory, seed: stage.seed)
        }), let alignment = prepared
    else { return }

    let training = StageTraining(
      stage: stage, output: made,
      training: ParallelOptimizers(
        alignment.parameters, settings.training.optimizer.adamW,
        blocks: backbone.model.blockParameters, ranks: stage.ranks),
      settings: settings.training.optimizer, steps: settings.training.steps,
      checkpointMinutes: settings.training.checkpointMinutes)
    var order = DataOrder(count: reader.indices.count, seed: stage.seed)
    try training.run(label: "align") { step in
      try alignment.step(
        step,
        MicroBatches(
          step: step, order: &order, reader: reader, samples: settings.training.samplesPerBatch,
          accumulation: settings.training.accumulation,
          tokens: settings.training.tokensPerBatch), for: training.training)
    }
    guard let writer = made.writer else { return }
    let interaction = alignment.interaction
    switch settings.weights {
    case .lora:
      try writer.writeFile(
        AdapterFiles.configuration,
        AdapterFiles.configuration(
          of: backbone.model, rank: settings.loraRank, alpha: settings.loraAlpha,
          base: HubName.of(student, given: names.student)))
      try writer.writeFile(AdapterFiles.weights, AdapterFiles.weights(of: backbone.model))
    case .full:
      try AdapterFiles.writeTrained(backbone.model, to: writer.path(AdapterFiles.trained))
      try writer.adoptFile(AdapterFiles.trained)
    }
    if settings.trainVerbalizers {
      try interaction.verbalizers.write(to: writer.path(VerbalizerSet.fileName))
      try writer.adoptFile(VerbalizerSet.fileName)
    }
    try stage.finish(
      writer,
      facts: [
        "visual_embeddings": visual.map { .string($0.artifact.fingerprint) } ?? .null,
        "base": .string(student), "weights": .string(settings.weights.rawValue),
        "rank": settings.weights == .lora ? .int(settings.loraRank) : .null,
        "student_layers": .array(interaction.verbalizers.layers.map { .int($0) }),
        "teacher_layers": .array(interaction.teacherLayers.map { .int($0) }),
        "license": ModelCard.facts(ofBase: student)["license"] ?? .null,
      ])
    try AdapterCard.write(for: output, names: names)
  }
}

Align.main()
