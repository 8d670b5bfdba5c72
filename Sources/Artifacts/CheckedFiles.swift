import Failures
import Glibc
import Synchronization

/// Compares the files of an artifact with their checksums: each once for as long as its size and
/// time of change stay what they were, whoever asks. What was found sound is noted in `.verified`
/// beside them, so that a terabyte is not read again by every stage; where that cannot be written,
/// each program reads for itself.
///
/// A line of `.verified` is `size-seconds.nanoseconds checksum name`: the words that
/// `stat -c %s-%.9Y` prints, for scripts that look for changed files.
final class CheckedFiles: Sendable {
  static let fileName = ".verified"

  private struct Entry {
    var stamp: String
    var checksum: String
  }

  private let directory: String
  private let entries: Mutex<[String: Entry]>

  init(directory: String) {
    self.directory = directory
    entries = Mutex(CheckedFiles.read(directory))
  }

  private static func read(_ directory: String) -> [String: Entry] {
    let path = Files.join(directory, CheckedFiles.fileName)
    var known: [String: Entry] = [:]
    for line in ((try? Files.read(path, limit: 1 << 26)) ?? []).split(separator: 10) {
      let words = String(decoding: line, as: UTF8.self).split(separator: " ", maxSplits: 2)
      if words.count == 3 {
        known[String(words[2])] = Entry(stamp: String(words[0]), checksum: String(words[1]))
      }
    }
    return known
  }

  /// Size and time of change of a file; nil where there is none.
  static func stamp(_ path: String) -> String? {
    Files.status(path).map { info in
      let fraction = String(info.st_mtim.tv_nsec)
      let zeros = String(repeating: "0", count: 9 - fraction.count)
      return "\(info.st_size)-\(info.st_mtim.tv_sec).\(zeros)\(fraction)"
    }
  }

  /// Notes a file as sound, by one who has just read or written it.
  func note(_ name: String, checksum: String) {
    guard let stamp = CheckedFiles.stamp(Files.join(directory, name)) else { return }
    save { $0[name] = Entry(stamp: stamp, checksum: checksum) }
  }

  /// Keeps the notes on these files alone, and adds those that were sound when they had their stamps.
  func keep(_ names: some Sequence<String>, _ sound: [(Manifest.File, stamp: String)] = []) {
    let names = Set(names)
    save { entries in
      for (file, stamp) in sound {
        entries[file.file] = Entry(stamp: stamp, checksum: file.checksum)
      }
      entries = entries.filter { names.contains($0.key) }
    }
  }

  private func save(_ change: (inout [String: Entry]) -> Void) {
    entries.withLock { entries in
      // Others that look beside us have their notes there; the last to write may lose one of them,
      // and that file is looked at again.
      entries.merge(CheckedFiles.read(directory)) { mine, _ in mine }
      change(&entries)
      let lines = entries.sorted { $0.key < $1.key }
        .map { "\($0.value.stamp) \($0.value.checksum) \($0.key)\n" }.joined()
      // A folder that only may be read has no notes: then every program looks for itself.
      try? writeAtomically(lines, to: Files.join(directory, CheckedFiles.fileName))
    }
  }

  /// Throws 65 when the file is missing, has another size than the manifest says, or other bytes.
  func check(_ file: Manifest.File) throws {
    let path = Files.join(directory, file.file)
    guard let size = Files.size(path) else {
      throw Failure(
        .badData, "a file of the artifact is missing", at: path,
        advice: "Run the stage that writes it again: what is sound is kept")
    }
    guard size == file.bytes else {
      throw Failure(
        .badData, "a file of the artifact has another size than when it was written", at: path,
        expected: "\(file.bytes) bytes", found: "\(size)", advice: CheckedFiles.advice)
    }
    // The stamp before the bytes: a change between the two is one that the next look finds.
    let stamp = CheckedFiles.stamp(path)
    let known = entries.withLock { $0[file.file] }
    if let known, known.stamp == stamp, known.checksum == file.checksum { return }
    let found = try Fingerprint.file(path)
    guard found == file.checksum else {
      throw Failure(
        .badData, "the file is damaged: its checksum is another", at: path,
        expected: file.checksum, found: found, advice: CheckedFiles.advice)
    }
    if let stamp {
      save { $0[file.file] = Entry(stamp: stamp, checksum: found) }
    }
  }

  static let advice = "Run the stage that writes it again: what is sound is kept"
}

extension Manifest.Shard {
  /// What its checksum covers.
  var asFile: Manifest.File { Manifest.File(file: file, bytes: bytes, checksum: checksum) }
}
