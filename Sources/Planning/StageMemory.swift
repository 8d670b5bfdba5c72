import Checkpoints
import Distillation
import Kernels
import StageKit
import Tensors
import Training

/// The memory that each stage takes at its peak, in bytes, mapped files not counted.
public enum StageMemory {
  /// A program with its tokenizer, and the blocks that stand by for reuse.
  private static let standing = (100 << 20) + BufferPool.limit

  /// vlsi-extract over these passes, with `layers` stored layers, the last one included.
  public static func extract(
    _ needs: ModelNeeds, _ passes: [SampleSurvey.Pass], layers: Int
  ) -> Int {
    let largest = passes.map { pass in
      max(
        needs.encodingBytes(patches: pass.patches, largestImage: pass.largestImage),
        needs.pixelBytes(patches: pass.patches) + needs.forwardBytes(tokens: pass.tokens))
        // Kept as tensors, then once more as the record's bytes.
        + pass.positions * layers * needs.config.text.hiddenSize * 8
    }
    return standing + (largest.max() ?? 0)
  }

  /// vlsi-verbalize: weights, gradients and two moments of every layer; a batch of all layers; one
  /// layer's forward and backward pass; decoded samples.
  /// - Parameter features: bytes of all hidden states.
  public static func verbalize(
    _ form: VerbalizerForm, layers: Int, settings: VerbalizeSettings, features: Int
  ) -> Int {
    let count = form.parameterCount(layers: layers)
    let batch =
      settings.tokensPerBatch * (layers * form.backbone.width + form.numbersPerPosition)
    return standing + count * 8 + moments(count, settings.optimizer) + 4 * batch
      + min(FeatureBatches.bytesKept, features)
  }

  /// vlsi-target: a group of positions of the teacher's width, and of the student's.
  public static func target(_ form: VerbalizerForm, student width: Int, layers: Int) -> Int {
    standing
      + 4 * positionsPerPass
      * ((layers + 2) * form.backbone.width + form.numbersPerPosition + 2 * layers * width)
  }

  /// Supervised positions that share a pass over the heads in vlsi-target.
  public static let positionsPerPass = 1024

  /// vlsi-align over these passes.
  /// - Parameters:
  ///   - form: of the student's verbalizers
  ///   - studentLayers: target layers of the student
  ///   - targetNumbers: numbers that the targets hold for a position
  public static func align(
    _ needs: ModelNeeds, _ passes: [SampleSurvey.Pass], settings: AlignSettings,
    form: VerbalizerForm, studentLayers: Int, targetNumbers: Int
  ) -> Int {
    let training = settings.training
    let isLoRA = settings.weights == .lora
    var learned =
      isLoRA
      ? needs.adapters(rank: settings.loraRank) : needs.trained(embedding: false, vision: false)
    if settings.trainVerbalizers { learned += form.parameterCount(layers: studentLayers) }
    let largest = passes.map { pass in
      pass.positions * 4
        * (studentLayers * form.numbersPerPosition + 3 * targetNumbers)
        + max(
          needs.encodingBytes(patches: pass.patches, largestImage: pass.largestImage),
          needs.pixelBytes(patches: pass.patches)
            + needs.trainingBytes(
              tokens: pass.tokens, checkpointing: training.gradientCheckpointing,
              loraRank: isLoRA ? settings.loraRank : nil))
    }
    return standing + learned * 8 + moments(learned, training.optimizer) + (largest.max() ?? 0)
  }

  /// vlsi-finetune over these passes.
  public static func finetune(
    _ needs: ModelNeeds, _ passes: [SampleSurvey.Pass], settings: FinetuneSettings
  ) -> Int {
    let training = settings.training
    let learned =
      training.steps == 0
      ? 0 : needs.trained(embedding: settings.trainEmbedding, vision: settings.trainVision)
    let largest = passes.map { pass in
      max(
        needs.encodingBytes(patches: pass.patches, largestImage: pass.largestImage),
        needs.pixelBytes(patches: pass.patches)
          + needs.trainingBytes(
            tokens: pass.tokens, checkpointing: training.gradientCheckpointing, loraRank: nil))
    }
    return standing + learned * 8 + moments(learned, training.optimizer) + (largest.max() ?? 0)
  }

  /// AdamW's moments of so many weights.
  static func moments(_ count: Int, _ settings: OptimizerSettings) -> Int {
    Moments.byteCount(count, settings.adamW.moments)
  }
}
