/// Step 3: supervised fine-tuning of the merged student (METHOD.md, "Step 3").
public struct FinetuneSettings: SettingsSection {
  public static let name = "finetune"

  public var training = TrainingSettings()
  /// Lets the vision encoder and the merger learn.
  public var trainVision = false
  /// Lets the word embedding learn.
  public var trainEmbedding = true

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try training.declare(settings, passes: .execution)
    try settings("train_vision", &trainVision)
    try settings("train_embedding", &trainEmbedding)
  }
}
