/// Step 2, interaction: the student's LoRA learns from the teacher's layers (METHOD.md,
/// "Step 2, interaction", and the ablations for the options).
public struct AlignSettings: SettingsSection {
  public static let name = "align"

  /// Which teacher layer a student layer learns from.
  public enum Matching: String, SettingWord {
    /// Algorithm 1: sampled from softmax(-KL / T).
    case multinomial
    /// Any teacher layer, by chance.
    case random
    /// j = i · floor(t_l / t_s).
    case uniform
    /// The smallest KL.
    case bottom1 = "bottom-1"
    /// The mean of the three smallest.
    case bottom3 = "bottom-3"
  }

  /// What a student layer learns.
  public enum Loss: String, SettingWord {
    case none
    /// The labels, no teacher.
    case crossEntropy = "ce"
    /// KL(teacher ‖ student), the paper's.
    case kullbackLeibler = "kl"
    case reverseKullbackLeibler = "reverse-kl"
    case jensenShannon = "jensen-shannon"
    /// Squared distance of the logits, or of the vectors without a language head.
    case squared = "l2"
  }

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
  public var matching = Matching.multinomial
  public var searchRange = true
  public var orderPreservation = true
  public var adaptiveTemperature = true
  public var intermediateLoss = Loss.kullbackLeibler
  public var lastLoss = Loss.kullbackLeibler
  public var intermediateWeight = 1.0
  public var lastWeight = 1.0
  /// Off, the verbalizers have no language head: what they put out is compared, the student's
  /// widened to the teacher's d, and they learn here instead of in verbalize.
  public var languageHead = true
  /// Lets the student's verbalizers learn too; frozen is the paper's way.
  public var trainVerbalizers = false

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try training.declare(settings)
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
