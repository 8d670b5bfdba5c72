import Artifacts
import Failures
import Foundation
import Synchronization

/// Appends one JSON object a line to an artifact's `metrics.jsonl`, as the stage goes on, and the curves
/// of what has steps to TensorBoard's event file beside it.
public final class Metrics: Sendable {
  private let path: String
  private let handle: Mutex<FileHandle?>
  private let events = Mutex<EventFile?>(nil)

  /// Opens `directory`/metrics.jsonl, which must lie in an existing folder, with the lines that an
  /// earlier run left and this one will not write again. Throws 73 when the file cannot be made.
  init(directory: String, lines: [String]) throws {
    path = Files.join(directory, "metrics.jsonl")
    // Never half of them: a kill in between would lose what a resumed run counts on.
    try writeAtomically(lines.map { $0 + "\n" }.joined(), to: path)
    guard let file = FileHandle(forWritingAtPath: path) else {
      throw Failure(
        .cannotCreate, "cannot be opened for writing", at: path,
        advice: "Check the folder's rights.")
    }
    _ = try? file.seekToEnd()
    handle = Mutex(file)
    for line in lines { try show(line) }
  }

  /// As the other, with those lines of the file that `keeping` accepts; a line that was cut off is
  /// none.
  convenience init(directory: String, keeping: (String) -> Bool) throws {
    let bytes = (try? Files.read(Files.join(directory, "metrics.jsonl"))) ?? []
    let lines = bytes.split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
    try self.init(
      directory: directory, lines: lines.filter { $0.hasSuffix("}") && keeping($0) })
  }

  /// Writes one line, and the time. The keys keep their order. Throws 74 when the disk refuses.
  public func append(_ pairs: [(key: String, value: SettingValue)]) throws {
    try append(line: Metrics.line(pairs))
  }

  /// A line with these members and the time, in seconds since 1970.
  static func line(_ pairs: [(key: String, value: SettingValue)]) -> String {
    let time = (Date().timeIntervalSince1970 * 1000).rounded() / 1000
    return SettingValue.object(pairs + [("time", .number(time))]).json
  }

  func append(line: String) throws {
    try use { try $0.write(contentsOf: Data((line + "\n").utf8)) }
    try show(line)
  }

  /// Lines without steps have no curves, and no file for them.
  private func show(_ line: String) throws {
    guard line.hasPrefix("{\"step\"") else { return }
    try events.withLock { events in
      if events == nil { events = try EventFile(directory: Files.parent(of: path)) }
      events?.append(line: line)
    }
  }

  /// Makes what was written outlive a power failure. Throws 74.
  func synchronize() throws { try use { try $0.synchronize() } }

  private func use(_ body: (FileHandle) throws -> Void) throws {
    try handle.withLock { handle in
      do {
        if let handle { try body(handle) }
      } catch {
        throw Failure(
          .ioFailed, "cannot be written", at: path, found: "\(error)",
          advice: "Is the disk full?")
      }
    }
  }

  public func close() {
    events.withLock { events in
      events?.close()
      events = nil
    }
    handle.withLock { handle in
      try? handle?.close()
      handle = nil
    }
  }
}
