import ArgumentParser
import Failures
import Foundation

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
    Self.main(nil)
  }

  /// As `main()`, on given arguments.
  public static func main(_ arguments: [String]?) {
    var command: any ParsableCommand
    do {
      command = try parseAsRoot(arguments)
    } catch {
      endAfterParsing(error)
    }
    do {
      try command.run()
    } catch let failure as Failure {
      end(failure)
    } catch  where exitCode(for: error).isSuccess || error is ValidationError {
      // `--help` and `--version` arrive here too.
      endAfterParsing(error)
    } catch let error as NSError where error.domain == NSCocoaErrorDomain {
      end(
        Failure(
          .ioFailed, error.localizedDescription,
          at: error.userInfo[NSFilePathErrorKey] as? String ?? name,
          advice: "Check the path, the rights and the free space."))
    } catch {
      end(
        Failure(
          .software, "\(error)", at: name,
          advice: "This is a bug of the program; please report it with the command line."))
    }
    Foundation.exit(ExitCodes.done)
  }

  private static func endAfterParsing(_ error: any Error) -> Never {
    if let failure = error as? Failure { end(failure) }
    if exitCode(for: error).isSuccess {
      print(fullMessage(for: error))
      Foundation.exit(ExitCodes.done)
    }
    var text = message(for: error)
    while text.hasSuffix(".") { text.removeLast() }
    end(Failure(.usage, text, advice: "Try \(name) --help."))
  }

  private static func end(_ failure: Failure) -> Never {
    Terminal.shared.write("error: \(failure)")
    Foundation.exit(failure.code.rawValue)
  }
}

/// Spelled out, as ArgumentParser has an `ExitCode` of its own.
enum ExitCodes {
  static let done = Failures.ExitCode.done.rawValue
  static let interrupted = Failures.ExitCode.interrupted.rawValue
}
