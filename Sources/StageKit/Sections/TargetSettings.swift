/// The teacher's stored distributions (METHOD.md, "Exact KL without logits").
public struct TargetSettings: SettingsSection {
  public static let name = "target"

  public enum Form: String, SettingWord {
    /// The projected distribution c = Wᵀp and its entropy.
    case exact
    /// The most probable tokens and the mass of the rest.
    case topk
    /// As exact, with the teacher's vectors beside: for losses that need every logit.
    case vectors
  }

  /// How `projected.K` and `vector.K` are stored. float16 is an order of magnitude more exact than bfloat16.
  public enum Precision: String, SettingWord {
    case float16
    case bfloat16
  }

  public var form = Form.exact
  /// Tokens kept by the form topk.
  public var topK = 128
  public var precision = Precision.float16
  /// The teacher's logits are divided by it, and the student's in align.
  public var temperature = 1.0

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try settings("form", &form)
    try settings("top_k", &topK, in: 1...65536)
    try settings("precision", &precision)
    try settings("temperature", &temperature, in: 0.01...1000)
  }
}
