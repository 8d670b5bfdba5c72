import Artifacts
import Checkpoints
import StageKit
import Tensors
import Training

/// What this machine does in a second, measured.
public struct Rates: Sendable {
  public struct Backbone: Sendable {
    /// Operations a second of the vision encoder; nil for data without images.
    public var encoding: Double?
    /// Operations a second of the decoder blocks.
    public var forward: Double
    /// Seconds a position and layer to speak through the head.
    public var speaking: Double
  }

  public var teacher: Backbone
  public var student: Backbone
  /// Operations of the student's forward pass a second, when its gradient follows: of adapters, and
  /// of the weights themselves.
  public var adapters: Double
  public var full: Double
  /// Seconds a position and layer to bring the teacher's words to the student's width.
  public var projecting: Double
  private var exactMoments: Double
  private var codedMoments: Double
  /// Bytes a second from the checkpoints' disk and to the run's.
  public var reading: Double
  public var writing: Double
  /// Seconds for a program to read its inputs' heads and fingerprints.
  public let start = 2.0

  /// Seconds a weight of an optimizer step.
  func optimizer(_ settings: OptimizerSettings) -> Double {
    settings.moments == .blockwise8 ? codedMoments : exactMoments
  }

  /// Rehearses both backbones over the first samples of `reader`; takes some seconds.
  /// - Parameter directory: where the run will be written.
  /// - Throws: 65, 66, 73 or 74.
  public init(
    _ plan: RunPlan, teacherSamples: ExampleReader, studentSamples: ExampleReader,
    directory: String
  ) throws {
    let large = try Rehearsal(plan.teacher, reader: teacherSamples, threads: plan.threads)
    teacher = Backbone(
      encoding: large.encodingSpeed(), forward: large.forwardSpeed(),
      speaking: try large.speakingSeconds())
    projecting = try large.projectingSeconds(to: plan.student)
    let small = try Rehearsal(plan.student, reader: studentSamples, threads: plan.threads)
    student = Backbone(
      encoding: small.encodingSpeed(), forward: small.forwardSpeed(),
      speaking: try small.speakingSeconds())
    let align = plan.preset.align
    adapters = small.trainingSpeed(
      loraRank: align.weights == .lora ? align.loraRank : nil,
      checkpointing: align.training.gradientCheckpointing)
    full = small.trainingSpeed(
      loraRank: nil, checkpointing: plan.preset.finetune.training.gradientCheckpointing)
    exactMoments = Rehearsal.optimizerSeconds(.float32)
    codedMoments = Rehearsal.optimizerSeconds(.blockwise8)
    reading = Rehearsal.readingSpeed(of: plan.teacher) ?? 1e9
    writing = try Rehearsal.writingSpeed(in: directory)
  }
}
