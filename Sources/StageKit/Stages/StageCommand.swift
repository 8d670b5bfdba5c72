import ArgumentParser
import Failures

/// A stage program. It states its arguments and `run(stage:)`; its `main.swift` calls `main()`.
public protocol StageCommand: ParsableCommand {
  /// The program's name, `vlsi-extract`.
  static var name: String { get }
  /// What it does, one line.
  static var abstract: String { get }
  /// A command line that works, shown by `--help`.
  static var example: String { get }

  /// Declared as `@OptionGroup var common: CommonOptions`.
  var common: CommonOptions { get }

  /// The stage itself. What it throws becomes the exit code.
  func run(stage: Stage) throws
}

extension StageCommand {
  public static var example: String { "" }

  public static var configuration: CommandConfiguration {
    CommandConfiguration(
      commandName: name, abstract: abstract,
      discussion: example.isEmpty ? "" : "Example:\n  \(example)",
      version: Stage.version)
  }

  public func run() throws {
    let stage = try Stage(name: Self.name, options: common)
    do {
      try run(stage: stage)
      stage.close()
    } catch {
      stage.close()
      throw error
    }
  }

  /// Parses the command line, runs the stage and ends the process with its exit code.
  public static func main() {
    Program.run(Self.self, name: name, arguments: nil)
  }

  /// As `main()`, on given arguments.
  public static func main(_ arguments: [String]?) {
    Program.run(Self.self, name: name, arguments: arguments)
  }
}

/// A program of several stages: `vlsi-synthesize data`, `vlsi-synthesize checkpoint`.
public protocol StageGroup: ParsableCommand {
  static var name: String { get }
  static var abstract: String { get }
  /// Stages whose `name` is the word after the program's.
  static var stages: [any ParsableCommand.Type] { get }
}

extension StageGroup {
  public static var configuration: CommandConfiguration {
    CommandConfiguration(
      commandName: name, abstract: abstract, version: Stage.version, subcommands: stages)
  }

  /// Parses the command line, runs the stage that it names and ends the process.
  public static func main() {
    Program.run(Self.self, name: name, arguments: nil)
  }
}
