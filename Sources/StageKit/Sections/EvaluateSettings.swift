/// Answering a benchmark.
public struct EvaluateSettings: SettingsSection {
  public static let name = "evaluate"

  /// Longest answer.
  public var maxNewTokens = 32
  /// Beams of the search for an answer; 1 is greedy.
  public var beams = 1
  /// Questions answered side by side, at most a shard of 64.
  public var batch = 64
  /// Only the first questions of the benchmark; null asks all.
  public var limit: Int?
  /// The stage stops when a larger share of the questions, and more than one, was rejected.
  public var maxRejectShare = 0.05
  /// What benchmark of the field the files are, for those whose names do not tell; null asks the names.
  public var benchmark: String?
  /// How answers are scored, whatever the benchmark; null leaves it to that.
  public var rule: String?
  /// How questions are put: `auto`, `adapted`, `benchmark`, or a text with {question} in it.
  public var prompt = "auto"
  /// Fewest pixels of a resized image; null keeps the checkpoint's.
  public var minPixels: Int?
  /// Most pixels of a resized image; null keeps the checkpoint's.
  public var maxPixels: Int?
  /// Prompt tokens of the questions that are answered side by side, visual tokens included; a longer
  /// prompt goes alone.
  public var tokensPerBatch = 16_384
  /// Images may lie outside `--images`: by `..`, an absolute path or a link.
  public var allowOutsideImages = false

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try settings("max_new_tokens", &maxNewTokens, in: 1...65536)
    try settings("beams", &beams, in: 1...1000)
    try settings("batch", &batch, in: 1...65536, .execution)
    try settings("tokens_per_batch", &tokensPerBatch, in: 1...Settings.unbounded, .execution)
    try settings("benchmark", &benchmark)
    try settings("rule", &rule)
    try settings("prompt", &prompt)
    try settings("min_pixels", &minPixels, in: 1...Settings.unbounded)
    try settings("max_pixels", &maxPixels, in: 1...Settings.unbounded)
    try settings("limit", &limit, in: 1...Settings.unbounded)
    try settings("max_reject_share", &maxRejectShare, in: 0...1, .execution)
    try settings("allow_outside_images", &allowOutsideImages)
  }
}
