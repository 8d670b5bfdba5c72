/// AdamW and its schedule, shared by the three training sections.
public struct OptimizerSettings: Sendable, Equatable {
  /// At the schedule's start, after the warm-up. The paper: 1e-4.
  public var learningRate = 1e-4
  /// At the schedule's end. The paper: 1e-6, on a cosine.
  public var finalLearningRate = 1e-6
  /// Steps of linear rise from 0.
  public var warmupSteps = 0
  /// Where on the cosine this stage starts: finetune goes on at align's steps when one cosine
  /// spans both.
  public var scheduleOffset = 0
  /// Length of the cosine; 0 takes the stage's own steps.
  public var scheduleSteps = 0
  public var beta1 = 0.9
  public var beta2 = 0.999
  public var epsilon = 1e-8
  /// Decoupled (AdamW); vectors such as norms and biases are left out.
  public var weightDecay = 0.0
  /// Largest norm of the whole gradient; 0 does not clip.
  public var clipNorm = 1.0
  public var moments = Moments.float32

  /// How AdamW's two moments lie in memory.
  public enum Moments: String, SettingWord {
    /// Eight bytes a weight.
    case float32
    /// Two bytes a weight: eight-bit codes with a scale for every 256.
    case blockwise8
  }

  public init() {}

  mutating func declare(_ settings: Settings) throws {
    try settings("learning_rate", &learningRate, in: 0...100)
    try settings("final_learning_rate", &finalLearningRate, in: 0...100)
    try settings("warmup_steps", &warmupSteps, in: 0...Settings.unbounded)
    try settings("schedule_offset", &scheduleOffset, in: 0...Settings.unbounded)
    try settings("schedule_steps", &scheduleSteps, in: 0...Settings.unbounded)
    try settings("beta1", &beta1, in: 0...0.999999)
    try settings("beta2", &beta2, in: 0...0.9999999)
    try settings("epsilon", &epsilon, in: 1e-30...1)
    try settings("weight_decay", &weightDecay, in: 0...10)
    try settings("clip_norm", &clipNorm, in: 0...Double(Settings.unbounded))
    try settings("moments", &moments)
  }
}
