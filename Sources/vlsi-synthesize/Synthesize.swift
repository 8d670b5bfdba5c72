import ArgumentParser
import StageKit

/// `vlsi-synthesize`: what the embedded default needs, made from a seed.
struct Synthesize: StageCommand {
  static let name = "vlsi-synthesize"
  static let abstract = "Makes the embedded data set, or a checkpoint with random weights."
  static var configuration: CommandConfiguration {
    CommandConfiguration(
      commandName: name, abstract: abstract, version: Stage.version,
      subcommands: [DataCommand.self])
  }

  // Each subcommand has these options of its own.
  var common: CommonOptions { CommonOptions() }

  func run() throws { throw CleanExit.helpRequest(self) }

  func run(stage: Stage) throws { try run() }
}
