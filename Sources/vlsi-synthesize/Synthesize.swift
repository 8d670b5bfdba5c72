import ArgumentParser
import StageKit

/// `vlsi-synthesize`: what the embedded default needs, made from a seed.
struct Synthesize: StageGroup {
  static let name = "vlsi-synthesize"
  static let abstract = "Makes the embedded data set, or a checkpoint with random weights."
  static let stages: [any ParsableCommand.Type] = [DataCommand.self, CheckpointCommand.self]
}
