import Artifacts
import Failures
import Foundation
import Testing

/// A folder of its own that goes when the test ends.
public final class TemporaryFolder: Sendable {
  public let path: String

  public init() throws {
    path = NSTemporaryDirectory() + "vlsi-" + UUID().uuidString
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
