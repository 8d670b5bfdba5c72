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

/// Step 3, supervised fine-tuning: next-token cross-entropy on the merged student.
struct Finetune: StageCommand {
  static let name = "vlsi-finetune"
  static let abstract = "Merges an adapter into a backbone and fine-tunes it on prepared samples."
  static let example =
    "vlsi-finetune --model student --adapter runs/2b/adapter --samples runs/2b/samples --output model"

  @Option(help: "The checkpoint to start from.")
  var model: String
  @Option(help: "An adapter artifact to merge first.")
  var adapter: String?
  @Option(help: "The samples artifact.")
  var samples: String
  @Option(
    help: "The student's features: their visual embeddings are taken, unless the encoder learns.")
  var features: String?
  @Option(help: "The model artifact to write, a Hugging Face checkpoint.")
  var output: String
  @OptionGroup var common: CommonOptions

  static let isParallel = true

  func run(stage: Stage) throws {
    let names = try stage.preset.run.hubNames()
    var settings = stage.preset.finetune
    guard !Files.isSame(model, output) else {
      throw Failure(
        .usage, "--output is the checkpoint to start from", at: output,
        advice: "Name another folder; a finished model is not written over")
    }
    let backbone = try Backbone(model)
    let reader = try ExampleReader(
      samples: samples, config: backbone.config, processor: backbone.processor, limit: stage.limit)
    try backbone.requireSamples(reader.artifact)
    settings.training.settle(samples: reader.indices.count)
    var inputs = backbone.fingerprints(as: "model")
    inputs["samples"] = reader.artifact.fingerprint
    if let adapter {
      let artifact = try ArtifactReader(directory: adapter, kind: .adapter)
      try ArtifactReader.checkFiles(artifact.manifest, in: adapter)
      try artifact.requireInput(
        "student.weights", backbone.checkpoint.fingerprint, from: model)
      inputs["adapter"] = artifact.fingerprint
      try AdapterFiles.attach(adapter, to: backbone.model)
    }
    let visual =
      settings.trainVision
      ? nil
      : try stage.visualEmbeddings(in: features, of: backbone, samples: reader)
    let memory = TrainingMemory.finetune(
      ModelNeeds(backbone.config, threads: stage.threads), settings: settings,
      encodes: visual == nil, ranks: stage.ranks.count)
    guard
      let made = try stage.trainingOutput(
        at: output, kind: .model, settings: ["finetune": settings.json],
        execution: ["finetune": settings.execution], inputs: inputs,
        before: {
          // Now, not after hours of training.
          try backbone.model.requireSpace(to: output, base: backbone.checkpoint)
          try stage.plan(
            memory, SampleSurvey(reader).trainingPasses(settings.training, seed: stage.seed),
            advice: "Set finetune.moments: blockwise8, or lower finetune.tokens_per_batch.")
        })
    else {
      if stage.ranks.rank == 0 { try writeCard(names) }
      return
    }
    LowRankAdapters.merge(into: backbone.model)
    var parts: Set<VisionLanguageModel.Part> = [.language, .head]
    if settings.trainEmbedding { parts.insert(.embedding) }
    if settings.trainVision { parts.insert(.vision) }
    if settings.training.steps > 0 { backbone.model.train(parts) }
    let training = StageTraining(
      stage: stage, output: made,
      training: ParallelOptimizers(
        backbone.model.parameters, settings.training.optimizer.adamW,
        blocks: backbone.model.blockParameters, ranks: stage.ranks),
      settings: settings.training.optimizer, steps: settings.training.steps,
      checkpointMinutes: settings.training.checkpointMinutes)
    var order = DataOrder(count: reader.indices.count, seed: stage.seed)
    try training.run(label: "finetune") { step in
      let batches = try MicroBatches(
        step: step, order: &order, reader: reader, samples: settings.training.samplesPerBatch,
        accumulation: settings.training.accumulation,
        tokens: settings.training.tokensPerBatch)
      let loss = try batches.accumulateGradients(
        in: backbone.model, for: training.training, visual: visual,
        recomputing: memory.recomputation
      ) { pass, tape, output in
        [
          try tape.crossEntropy(
            output.last, backbone.model.head, labels: pass.batch.labels,
            normaliser: pass.normaliser)
        ]
      }
      let sum = try stage.ranks.sum([loss])[0]
      return [("loss", .number(sum)), ("positions", .int(Int(batches.supervisedPositions)))]
    }
    guard let writer = made.writer else { return }
    let files = try backbone.model.save(to: output, base: backbone.checkpoint)
    for file in files { try writer.adoptFile(file) }
    var facts = ModelCard.facts(ofBase: model)
    facts["visual_embeddings"] = visual.map { .string($0.artifact.fingerprint) } ?? .null
    facts["base"] = .string(model)
    facts["steps"] = .int(settings.training.steps)
    try stage.finish(writer, facts: facts)
    try writeCard(names)
  }

  /// README.md, which no manifest lists: `vlsi-report` renews it when there are scores.
  private func writeCard(_ names: HubNames) throws {
    try ModelCard.write(
      for: output, near: [samples] + (adapter.map { [$0] } ?? []), names: names)
  }
}

Finetune.main()
