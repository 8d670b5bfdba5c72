import Artifacts
import Failures
import Foundation

/// The files of a data set, each with how often its entries are taken.
struct DatasetFiles: Sendable {
  struct Part: Sendable, Equatable {
    var path: String
    /// 1 takes every entry once, 2 twice, 0.5 every other one.
    var weight: Double
  }

  let parts: [Part]
  /// As the user named them.
  let name: String
  /// Where image paths start, unless the user says it; nil where the files lie in several folders.
  let folder: String?

  private static let endings = [".json", ".jsonl", ".ndjson"]

  /// - Parameter text: a file; a folder, of all its data files; or several of them between blanks, each
  ///   with its weight behind a star, as `a.json b.tar*0.5`.
  /// - Throws: `Failure` 66 for what is not there, 65 for a folder without data, 64 for a weight that is
  ///   none.
  init(_ text: String) throws {
    name = text
    var found: [Part] = []
    let words =
      Files.exists(text) || !text.contains(where: { " *".contains($0) })
      ? [text] : text.split(separator: " ").map(String.init)
    for word in words {
      var (path, weight) = (word, 1.0)
      if !Files.exists(word), let star = word.lastIndex(of: "*") {
        let number = word[word.index(after: star)...]
        guard let value = Double(number), value > 0, value <= 1000 else {
          throw Failure(
            .usage, "a weight of the data set cannot be read", at: word,
            expected: "a number above 0 and up to 1000 behind the star", found: String(number))
        }
        (path, weight) = (String(word[..<star]), value)
      }
      for file in try DatasetFiles.files(path) { found.append(Part(path: file, weight: weight)) }
    }
    guard !found.isEmpty else {
      throw Failure(.inputMissing, "cannot read the data set", at: text, expected: "a file")
    }
    parts = found
    let folders = Set(found.map { Files.parent(of: $0.path) })
    folder = folders.count == 1 ? folders.first : nil
  }

  /// The file, or the data files of a folder.
  private static func files(_ path: String) throws -> [String] {
    guard Files.isDirectory(path) else {
      if path.lowercased().hasSuffix(".parquet") { throw parquet(path) }
      return [path]
    }
    let names = try Files.list(path).filter { !$0.hasPrefix(".") }
    let data = names.filter { name in
      TarReader.reads(name) || endings.contains { name.lowercased().hasSuffix($0) }
    }
    if data.isEmpty {
      if names.contains(where: { $0.hasSuffix(".parquet") }) { throw parquet(path) }
      throw Failure(
        .inputMissing, "cannot read the data set", at: path,
        expected: "a file, or a folder with .json, .jsonl or .tar files", found: "a folder",
        advice: Failure.hubAdvice(path, repository: "dataset"))
    }
    return data.sorted { $0.compare($1, options: .numeric) == .orderedAscending }
      .map { Files.join(path, $0) }
  }

  private static func parquet(_ path: String) -> Failure {
    Failure(
      .badData, "Parquet is not read as it stands", at: path,
      expected: "JSON, JSON Lines or a WebDataset",
      advice: "Make a WebDataset of it: python pipeline/parquet.py \(path) --output data.tar")
  }

  /// Of everything that decides the entries.
  var fingerprint: String {
    get throws {
      if parts.count == 1, parts[0].weight == 1 { return try Fingerprint.file(parts[0].path) }
      return Fingerprint.text(
        try parts.map { "\(try Fingerprint.file($0.path)) \($0.weight)" }.joined(separator: "\n"))
    }
  }

  /// - Parameter share: so many of so many entries, evenly spread
  func entries(every stride: Int = 1, share: (taken: Int, of: Int)? = nil) -> DatasetEntries {
    DatasetEntries(self, share: share ?? (1, max(1, stride)), isStride: share == nil)
  }
}

/// The entries of all files, one after another and numbered through.
final class DatasetEntries {
  private let files: DatasetFiles
  private let share: (taken: Int, of: Int)
  /// Whether the first of so many is taken, or the last.
  private let isStride: Bool
  private var part = -1
  private var read: (() throws -> DatasetReader.Entry?)?
  /// Of the file that is being read: how many entries there were.
  private var place = 0
  /// The entry that is given, and how often still.
  private var current: (entry: DatasetReader.Entry, left: Int)?
  private var index = 0

  /// Entries that are left out have no number.
  fileprivate init(_ files: DatasetFiles, share: (taken: Int, of: Int), isStride: Bool) {
    self.files = files
    self.share = share
    self.isStride = isStride
  }

  var name: String { files.name }

  /// The next entry; nil behind the last.
  /// - Throws: what opening and reading the files throw.
  func next() throws -> DatasetReader.Entry? {
    while let entry = try weighted() {
      defer { index += 1 }
      let number = index * share.taken / share.of
      let isTaken =
        isStride ? index % share.of == 0 : (index + 1) * share.taken / share.of > number
      guard isTaken else { continue }
      var numbered = entry
      numbered.index = number
      if files.parts.count > 1 { numbered.part = Files.name(of: entry.file) }
      return numbered
    }
    return nil
  }

  /// The next entry as often as its file's weight says: evenly, and the same every time.
  private func weighted() throws -> DatasetReader.Entry? {
    while true {
      if let (entry, left) = current, left > 0 {
        current = (entry, left - 1)
        return entry
      }
      guard let entry = try read?() else {
        part += 1
        guard part < files.parts.count else { return nil }
        try open(files.parts[part].path)
        continue
      }
      let weight = files.parts[part].weight
      let times =
        Int((Double(place + 1) * weight).rounded(.down))
        - Int((Double(place) * weight).rounded(.down))
      place += 1
      current = (entry, times)
    }
  }

  private func open(_ path: String) throws {
    place = 0
    if TarReader.reads(path) {
      read = try TarReader(path: path).next
    } else {
      read = try DatasetReader(path: path).next
    }
  }
}
