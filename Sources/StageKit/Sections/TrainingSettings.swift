/// What the two stages that train a whole backbone have in common, align and finetune.
public struct TrainingSettings: Sendable, Equatable {
  /// Steps or epochs. 0 trains nothing: align's adapter changes nothing, finetune merges and saves.
  public var length = TrainingLength.steps(5664)
  /// Samples in one forward pass.
  public var samplesPerBatch = 32
  /// Most tokens of one forward pass: with more, its samples are split over several. A longer sample
  /// is a pass of its own.
  public var tokensPerBatch = 8192
  /// Forward passes whose gradients make one step. The paper: 16, an effective batch of 512.
  public var accumulation = 16
  public var optimizer = OptimizerSettings()
  /// Which blocks keep only their inputs for the gradient and are computed again: less memory, more
  /// time.
  public var gradientCheckpointing = Checkpointing.auto

  public enum Checkpointing: String, SettingWord {
    /// As many as memory asks for, pass by pass.
    case auto
    case all = "true"
    case none = "false"
  }
  /// Minutes between checkpoints of the training; 0 writes none.
  public var checkpointMinutes = 10.0

  public init() {}

  /// Optimizer steps; epochs have to be settled before.
  public var steps: Int { length.steps }

  /// Counts the steps for a data set of so many samples.
  public mutating func settle(samples: Int) {
    length.settle(items: samples, perStep: samplesPerBatch * accumulation)
  }

  /// - Parameter passes: whether the cut into forward passes decides anything but the time: align
  ///   draws its layer matches pass by pass.
  mutating func declare(_ settings: Settings, passes: SettingRole) throws {
    try settings(&length)
    try settings("samples_per_batch", &samplesPerBatch, in: 1...65536)
    try settings("tokens_per_batch", &tokensPerBatch, in: 1...16_777_216, passes)
    try settings("accumulation", &accumulation, in: 1...65536)
    try optimizer.declare(settings)
    try settings("gradient_checkpointing", &gradientCheckpointing, .execution)
    try settings("checkpoint_minutes", &checkpointMinutes, in: 0...100_000, .execution)
  }
}
