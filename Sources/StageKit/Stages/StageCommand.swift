import ArgumentParser
import Artifacts
import Failures
import Foundation
import Ranks

/// A stage program. It states its arguments and `run(stage:)`; its `main.swift` calls `main()`.
public protocol StageCommand: ParsableCommand {
  /// The program's name, `vlsi-extract`.
  static var name: String { get }
  /// What it does, one line.
  static var abstract: String { get }
  /// A command line that works, shown by `--help`.
  static var example: String { get }

  /// Whether several processes under MPI do it together.
  static var isParallel: Bool { get }

  associatedtype Options: StageOptions
  /// Declared as `@OptionGroup var common: CommonOptions`, or with fewer options.
  var common: Options { get }

  /// The stage itself. What it throws becomes the exit code.
  func run(stage: Stage) throws
}

extension StageCommand {
  public static var example: String { "" }
  public static var isParallel: Bool { false }

  public static var configuration: CommandConfiguration {
    CommandConfiguration(
      commandName: name, abstract: abstract,
      discussion: example.isEmpty ? "" : "Example:\n  \(example)",
      version: Version.current)
  }

  public func run() throws {
    let ranks = Self.isParallel ? try Ranks.launched() : .alone
    var isOver = false
    do {
      let stage = try Stage(name: Self.name, options: common, ranks: ranks)
      do {
        try run(stage: stage)
        stage.close()
      } catch {
        stage.close()
        if stage.endedTogether {
          try ranks.finish()
          isOver = true
          // One speaks for all.
          if ranks.rank > 0 { throw Silent(.interrupted) }
        }
        throw error
      }
      try ranks.finish()
    } catch let error where ranks.count > 1 && !isOver {
      try Self.end(ranks, error)
    }
  }

  /// Ends all ranks: the others would wait for the one that failed.
  private static func end(_ ranks: Ranks, _ error: any Error) throws {
    // What all have found out, the first says, and the launcher ends the others meanwhile.
    if ranks.rank > 0 { Thread.sleep(forTimeInterval: 3) }
    let failure = Program.failure(of: error, name: name)
    Terminal.shared.write("error: rank \(ranks.rank) of \(ranks.count): \(failure)")
    ranks.abort(failure.code.rawValue)
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
      commandName: name, abstract: abstract, version: Version.current, subcommands: stages)
  }

  /// Parses the command line, runs the stage that it names and ends the process.
  public static func main() {
    Program.run(Self.self, name: name, arguments: nil)
  }
}
