import Distillation
import Foundation
import Models
import StageKit
import Training

/// The memory of a stage that trains a whole backbone, in bytes, mapped files not counted; and what
/// follows from it: how many decoder blocks of a pass are computed again for its gradient.
public struct TrainingMemory: Sendable {
  private let needs: ModelNeeds
  private let setting: TrainingSettings.Checkpointing
  /// Apart from the passes.
  private let standing: Int
  /// Of each supervised position, besides the backbone.
  private let position: Int
  private let loraRank: Int?
  /// Whether images are encoded; else their embeddings are known.
  let encodes: Bool
  /// What the stage may take in all.
  private let limit: Int

  /// The part of the available memory that keeping blocks may fill: the rest is for what no plan
  /// foresees.
  private static let share = 0.8

  /// - Parameters:
  ///   - learned: numbers that learn
  ///   - ranks: that share the moments of these
  ///   - available: bytes of memory; nil where the system does not tell
  private init(
    _ needs: ModelNeeds, _ training: TrainingSettings, learned: Int, position: Int, loraRank: Int?,
    encodes: Bool, ranks: Int, available: Int?
  ) {
    self.needs = needs
    setting = training.gradientCheckpointing
    standing =
      StageMemory.standing + StageMemory.learning(learned, training.optimizer, ranks: ranks)
    self.position = position
    self.loraRank = loraRank
    self.encodes = encodes
    // Stages side by side each have their share of the cores, and of the memory.
    let part = min(1, Double(needs.threads) / Double(Cores.usable))
    limit = Int(Double(available ?? 0) * part * TrainingMemory.share)
  }

  /// vlsi-align.
  /// - Parameters:
  ///   - form: of the student's verbalizers
  ///   - studentLayers: target layers of the student
  ///   - targetNumbers: numbers that the targets hold for a position
  ///   - encodes: whether images are encoded; else their embeddings are known
  ///   - ranks: the processes that train together
  public static func align(
    _ needs: ModelNeeds, settings: AlignSettings, form: VerbalizerForm, studentLayers: Int,
    targetNumbers: Int, encodes: Bool, ranks: Int = 1, available: Int? = MemoryPlan.available()
  ) -> TrainingMemory {
    let isLoRA = settings.weights == .lora
    var learned =
      isLoRA
      ? needs.adapters(rank: settings.loraRank) : needs.trained(embedding: false, vision: false)
    if settings.trainVerbalizers { learned += form.parameterCount(layers: studentLayers) }
    return TrainingMemory(
      needs, settings.training, learned: learned,
      position: 4 * (studentLayers * form.numbersPerPosition + 3 * targetNumbers),
      loraRank: isLoRA ? settings.loraRank : nil, encodes: encodes, ranks: ranks,
      available: available)
  }

  /// vlsi-finetune.
  public static func finetune(
    _ needs: ModelNeeds, settings: FinetuneSettings, encodes: Bool, ranks: Int = 1,
    available: Int? = MemoryPlan.available()
  ) -> TrainingMemory {
    let learned =
      settings.training.steps == 0
      ? 0 : needs.trained(embedding: settings.trainEmbedding, vision: settings.trainVision)
    return TrainingMemory(
      needs, settings.training, learned: learned, position: 0, loraRank: nil, encodes: encodes,
      ranks: ranks, available: available)
  }

  /// The peak over these passes.
  public func bytes(_ passes: [SampleSurvey.Pass]) -> Int {
    passes.map { bytes($0, recomputed: recomputedBlocks($0)) }.max() ?? standing
  }

  private func bytes(_ pass: SampleSurvey.Pass, recomputed: Int) -> Int {
    let held =
      pass.positions * position
      + needs.seeingBytes(
        pass, encodes: encodes,
        reading: needs.trainingBytes(
          tokens: pass.tokens, scores: pass.scores, recomputed: recomputed, loraRank: loraRank))
    return standing + held + StageMemory.idle(held)
  }

  /// How many of a pass's decoder blocks keep only their inputs and are computed again.
  public func recomputedBlocks(_ pass: SampleSurvey.Pass) -> Int {
    let layers = needs.config.text.layers
    return switch setting {
    case .none: 0
    case .all: layers
    case .auto:
      (0..<layers).first { bytes(pass, recomputed: $0) <= limit } ?? layers
    }
  }

  /// The same for a pass over samples of these sizes, and the vision encoder, which keeps its inputs
  /// alone unless all is to be kept.
  public func recomputation(
    _ sizes: [ExampleReader.Size]
  ) -> VisionLanguageModel.Recomputation {
    VisionLanguageModel.Recomputation(
      decoderBlocks: recomputedBlocks(SampleSurvey.Pass(sizes)), encoder: setting != .none)
  }
}

extension Stage {
  /// Says how much memory a training over these passes will take, and what is computed again so that
  /// it does not take more.
  /// - Throws: 78 when the machine has less.
  public func plan(_ memory: TrainingMemory, _ passes: [SampleSurvey.Pass], advice: String) throws {
    try plan(memory: memory.bytes(passes), advice: advice)
    if let most = passes.map(memory.recomputedBlocks).max(), most > 0 {
      log.info("up to \(most) decoder blocks of a pass are computed again for its gradient")
    }
  }
}
