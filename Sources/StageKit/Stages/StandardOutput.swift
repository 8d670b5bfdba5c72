import Failures
import Foundation

/// Standard output: results and nothing else.
public enum StandardOutput {
  /// Writes all of the bytes at once, past no buffer. Throws 74 when the disk is full.
  public static func write(_ bytes: some Sequence<UInt8>) throws(Failure) {
    do {
      try FileHandle.standardOutput.write(contentsOf: Data(bytes))
    } catch {
      // A reader that has seen enough, as `head`: the end by signal that shells expect.
      var reader = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
      if poll(&reader, 1, 0) == 1, reader.revents & Int16(POLLERR) != 0 {
        signal(SIGPIPE, SIG_DFL)
        raise(SIGPIPE)
      }
      throw Failure(
        .ioFailed, "the result cannot be written", at: "standard output",
        found: error.localizedDescription)
    }
  }

  public static func write(_ text: String) throws(Failure) { try write(text.utf8) }

  /// For what only shows something: as `write`, and where that fails the program ends with 74.
  public static func show(_ bytes: some Sequence<UInt8>) {
    do { try write(bytes) } catch { Program.end(error) }
  }
}
