import Distillation
import Training

/// Step 1: the verbalizer of every target layer (METHOD.md, "Step 1, verbalization").
public struct VerbalizeSettings: SettingsSection {
  public static let name = "verbalize"

  /// Steps of each layer, or epochs of the supervised positions.
  public var length = TrainingLength.steps(2000)
  /// The most steps, whatever the epochs come to; null for any number.
  public var mostSteps: Int?
  /// Supervised positions in one batch.
  public var tokensPerBatch = 4096
  public var optimizer = OptimizerSettings()
  /// What a verbalizer is made of.
  public var architecture = VerbalizerForm.Architecture.verbFFN
  /// Blocks behind one another; the paper tries 1 and 2.
  public var depth = 1
  /// The verbalizer reads the hidden state normalised by the backbone's final norm.
  public var inputNorm = true
  /// The verbalizer is added to its input and starts at zero: untrained it is the logit lens.
  public var residual = true
  /// Minutes between checkpoints of the training; 0 writes none.
  public var checkpointMinutes = 10.0

  public init() {}

  /// Optimizer steps; epochs have to be settled before.
  public var steps: Int { length.steps }

  /// Counts the steps for data of so many supervised positions.
  public mutating func settle(positions: Int) {
    length.settle(items: positions, perStep: tokensPerBatch, most: mostSteps)
  }

  /// The share of so many supervised positions that the training reads, up to 1.
  public func share(of positions: Int) -> Double {
    var settled = self
    settled.settle(positions: positions)
    let read = Double(settled.steps) * Double(tokensPerBatch)
    return positions > 0 ? min(1, read / Double(positions)) : 1
  }

  /// Bytes of decoded samples that may stay in memory: those of a single epoch are read once.
  public var bytesKept: Int { (length.epochs ?? 2) > 1 ? FeatureBatches.bytesKept : 0 }

  public mutating func declare(_ settings: Settings) throws {
    try settings(&length)
    try settings("most_steps", &mostSteps, in: 1...Settings.unbounded)
    try settings("tokens_per_batch", &tokensPerBatch, in: 1...16_777_216)
    try optimizer.declare(settings)
    try settings("architecture", &architecture)
    try settings("depth", &depth, in: 1...8)
    try settings("input_norm", &inputNorm)
    try settings("residual", &residual)
    try settings("checkpoint_minutes", &checkpointMinutes, in: 0...100_000, .execution)
  }
}

extension VerbalizerForm.Architecture: SettingWord {}
