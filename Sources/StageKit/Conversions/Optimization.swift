import Tensors
import Training

extension OptimizerSettings {
  /// AdamW's numbers.
  public var adamW: AdamW.Settings {
    AdamW.Settings(
      beta1: Float(beta1), beta2: Float(beta2), epsilon: Float(epsilon),
      weightDecay: Float(weightDecay), clipNorm: clipNorm > 0 ? Float(clipNorm) : nil,
      decaysVectors: false, moments: moments == .blockwise8 ? .blockwise8 : .float32)
  }

  /// The learning rate over a stage of `steps` steps.
  public func schedule(steps: Int) -> CosineSchedule {
    CosineSchedule(
      initial: learningRate, final: finalLearningRate, warmupSteps: warmupSteps,
      offset: scheduleOffset,
      length: scheduleSteps > 0 ? scheduleSteps : steps + scheduleOffset)
  }
}
