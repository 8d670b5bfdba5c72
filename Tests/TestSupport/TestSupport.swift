import Artifacts
import Failures
import Foundation
import Testing

/// A folder of its own that goes when the test ends.
public final class TemporaryFolder: Sendable {
  public let path: String

  /// - Parameter inMemory: where the system has a place for that.
  public init(inMemory: Bool = false) throws {
    let memory = "/dev/shm"
    let base = inMemory && access(memory, W_OK) == 0 ? memory + "/" : NSTemporaryDirectory()
    path = base + "vlsi-" + UUID().uuidString
    try Files.makeDirectory(path)
  }

  deinit { try? Files.removeTree(path) }

  /// The path of a name in the folder.
  public func callAsFunction(_ name: String) -> String { Files.join(path, name) }

  /// Writes a file, making the folders above it, and gives its path.
  @discardableResult
  public func write(_ text: String, to name: String) throws -> String {
    let file = URL(fileURLWithPath: self(name))
    try Files.makeDirectory(file.deletingLastPathComponent().path)
    try Data(text.utf8).write(to: file)
    return file.path
  }
}

/// Runs `body` and returns the failure it must end with.
public func failure(_ body: () throws -> Void) -> Failure? {
  do {
    try body()
  } catch let failure as Failure {
    return failure
  } catch {
    Issue.record("not a Failure: \(error)")
    return nil
  }
  Issue.record("nothing was thrown")
  return nil
}

/// Python as the environment gives it: VLSI_PYTHON, which `make test` sets, else `python3`.
public enum Python {
  private static let program: String = {
    let named = ProcessInfo.processInfo.environment["VLSI_PYTHON"] ?? ""
    return named.isEmpty ? "python3" : named
  }()

  /// Runs it and gives its status with all that it wrote.
  public static func run(_ arguments: [String]) -> (status: Int32, text: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    do { try process.run() } catch { return (127, "\(error)") }
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, text)
  }

  /// Whether it has all of these modules.
  public static func has(_ modules: String...) -> Bool {
    let script = "import sys, importlib.util as u; sys.exit(None in map(u.find_spec, sys.argv[1:]))"
    return run(["-c", script] + modules).status == 0
  }
}
