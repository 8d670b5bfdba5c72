import Foundation
import Synchronization

/// Standard error, shared by log lines and the progress bar: a line pushes the bar down.
final class Terminal: Sendable {
  static let shared = Terminal()

  /// Whether a person is looking: only then the bar moves.
  let isLive: Bool
  private let bar = Mutex("")

  private init() {
    let environment = ProcessInfo.processInfo.environment
    let plain = (environment["TERM"] ?? "dumb") == "dumb"
    // Make sets it when several stages share the terminal.
    let lines = environment["VLSI_PROGRESS"] == "lines"
    isLive = isatty(STDERR_FILENO) == 1 && !plain && !lines
  }

  func write(_ line: String) {
    bar.withLock { bar in
      send(bar.isEmpty ? line + "\n" : "\r\u{1B}[K" + line + "\n" + bar)
    }
  }

  /// Shows `text` in place of the present bar; an empty text takes it away.
  func showBar(_ text: String) {
    guard isLive else { return }
    bar.withLock { bar in
      guard bar != text else { return }
      bar = text
      send("\r\u{1B}[K" + text)
    }
  }

  private func send(_ text: String) {
    // Who listens may leave, and the terminal may close: the work goes on.
    try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
  }
}
