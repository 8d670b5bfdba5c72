/// Step 3: supervised fine-tuning of the merged student (METHOD.md, "Step 3").
public struct FinetuneSettings: SettingsSection {
  public static let name = "finetune"

  /// Optimizer steps. 0 merges the adapter and saves.
  public var steps = 5664
  /// Samples in one forward pass.
  public var samplesPerBatch = 32
  /// Forward passes whose gradients make one step. The paper: 16, an effective batch of 512.
  public var accumulation = 16
  public var optimizer = OptimizerSettings()
  /// Lets the vision encoder and the merger learn.
  public var trainVision = false
  /// Lets the word embedding learn.
  public var trainEmbedding = true
  /// Keeps only the blocks' inputs for the gradient and computes the rest again: less memory, more
  /// time.
  public var gradientCheckpointing = true
  /// Minutes between checkpoints of the training; 0 writes none.
  public var checkpointMinutes = 10.0

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try settings("steps", &steps, in: 0...Settings.unbounded)
    try settings("samples_per_batch", &samplesPerBatch, in: 1...65536)
    try settings("accumulation", &accumulation, in: 1...65536)
    try optimizer.declare(settings)
    try settings("train_vision", &trainVision)
    try settings("train_embedding", &trainEmbedding)
    try settings("gradient_checkpointing", &gradientCheckpointing)
    try settings("checkpoint_minutes", &checkpointMinutes, in: 0...100_000)
  }
}
