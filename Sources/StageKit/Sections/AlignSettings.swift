import Distillation

/// Step 2, interaction: the student's LoRA learns from the teacher's layers (METHOD.md,
/// "Step 2, interaction", and the ablations for the options).
public struct AlignSettings: SettingsSection {
  public static let name = "align"

  /// Which weights of the student's language model learn.
  public enum Weights: String, SettingWord {
    /// Low-rank adapters on the decoder blocks' projections.
    case lora
    /// The decoder blocks and the final norm themselves.
    case full
  }

  public var training = TrainingSettings()
  public var weights = Weights.lora
  public var loraRank = 64
  public var loraAlpha = 64.0
  /// Which teacher layer a student layer learns from.
  public var matching = LayerMatching.Strategy.multinomial
  public var searchRange = true
  public var orderPreservation = true
  public var adaptiveTemperature = true
  /// What a student's target layer learns.
  public var intermediateLoss = LossTerm.Kind.kullbackLeibler
  /// What its last layer learns.
  public var lastLoss = LossTerm.Kind.kullbackLeibler
  public var intermediateWeight = 1.0
  public var lastWeight = 1.0
  /// Off, the verbalizers have no language head: what they put out is compared, the student's
  /// widened to the teacher's d, and they learn here instead of in verbalize.
  public var languageHead = true
  /// Lets the student's verbalizers learn too; frozen is the paper's way.
  public var trainVerbalizers = false

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try training.declare(settings, passes: .content)
    try settings("weights", &weights)
    try settings("lora_rank", &loraRank, in: 1...65536)
    try settings("lora_alpha", &loraAlpha, in: 0...65536)
    try settings("matching", &matching)
    try settings("search_range", &searchRange)
    try settings("order_preservation", &orderPreservation)
    try settings("adaptive_temperature", &adaptiveTemperature)
    try settings("intermediate_loss", &intermediateLoss)
    try settings("last_loss", &lastLoss)
    try settings("intermediate_weight", &intermediateWeight, in: 0...1e6)
    try settings("last_weight", &lastWeight, in: 0...1e6)
    try settings("language_head", &languageHead)
    try settings("train_verbalizers", &trainVerbalizers)
  }
}

extension LayerMatching.Strategy: SettingWord {}
extension LossTerm.Kind: SettingWord {}
