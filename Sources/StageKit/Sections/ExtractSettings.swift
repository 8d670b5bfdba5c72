/// Hidden states of the target layers (METHOD.md, "Words").
public struct ExtractSettings: SettingsSection {
  public static let name = "extract"

  /// Target layers of the teacher, counted from 1. The paper: every fourth from the second.
  public var teacherLayers = LayerSelection.every(first: 2, step: 4)
  /// Target layers of the student; at most as many as the teacher's.
  public var studentLayers = LayerSelection.every(first: 2, step: 4)
  /// Tokens packed into one forward pass.
  public var tokensPerBatch = 4096
  /// Tokens of the forward passes that go through each decoder block together: its weights are read
  /// once for all of them. Nil: one pass at a time where the weights fit into memory, else as many as
  /// memory allows.
  public var tokensInFlight: Int?
  /// Also stores the merged visual embeddings, so that no later stage encodes an image again.
  public var storeVisual = VisualStorage.auto

  public enum VisualStorage: String, SettingWord {
    /// The student's, where its vision encoder stays frozen: align and finetune read them.
    case auto
    /// Both backbones'.
    case always = "true"
    case never = "false"
  }

  /// Whether a backbone's visual embeddings are stored.
  /// - Parameter learns: whether a later stage trains the vision encoder.
  public func storesVisual(ofStudent: Bool, learns: Bool) -> Bool {
    switch storeVisual {
    case .auto: ofStudent && !learns
    case .always: true
    case .never: false
    }
  }

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try settings("teacher_layers", &teacherLayers)
    try settings("student_layers", &studentLayers)
    try settings("tokens_per_batch", &tokensPerBatch, in: 1...16_777_216, .execution)
    try settings("tokens_in_flight", orAuto: &tokensInFlight, in: 1...16_777_216, .execution)
    try settings("store_visual", &storeVisual)
  }
}
