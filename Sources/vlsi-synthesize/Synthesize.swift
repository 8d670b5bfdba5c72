import ArgumentParser
import Foundation
import StageKit

/// `vlsi-synthesize`: what the embedded default needs, made from a seed.
struct Synthesize: StageGroup {
  static let name = "vlsi-synthesize"
  static let abstract = "Makes the embedded data set, or a checkpoint with random weights."
  static let stages: [any ParsableCommand.Type] = [DataCommand.self, CheckpointCommand.self]
}

/// What the system says about an error, without the full stop that a message adds.
func reason(_ error: any Error) -> String {
  let text = error.localizedDescription
  return text.hasSuffix(".") ? String(text.dropLast()) : text
}
