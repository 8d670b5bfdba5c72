import Failures
import Synchronization

/// Reads a finished artifact. Safe to use from several threads.
public final class ArtifactReader: Sendable {
  public let directory: String
  public let manifest: Manifest
  /// The sample indices of the records, ascending.
  public let indices: [Int]

  private struct Location: Sendable {
    let shard: Int
    let count: Int
  }

  private let locations: [Int: Location]
  private let open = Mutex(OpenShards())
  /// Nil where damage is to be looked at, not refused.
  private let checked: CheckedFiles?

  /// A shard is compared with its checksum before its first record is read, a file before it is
  /// opened.
  /// - Parameters:
  ///   - kind: refuse another one.
  ///   - checking: false reads what can be read of a damaged artifact.
  /// Throws 66 when there is no such folder, 65 when it is unfinished, of another kind, or its
  /// shards are missing, cut off or unreadable.
  public init(directory: String, kind: ArtifactKind? = nil, checking: Bool = true) throws {
    self.directory = directory
    checked = checking ? CheckedFiles(directory: directory) : nil
    manifest = try ArtifactReader.manifest(in: directory)
    if let kind, manifest.kind != kind {
      throw Failure(
        .badData, "an artifact of the wrong kind", at: directory, expected: kind.rawValue,
        found: manifest.kind.rawValue)
    }
    var locations: [Int: Location] = [:]
    for (number, shard) in manifest.shards.enumerated() {
      let path = Files.join(directory, shard.file)
      try ArtifactReader.checkSize(path, shard.bytes)
      for entry in try LMDBReader.entries(of: path) {
        let index = entry.key.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard entry.key.count == 8, let index = Int(exactly: index) else {
          throw Failure(.badData, "a key that is no sample index", at: path)
        }
        let location = Location(shard: number, count: entry.count)
        guard locations.updateValue(location, forKey: index) == nil else {
          throw Failure(.badData, "sample \(index) lies in two shards", at: path)
        }
      }
    }
    self.locations = locations
    indices = locations.keys.sorted()
    guard indices.count == manifest.records else {
      throw Failure(
        .badData, "records are missing", at: directory, expected: "\(manifest.records)",
        found: "\(indices.count)")
    }
  }

  /// The manifest in a folder. Throws 66 when there is no such folder, 65 when it is unfinished.
  public static func manifest(in directory: String) throws -> Manifest {
    let path = Files.join(directory, Manifest.fileName)
    guard Files.isDirectory(directory) else {
      throw Failure(.inputMissing, "no such folder", at: directory)
    }
    guard Files.exists(path) else {
      let state = Journal.read(in: directory).map {
        "unfinished, \($0.shards.count) of its shards are done"
      }
      throw Failure(
        .badData, state ?? "a folder without a manifest is unfinished or no artifact",
        at: directory,
        advice: "Run the stage that writes it again")
    }
    return try Manifest(JSON(parsing: Files.read(path), place: path), place: path)
  }

  private static func checkSize(_ path: String, _ bytes: Int) throws {
    guard let size = Files.size(path) else {
      throw Failure(
        .badData, "a file of the artifact is missing", at: path, advice: CheckedFiles.advice)
    }
    guard size == bytes else {
      throw Failure(
        .badData, "a file of the artifact has another size than when it was written", at: path,
        expected: "\(bytes) bytes", found: "\(size)", advice: CheckedFiles.advice)
    }
  }

  /// The number of records.
  public var count: Int { indices.count }

  /// The fingerprint to record as an input.
  public var fingerprint: String { manifest.content }

  /// Bytes of a record as it is stored, 0 when there is none.
  public func storedBytes(_ index: Int) -> Int { locations[index]?.count ?? 0 }

  public func contains(_ index: Int) -> Bool { locations[index] != nil }

  /// Where a record lies, for messages.
  public func place(of index: Int) -> String {
    let file = locations[index].map { manifest.shards[$0.shard].file }
    return file.map { "\(Files.join(directory, $0)), record \(index)" }
      ?? "\(directory), record \(index)"
  }

  /// The record of sample `index`. Throws 65 when there is none or it is damaged, naming shard and
  /// record.
  public func record(_ index: Int) throws -> Record {
    guard let location = locations[index] else {
      let range = indices.first.map { "\($0) to \(indices.last ?? $0)" } ?? "no record at all"
      throw Failure(
        .badData, "no record of sample \(index)", at: directory, expected: range)
    }
    let shard = manifest.shards[location.shard]
    let path = Files.join(directory, shard.file)
    try checkOnce(shard.asFile)
    let value = try open.withLock { try $0.shard(location.shard, path).value(of: index) }
    return try value.withBytes { try Record(index: index, encoded: $0, place: place(of: index)) }
  }

  /// The path of a file that is not a shard. Throws 65 when the artifact has none of this name or
  /// its size is another than when it was written.
  public func path(_ name: String) throws -> String {
    guard let file = manifest.files.first(where: { $0.file == name }) else {
      throw Failure(
        .badData, "the artifact has no \(name)", at: directory,
        found: manifest.files.map(\.file).joined(separator: ", "))
    }
    if let checked {
      try checked.check(file)
    } else {
      try ArtifactReader.checkSize(Files.join(directory, name), file.bytes)
    }
    return Files.join(directory, name)
  }

  /// Files that this reader found sound.
  private let sound = Mutex(Set<String>())

  /// Compares a shard with its checksum, for a reader once.
  private func checkOnce(_ file: Manifest.File) throws {
    guard let checked else { return }
    try sound.withLock { sound in
      if sound.contains(file.file) { return }
      try checked.check(file)
      sound.insert(file.file)
    }
  }

  /// Throws 65 for the first file of a finished artifact, shards apart, that is not as its manifest
  /// says: for programs that read the files themselves, as a checkpoint's.
  public static func checkFiles(_ manifest: Manifest, in directory: String) throws {
    let checked = CheckedFiles(directory: directory)
    for file in manifest.files + manifest.logs { try checked.check(file) }
  }

  /// The bytes of a file that is not a shard, checked against its checksum. Throws 65.
  public func file(_ name: String) throws -> [UInt8] {
    try Files.read(path(name))
  }

  /// Throws 65 unless this artifact was made from exactly the input given, naming both.
  public func requireInput(_ name: String, _ fingerprint: String, from source: String) throws {
    guard let recorded = manifest.inputs[name] else {
      throw Failure(
        .badData, "was not made from any \(name)", at: directory,
        found: manifest.inputs.keys.sorted().joined(separator: ", "))
    }
    guard recorded == fingerprint else {
      throw Failure(
        .badData, "was made from other \(name) than \(source)", at: directory,
        expected: fingerprint, found: recorded, advice: "Run its stage again with that \(name)")
    }
  }
}
