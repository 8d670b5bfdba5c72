import Models
import Artifacts
import Checkpoints
import Distillation
import Failures
import StageKit
import Tensors
import Training

/// What one stage of a run will take.
public struct StageCost: Sendable {
  /// What of a stage different machines can do.
  public enum Spread: Sendable, Equatable {
    /// Shards.
    case shares
    /// So many layers, each a model of its own.
    case layers(Int)
    /// So many forward passes of an optimizer step, of so many weights that learn.
    case passes(Int, learned: Int)
  }

  public let name: String
  /// The place in a run's folder of what it makes.
  public var artifact: String {
    let words = name.split(separator: " ").map(String.init)
    let folders = [
      "prepare": "samples", "extract": "features", "verbalize": "verbalizers", "target": "targets",
      "align": "adapter", "finetune": "model",
    ]
    return ([folders[words[0]] ?? words[0]] + words.dropFirst()).joined(separator: "/")
  }
  /// Optimizer steps; nil for a stage that trains nothing.
  public var steps: Int?
  /// Bytes of its inputs.
  public var reads = 0
  /// Bytes of its artifact.
  public var writes = 0
  /// Bytes on disk while it runs, gone at the end.
  public var scratch = 0
  /// Bytes of memory at its peak, mapped files not counted.
  public var memory = 0
  /// Of the memory, what ranks share: the optimizer's moments.
  public var sharedMemory = 0
  /// nil when nothing was rehearsed.
  public var seconds: Double?
  /// Of these, what is done once however many machines there are: starting, reading the weights,
  /// writing what one process writes.
  public var fixedSeconds = 0.0
  /// Of these, the optimizer's steps.
  public var optimizerSeconds = 0.0
  /// How several machines divide it.
  public var spread = Spread.shares
  /// Which settings make it smaller.
  public var advice = ""
  /// Of its largest pass, how many decoder blocks are computed again for the gradient.
  public var recomputedBlocks = 0
  /// How it reads a backbone whose weights do not fit into memory: how often, and the tokens of the
  /// passes that share each time. Nil where they fit.
  public var rereading: (times: Int, tokens: Int)?
}

/// The costs of every stage of a run, from the shapes of both backbones, the preset, a survey of the
/// data and, for times, a rehearsal.
public struct RunPlan {
  public let teacher: Checkpoint
  public let student: Checkpoint
  public let preset: Preset
  public let survey: SampleSurvey
  public let seed: UInt64
  public let threads: Int
  /// Target layers, shallow to deep.
  public let teacherLayers: [Int]
  public let studentLayers: [Int]

  private let teacherNeeds: ModelNeeds
  private let studentNeeds: ModelNeeds

  /// - Throws: 78 when the preset's target layers do not exist or cannot be matched.
  public init(
    teacher: Checkpoint, student: Checkpoint, preset: Preset, survey: SampleSurvey, seed: UInt64,
    threads: Int
  ) throws {
    self.teacher = teacher
    self.student = student
    var preset = preset
    preset.verbalize.settle(positions: Int(survey.supervisedPositions))
    preset.align.training.settle(samples: survey.samples)
    preset.finetune.training.settle(samples: survey.samples)
    self.preset = preset
    self.survey = survey
    self.seed = seed
    self.threads = threads
    teacherLayers = try preset.extract.teacherLayers.layers(
      of: teacher.config.text.layers, backbone: "teacher")
    studentLayers = try preset.extract.studentLayers.layers(
      of: student.config.text.layers, backbone: "student")
    try LayerMatching(
      strategy: preset.align.matching, searchRange: preset.align.searchRange,
      orderPreservation: preset.align.orderPreservation,
      adaptiveTemperature: preset.align.adaptiveTemperature
    ).check(studentLayers: studentLayers.count, teacherLayers: teacherLayers.count)
    teacherNeeds = ModelNeeds(teacher.config, threads: threads)
    studentNeeds = ModelNeeds(student.config, threads: threads)
  }

  // MARK: Sizes

  /// What zstd leaves of bf16 states and of float16 targets, measured (docs/ARTIFACTS.md).
  private static let packedStates = 0.79
  private static let packedTargets = 0.92

  /// - Parameter share: of the samples whose hidden states are stored
  private func stateBytes(_ config: any ModelConfig, layers: Int, share: Double = 1) -> Int {
    let numbers =
      share * survey.supervisedPositions * Double(layers + 1) * Double(config.text.hiddenSize)
    return Int(2 * numbers * Self.packedStates)
  }

  /// Bytes of a backbone's visual embeddings, where they are stored.
  private func visualBytes(_ config: any ModelConfig, isStored: Bool) -> Int {
    let tokens = survey.patches / Double(config.encoder.patchesPerToken)
    return isStored ? Int(2 * tokens * Double(config.visualWidth) * Self.packedStates) : 0
  }

  /// Whether the student's visual embeddings are stored, and no later stage encodes its images.
  private var storesVisual: Bool {
    preset.extract.storesVisual(ofStudent: true, learns: preset.finetune.trainVision)
  }

  /// The share of the samples whose hidden states are extracted from the student: as far as verbalize
  /// reads them.
  public var studentShare: Double {
    let part = preset.verbalize.share(of: Int(survey.supervisedPositions))
    return FeatureShare(covering: part).part(of: survey.samples)
  }

  /// What storing the student's visual embeddings costs and saves; nil where they are not stored.
  public func visualStorage(_ rates: Rates?) -> (bytes: Int, seconds: Double?)? {
    guard storesVisual, survey.images > 0 else { return nil }
    let passes = [preset.align.training, preset.finetune.training].reduce(0.0) {
      $0 + Double($1.steps * $1.samplesPerBatch * $1.accumulation) / Double(survey.samples)
    }
    return (
      visualBytes(student.config, isStored: true),
      rates.map { passes * encoding(studentNeeds, $0.student) }
    )
  }

  /// Numbers of 16 bits that a position takes in the targets, over all layers.
  private var targetNumbers: Int {
    (teacherLayers.count + 1)
      * preset.target.numbers(
        student: student.config.text.hiddenSize, teacher: teacher.config.text.hiddenSize)
  }

  private func weightBytes(_ checkpoint: Checkpoint) -> Int {
    checkpoint.names.reduce(0) { $0 + (checkpoint[$1]?.byteCount ?? 0) }
  }

  private func headBytes(_ checkpoint: Checkpoint) -> Int {
    2 * checkpoint.config.text.vocabularySize * checkpoint.config.text.hiddenSize
  }

  private func form(_ checkpoint: Checkpoint) -> VerbalizerForm {
    preset.verbalize.form(of: checkpoint.config.text.block)
  }

  private func passes(_ training: TrainingSettings) -> [SampleSurvey.Pass] {
    survey.trainingPasses(training, seed: seed)
  }

  // MARK: Stages

  /// The stages in their order.
  /// - rates: of the machine; nil leaves the times out.
  public func stages(_ rates: Rates?) -> [StageCost] {
    let samples = Int(Double(survey.bytes) * survey.scale)
    var list = [
      StageCost(
        name: "prepare", reads: 0, writes: samples, memory: survey.peakBytes,
        seconds: rates.map { _ in survey.seconds * survey.scale })
    ]
    list.append(
      extract("extract teacher", teacher, teacherNeeds, teacherLayers, rates?.teacher, rates))
    list.append(
      extract(
        "extract student", student, studentNeeds, studentLayers, rates?.student, rates,
        share: studentShare, stores: storesVisual))
    list.append(verbalize("verbalize teacher", teacher, teacherLayers, rates?.teacher, rates))
    list.append(
      verbalize(
        "verbalize student", student, studentLayers, rates?.student, rates, share: studentShare))
    list.append(target(rates))
    list.append(align(rates))
    list.append(finetune(rates))
    return list
  }

  private func extract(
    _ name: String, _ checkpoint: Checkpoint, _ needs: ModelNeeds, _ layers: [Int],
    _ speeds: Rates.Model?, _ rates: Rates?, share: Double = 1, stores: Bool? = nil
  ) -> StageCost {
    let stores = stores ?? preset.extract.storesVisual(ofStudent: false, learns: false)
    let weights = weightBytes(checkpoint), blocks = checkpoint.blockBytes
    let plan = ExtractionPlan(
      needs, survey, settings: preset.extract, samplesPerShard: preset.prepare.samplesPerShard,
      layers: layers.count + 1, weights: blocks, stores: stores)
    let again = (plan.readings - 1) * blocks
    var cost = StageCost(
      name: name, reads: Int(Double(survey.bytes) * survey.scale) + weights + again,
      writes: stateBytes(checkpoint.config, layers: layers.count, share: share)
        + visualBytes(checkpoint.config, isStored: stores),
      memory: plan.memory, advice: ExtractionPlan.advice)
    if plan.rereads { cost.rereading = (plan.readings, plan.tokensInFlight) }
    if let speeds, let rates {
      let computing =
        share * survey.sum { needs.forwardOperations(lengths: [$0.tokens]) } / speeds.forward
      let reading = Double(weights) / rates.reading
      // A block that is read each time comes while the one before it computes.
      let passing =
        plan.rereads
        ? max(computing, reading + Double(again) / rates.reading) : computing + reading
      cost.fixedSeconds = rates.start(memory: cost.memory) + (plan.rereads ? 0 : reading)
      cost.seconds =
        rates.start(memory: cost.memory) + passing + (stores ? 1 : share) * encoding(needs, speeds)
    }
    return cost
  }

  /// Seconds to encode every image once.
  private func encoding(_ needs: ModelNeeds, _ speeds: Rates.Model) -> Double {
    guard let speed = speeds.encoding else { return 0 }
    return survey.sum { needs.encodingOperations(patches: $0.patches) } / speed
  }

  private func verbalize(
    _ name: String, _ checkpoint: Checkpoint, _ layers: [Int], _ speeds: Rates.Model?,
    _ rates: Rates?, share: Double = 1
  ) -> StageCost {
    let settings = preset.verbalize
    let form = form(checkpoint)
    let count = form.parameterCount(layers: layers.count)
    let features = stateBytes(checkpoint.config, layers: layers.count, share: share)
    var cost = StageCost(
      name: name, steps: settings.steps, reads: features, writes: 4 * count,
      scratch: StageMemory.trainingStates(count, settings.optimizer),
      memory: StageMemory.verbalize(
        form, layers: layers.count, settings: settings,
        features: Int(Double(features) / Self.packedStates)),
      advice: "Lower verbalize.tokens_per_batch, or name fewer target layers.")
    if let speeds, let rates {
      let positions = Double(settings.steps * settings.tokensPerBatch)
      cost.spread = .layers(layers.count)
      cost.fixedSeconds =
        rates.start(memory: cost.memory) + Double(headBytes(checkpoint)) / rates.reading
        + Double(count) * rates.drawing + Double(cost.writes) / rates.writing
      cost.seconds =
        cost.fixedSeconds
        + Double(layers.count)
        * speeds.speaking.seconds(passes: Double(settings.steps), positions: positions)
        + positions * 6 * Double(count) / speeds.forward
        + Double(settings.steps * count) * rates.optimizer(settings.optimizer)
    }
    return cost
  }

  private func target(_ rates: Rates?) -> StageCost {
    let form = form(teacher)
    let layers = teacherLayers.count + 1
    let groups = survey.passes(
      limit: StageMemory.positionsPerPass, samplesPerShard: preset.prepare.samplesPerShard
    ) { $0.supervisedPositions }
    var cost = StageCost(
      name: "target",
      reads: stateBytes(teacher.config, layers: teacherLayers.count)
        + 4 * form.parameterCount(layers: teacherLayers.count),
      writes: Int(
        survey.supervisedPositions
          * (2 * Self.packedTargets * Double(targetNumbers) + Double(4 * layers))),
      memory: StageMemory.target(
        form, numbers: targetNumbers / layers, layers: layers,
        positions: groups.map { $0.positions }.max() ?? 0))
    if let rates {
      cost.fixedSeconds =
        rates.start(memory: cost.memory)
        + Double(headBytes(teacher) + headBytes(student)) / rates.reading
      cost.seconds =
        cost.fixedSeconds + Double(cost.reads) / rates.reading
        + Double(layers)
        * rates.projecting.seconds(
          passes: Double(groups.count) * survey.scale, positions: survey.supervisedPositions)
        + survey.supervisedPositions
        * Double(2 * form.parameterCount(layers: teacherLayers.count)) / rates.teacher.forward
    }
    return cost
  }

  private func align(_ rates: Rates?) -> StageCost {
    let settings = preset.align
    let training = settings.training
    let form = form(student)
    let isLoRA = settings.weights == .lora
    let learned =
      isLoRA
      ? studentNeeds.adapters(rank: settings.loraRank)
      : studentNeeds.trained(embedding: false, vision: false)
    let speaks = settings.intermediateLoss != .none && settings.intermediateWeight > 0
    let memory = TrainingMemory.align(
      studentNeeds, settings: settings, form: form,
      studentLayers: speaks ? studentLayers.count : 0, targetNumbers: targetNumbers,
      encodes: !storesVisual)
    var cost = StageCost(
      name: "align", steps: training.steps,
      reads: Int(Double(survey.bytes) * survey.scale) + weightBytes(student)
        + Int(2 * Self.packedTargets * survey.supervisedPositions * Double(targetNumbers)),
      writes: 4 * learned,
      scratch: StageMemory.trainingStates(learned, training.optimizer),
      memory: memory.bytes(passes(training)),
      sharedMemory: StageMemory.moments(learned, training.optimizer),
      advice:
        "Lower align.tokens_per_batch or prepare.max_pixels, or set align.moments: blockwise8.",
      recomputedBlocks: passes(training).map(memory.recomputedBlocks).max() ?? 0)
    if let rates {
      let layers = Double(speaks ? studentLayers.count : 0)
      spread(&cost, training, rates, learned: learned)
      cost.seconds =
        cost.fixedSeconds
        + trained(training, rates, memory, speed: rates.adapters, learned: learned) {
          passes, positions in
          (layers + 1) * rates.student.speaking.seconds(passes: passes, positions: positions)
            + positions * layers * 4 * Double(form.parameterCount(layers: 1))
            / rates.student.forward
        }
    }
    return cost
  }

  private func finetune(_ rates: Rates?) -> StageCost {
    let settings = preset.finetune
    let training = settings.training
    let learned =
      training.steps == 0
      ? 0
      : studentNeeds.trained(embedding: settings.trainEmbedding, vision: settings.trainVision)
    let memory = TrainingMemory.finetune(
      studentNeeds, settings: settings, encodes: settings.trainVision || !storesVisual)
    var cost = StageCost(
      name: "finetune", steps: training.steps,
      reads: Int(Double(survey.bytes) * survey.scale) + weightBytes(student),
      writes: weightBytes(student),
      scratch: StageMemory.trainingStates(learned, training.optimizer),
      memory: memory.bytes(passes(training)),
      sharedMemory: StageMemory.moments(learned, training.optimizer),
      advice: "Set finetune.moments: blockwise8, or lower finetune.tokens_per_batch.",
      recomputedBlocks: passes(training).map(memory.recomputedBlocks).max() ?? 0)
    if let rates {
      spread(&cost, training, rates, learned: learned)
      cost.seconds =
        cost.fixedSeconds
        + trained(training, rates, memory, speed: rates.full, learned: learned) {
          passes, positions in
          // The head learns too: a second pass over it for its gradient.
          2 * rates.student.speaking.seconds(passes: passes, positions: positions)
        }
    }
    return cost
  }

  /// Notes how ranks divide a training, and what of it they do not.
  private func spread(
    _ cost: inout StageCost, _ training: TrainingSettings, _ rates: Rates, learned: Int
  ) {
    let steps = max(1, min(training.steps, SampleSurvey.steps))
    cost.spread = .passes(max(1, passes(training).count / steps), learned: learned)
    cost.fixedSeconds =
      rates.start(memory: cost.memory) + Double(weightBytes(student)) / rates.reading
      + Double(cost.writes) / rates.writing
    cost.optimizerSeconds =
      Double(training.steps * learned) * rates.optimizer(training.optimizer)
  }

  /// Seconds of all optimizer steps over samples of the surveyed sizes.
  /// - Parameter speaking: seconds that the head takes for so many passes and positions
  private func trained(
    _ training: TrainingSettings, _ rates: Rates, _ memory: TrainingMemory,
    speed: Rates.Training, learned: Int,
    speaking: (_ passes: Double, _ positions: Double) -> Double
  ) -> Double {
    guard training.steps > 0 else { return 0 }
    let planned = passes(training)
    // Of their tokens, those whose blocks are computed again.
    let tokens = planned.reduce(0) { $0 + $1.tokens }
    let again = planned.reduce(0) { $0 + $1.tokens * memory.recomputedBlocks($1) }
    let part = Double(again) / Double(max(1, tokens * student.config.text.layers))
    let perSample =
      (speed.seconds(
        survey.sum { studentNeeds.forwardOperations(lengths: [$0.tokens]) }, recomputed: part)
        + (memory.encodes ? encoding(studentNeeds, rates.student) : 0)) / Double(survey.samples)
    let samples = Double(training.samplesPerBatch * training.accumulation)
    let passes = Double(planned.count) / Double(min(training.steps, SampleSurvey.steps))
    let positions = samples * survey.supervisedPositions / Double(survey.samples)
    let steps =
      Double(training.steps)
      * (samples * perSample + speaking(passes, positions)
        + Double(learned) * rates.optimizer(training.optimizer))
    // Now and then the state is written, should the machine stop.
    let state = 4 * learned + StageMemory.moments(learned, training.optimizer)
    let interval = training.checkpointMinutes * 60
    return steps
      + (interval > 0 ? (steps / interval).rounded(.down) * Double(state) / rates.writing : 0)
  }
}
