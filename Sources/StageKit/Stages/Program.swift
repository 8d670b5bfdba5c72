import ArgumentParser
import CGlibc
import Failures
import Foundation
import Kernels

/// The one place where errors become a message on standard error and an exit code.
enum Program {
  static func run<Command: ParsableCommand>(
    _ type: Command.Type, name: String, arguments: [String]?
  ) -> Never {
    MatrixBuffers.forgoLibraryThreads()
    // Swift's arrays from a megabyte on get pages of their own, which go back to the system whole: by
    // default glibc raises that bound as it goes, and the heap keeps what lies between the holes.
    _ = mallopt(M_MMAP_THRESHOLD, 1 << 20)
    Interrupt.ignoreFailingWrites()
    do {
      var command = try Command.parseAsRoot(arguments)
      do {
        try command.run()
      } catch  where Command.exitCode(for: error).isSuccess || error is ValidationError {
        // `--help` and `--version` arrive here too.
        throw error
      } catch {
        if let silent = error as? Silent { exit(silent.code.rawValue) }
        end(failure(of: error, name: name))
      }
    } catch {
      if let failure = error as? Failure { end(failure) }
      if Command.exitCode(for: error).isSuccess {
        print(Command.fullMessage(for: error))
        exit(Failures.ExitCode.done.rawValue)
      }
      var text = Command.message(for: error)
      while text.hasSuffix(".") { text.removeLast() }
      end(Failure(.usage, text, advice: "Try \(name) --help."))
    }
    exit(Failures.ExitCode.done.rawValue)
  }

  /// What an error means to the user.
  static func failure(of error: any Error, name: String) -> Failure {
    if let failure = error as? Failure { return failure }
    let system = error as NSError
    if system.domain == NSCocoaErrorDomain {
      return Failure(
        .ioFailed, system.localizedDescription,
        at: system.userInfo[NSFilePathErrorKey] as? String ?? name,
        advice: "Check the path, the rights and the free space.")
    }
    return Failure(
      .software, "\(error)", at: name,
      advice: "This is a bug of the program; please report it with the command line.")
  }

  static func end(_ failure: Failure) -> Never {
    Terminal.shared.write("error: \(failure)")
    exit(failure.code.rawValue)
  }
}

/// The end of a program that has said, or another has, why.
public struct Silent: Error {
  let code: Failures.ExitCode

  public init(_ code: Failures.ExitCode) { self.code = code }
}
