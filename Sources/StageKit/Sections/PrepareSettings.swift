/// From conversations and images to token ids and pixels.
public struct PrepareSettings: SettingsSection {
  public static let name = "prepare"

  /// What happens to a sample longer than the context.
  public enum TooLong: String, SettingWord {
    /// It goes to `rejects.jsonl`.
    case reject
    /// Its end is cut off.
    case cut
  }

  /// How the turns of a conversation see each other.
  public enum Questions: String, SettingWord {
    /// Every turn sees those before it.
    case conversation
    /// Every question sees the image and itself only: all share one visual prefix.
    case independent
  }

  /// Most tokens of a sample, image tokens included.
  public var context = 2048
  /// Fewest pixels of a resized image; null keeps the checkpoint's `preprocessor_config.json`.
  public var minPixels: Int?
  /// Most pixels of a resized image; null keeps the checkpoint's.
  public var maxPixels: Int?
  public var tooLong = TooLong.reject
  public var questions = Questions.conversation
  /// The stage stops when a larger share of the samples was rejected.
  public var maxRejectShare = 0.05
  /// Images may lie outside `--images`: by `..`, an absolute path or a link.
  public var allowOutsideImages = false
  /// Samples in one shard: the unit of resuming and of parallel work.
  public var samplesPerShard = 512

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try settings("context", &context, in: 8...1_048_576)
    try settings("min_pixels", &minPixels, in: 1...Settings.unbounded)
    try settings("max_pixels", &maxPixels, in: 1...Settings.unbounded)
    try settings("too_long", &tooLong)
    try settings("questions", &questions)
    try settings("max_reject_share", &maxRejectShare, in: 0...1, .execution)
    try settings("allow_outside_images", &allowOutsideImages)
    try settings("samples_per_shard", &samplesPerShard, in: 1...1_048_576)
  }
}
