import Artifacts
import Checkpoints
import StageKit
import Tensors
import Training

/// What this machine does in a second, measured.
public struct Rates: Sendable {
  /// Of one model.
  public struct Model: Sendable {
    /// Operations a second of the vision encoder; nil for data without images.
    public var encoding: Double?
    /// Operations a second of the decoder blocks.
    public var forward: Double
    /// To speak through the head, once for each layer.
    public var speaking: Pace
  }

  /// What passes over a whole matrix take: something for the matrix, and something for each position
  /// that reads it.
  public struct Pace: Sendable {
    /// Seconds.
    public var pass: Double
    public var position: Double

    func seconds(passes: Double, positions: Double) -> Double {
      passes * pass + positions * position
    }
  }

  /// Operations of a forward pass a second, when its gradient follows: of blocks that are kept, and of
  /// those that are computed again.
  public struct Training: Sendable {
    public var kept: Double
    public var recomputed: Double

    /// Seconds for so many operations, of which this part is computed again.
    func seconds(_ operations: Double, recomputed part: Double) -> Double {
      operations * (part / recomputed + (1 - part) / kept)
    }
  }

  public var teacher: Model
  public var student: Model
  /// Operations of the student's forward pass a second, when its gradient follows: of adapters, and
  /// of the weights themselves.
  public var adapters: Training
  public var full: Training
  /// To bring the teacher's words to the student's width.
  public var projecting: Pace
  private var exactMoments: Double
  private var codedMoments: Double
  /// Bytes a second from the checkpoints' disk and to the run's.
  public var reading: Double
  public var writing: Double
  /// Bytes a second of memory that the system hands out for the first time.
  public var clearing: Double
  /// Seconds a random initial weight.
  public var drawing: Double

  /// Seconds for a program to look at its inputs, and to come by its memory.
  func start(memory: Int) -> Double { 1 + Double(memory) / clearing }

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
    teacher = Model(
      encoding: large.encodingSpeed(), forward: large.forwardSpeed(),
      speaking: try large.speakingPace())
    projecting = try large.projectingPace(to: plan.student)
    let small = try Rehearsal(plan.student, reader: studentSamples, threads: plan.threads)
    student = Model(
      encoding: small.encodingSpeed(), forward: small.forwardSpeed(),
      speaking: try small.speakingPace())
    let align = plan.preset.align
    adapters = small.trainingSpeed(loraRank: align.weights == .lora ? align.loraRank : nil)
    full = small.trainingSpeed(loraRank: nil)
    exactMoments = Rehearsal.optimizerSeconds(.float32)
    codedMoments = Rehearsal.optimizerSeconds(.blockwise8)
    reading = Rehearsal.readingSpeed(of: plan.teacher) ?? 1e9
    writing = try Rehearsal.writingSpeed(in: directory)
    clearing = Rehearsal.clearingSpeed()
    drawing = Rehearsal.drawingSeconds()
  }
}
