/// The embedded data set.
public struct SynthesizeSettings: SettingsSection {
  public static let name = "synthesize"

  /// Of scenes and questions; apart from run.seed, so that runs over several seeds share data.
  public var seed: UInt64 = 0
  /// Images of the distillation data.
  public var trainImages = 1500
  /// Held-out questions of the benchmark.
  public var testQuestions = 1200
  /// Held-out questions for choosing settings.
  public var validationQuestions = 600
  /// Images with right answers, from which random weights learn to answer (split `pretrain`).
  public var pretrainImages = 2500
  /// Images of few objects with right answers, from which random weights learn to look things up
  /// before they learn all the rest.
  public var pretrainLookupImages = 0
  /// Images with a word for every visual token, from which random weights learn to see.
  public var pretrainDenseImages = 1500
  /// Most questions about one image.
  public var questionsPerImage = 4
  /// Share of training answers replaced by a wrong one of the same kind. Test answers are right.
  public var wrongAnswerShare = 0.3

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try settings("seed", &seed)
    try settings("train_images", &trainImages, in: 0...Settings.unbounded)
    try settings("test_questions", &testQuestions, in: 0...Settings.unbounded)
    try settings("validation_questions", &validationQuestions, in: 0...Settings.unbounded)
    try settings("pretrain_images", &pretrainImages, in: 0...Settings.unbounded)
    try settings("pretrain_lookup_images", &pretrainLookupImages, in: 0...Settings.unbounded)
    try settings("pretrain_dense_images", &pretrainDenseImages, in: 0...Settings.unbounded)
    try settings("questions_per_image", &questionsPerImage, in: 1...1000)
    try settings("wrong_answer_share", &wrongAnswerShare, in: 0...1)
  }
}
