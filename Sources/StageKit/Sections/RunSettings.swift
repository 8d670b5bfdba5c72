/// What all stages share.
public struct RunSettings: SettingsSection {
  public static let name = "run"

  /// Of everything random: initial weights, data order, layer matching. `--seed` wins.
  public var seed: UInt64 = 0
  /// Worker threads; 0 takes every core. `--threads` wins. Manifests record them: sums over threads
  /// are ordered by their number, which shows in the last bits.
  public var threads = 0

  /// The teacher reads samples that its own processor prepared from the same conversations: for a
  /// teacher of another family than the student's.
  public var teacherSamples = TeacherSamples.shared

  public enum TeacherSamples: String, SettingWord {
    /// Those of the student.
    case shared
    case own
  }

  public init() {}

  public mutating func declare(_ settings: Settings) throws {
    try settings("seed", &seed)
    try settings("threads", &threads, in: 0...4096, .execution)
    try settings("teacher_samples", &teacherSamples)
  }
}
