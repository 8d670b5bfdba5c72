import Failures
import Kernels
import Models

/// What all stages share.
public struct RunSettings: SettingsSection {
  public static let name = "run"

  /// Of everything random: initial weights, data order, layer matching. `--seed` wins.
  public var seed: UInt64 = 0
  /// Worker threads; 0 takes every core. `--threads` wins. Manifests record them: sums over threads
  /// are ordered by their number, which shows in the last bits.
  public var threads = 0

  /// How the large products of models and heads are computed. Manifests record what it came to.
  public var precision = Multiplication.auto

  public enum Multiplication: String, SettingWord {
    /// bfloat16 where the processor multiplies it in hardware, else float32; an artifact that was
    /// begun goes on as it was begun.
    case auto
    case float32
    /// Both factors rounded to bfloat16, sums in float32.
    case bfloat16
    /// As bfloat16, with what rounding left as a second factor.
    case bfloat16x2

    /// What it comes to on this machine.
    public var precision: Precision { Precision(rawValue: rawValue) ?? .fastest }
  }

  /// The teacher reads samples that its own processor prepared from the same conversations: for a
  /// teacher of another family than the student's.
  public var teacherSamples = TeacherSamples.shared

  public enum TeacherSamples: String, SettingWord {
    /// Those of the student.
    case shared
    case own
  }

  /// So many hours on this machine: of the data set as many entries, evenly spread, as the plan says that
  /// they suffice for; nil takes all.
  public var budgetHours: Double?

  /// What student and teacher are called on the hub, `owner/name`, for the cards of what is made of them
  /// and for adapters; nil takes what their folders and files tell.
  public var studentID: String?
  public var teacherID: String?

  /// The two of them.
  /// - Throws: `Failure` 78 for what is no name of a model on the hub.
  public func hubNames() throws -> HubNames {
    for (key, name) in [("student_id", studentID), ("teacher_id", teacherID)] {
      guard let name, !HubName.isIdentifier(name) else { continue }
      throw Failure(
        .badPreset, "no name of a model on the hub", at: "run.\(key)", expected: "owner/name",
        found: name)
    }
    return HubNames(student: studentID, teacher: teacherID)
  }

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try settings("seed", &seed)
    try settings("threads", &threads, in: 0...4096, .execution)
    try settings("precision", &precision)
    try settings("teacher_samples", &teacherSamples)
    try settings("budget_hours", &budgetHours, in: 0.001...100_000)
    try settings("student_id", &studentID)
    try settings("teacher_id", &teacherID)
  }
}
