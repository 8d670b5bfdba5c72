import Failures
import Foundation
import Synchronization

/// Appends one JSON object a line to an artifact's `metrics.jsonl`, as the stage goes on.
public final class Metrics: Sendable {
  private let path: String
  private let handle: Mutex<FileHandle?>

  /// Opens `directory`/metrics.jsonl, which must lie in an existing folder.
  ///
  /// `keeping` decides which lines of an interrupted run stay: those that a resumed run will not
  /// write again. Throws 73 when the file cannot be opened.
  init(directory: String, keeping: ((String) -> Bool)?) throws {
    path = directory + "/metrics.jsonl"
    let manager = FileManager.default
    if let keeping, let data = manager.contents(atPath: path) {
      let lines = String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
      let kept = lines.filter { $0.hasSuffix("}") && keeping($0) }
      _ = manager.createFile(
        atPath: path, contents: Data(kept.map { $0 + "\n" }.joined().utf8))
    } else if keeping == nil {
      _ = manager.createFile(atPath: path, contents: nil)
    } else if !manager.fileExists(atPath: path) {
      _ = manager.createFile(atPath: path, contents: nil)
    }
    guard let file = FileHandle(forWritingAtPath: path) else {
      throw Failure(
        .cannotCreate, "cannot be opened for writing", at: path,
        advice: "Check the folder's rights.")
    }
    _ = try? file.seekToEnd()
    handle = Mutex(file)
  }

  /// Writes one line. The keys keep their order. Throws 74 when the disk refuses.
  public func append(_ pairs: [(key: String, value: SettingValue)]) throws {
    let line = Data((SettingValue.object(pairs).json + "\n").utf8)
    try handle.withLock { handle in
      do {
        try handle?.write(contentsOf: line)
      } catch {
        throw Failure(
          .ioFailed, "cannot be written", at: path, found: "\(error)",
          advice: "Is the disk full?")
      }
    }
  }

  public func close() {
    handle.withLock { handle in
      try? handle?.close()
      handle = nil
    }
  }
}
