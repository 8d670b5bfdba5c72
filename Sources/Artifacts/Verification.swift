import Failures

extension ArtifactReader {
  /// Reads everything and compares it with what was written: checksums of files and shards, every
  /// record, its tensors' types. Returns what is wrong, each with its place; empty when sound.
  /// Throws only when reading itself fails.
  /// - Parameter progress: called with the bytes checked since the last call.
  public static func verify(
    directory: String, progress: (_ bytes: Int) -> Void = { _ in }
  ) throws -> [Failure] {
    let manifest: Manifest
    do {
      manifest = try ArtifactReader.manifest(in: directory)
    } catch let failure as Failure where failure.code == .badData {
      return [failure]
    }
    var problems: [Failure] = []
    for file in manifest.files + manifest.logs {
      try collect(&problems) {
        try checkFile(Files.join(directory, file.file), file.bytes, file.checksum)
      }
      progress(file.bytes)
    }
    for (number, shard) in manifest.shards.enumerated() {
      problems += try verify(shard, number, of: manifest, in: directory)
      progress(shard.bytes)
    }
    return problems
  }

  private static func checkFile(_ path: String, _ bytes: Int, _ checksum: String) throws {
    guard let size = Files.size(path) else {
      throw Failure(.badData, "missing", at: path)
    }
    guard size == bytes else {
      throw Failure(
        .badData, "has another size than when it was written", at: path,
        expected: "\(bytes) bytes", found: "\(size)")
    }
    let found = try Fingerprint.file(path)
    guard found == checksum else {
      throw Failure(
        .badData, "its checksum is another", at: path, expected: checksum, found: found)
    }
  }

  private static func verify(
    _ shard: Manifest.Shard, _ number: Int, of manifest: Manifest, in directory: String
  ) throws -> [Failure] {
    var problems: [Failure] = []
    let path = Files.join(directory, shard.file)
    try collect(&problems) { try checkFile(path, shard.bytes, shard.checksum) }
    guard Files.exists(path) else { return problems }
    // The records too, so that damage has the sample's name.
    var entries: [LMDBReader.Place] = []
    try collect(&problems) { entries = try LMDBReader.entries(of: path) }
    let types = Dictionary(
      manifest.tensors.map { ($0.name, $0.type) }, uniquingKeysWith: { first, _ in first })
    for entry in entries {
      try collect(&problems) {
        let index = entry.key.reduce(0) { $0 << 8 | UInt64($1) }
        let place = "\(path), record \(index)"
        guard entry.key.count == 8, let index = Int(exactly: index) else {
          throw Failure(.badData, "a key that is no sample index", at: place)
        }
        let descriptor = try Files.open(path)
        defer { Files.closeDescriptor(descriptor) }
        let packed = try Files.read(
          descriptor, offset: entry.offset, count: entry.count, path: path)
        let record = try packed.withUnsafeBytes {
          try Record(index: index, encoded: $0, place: place)
        }
        try record.requireFinite(at: place, advice: "Run the stage that wrote it again")
        for (name, tensor) in record.tensors where types[name] != tensor.type {
          throw Failure(
            .badData, "not as the manifest says", at: "\(place), tensor \(name)",
            expected: types[name]?.rawValue ?? "no such tensor", found: tensor.type.rawValue)
        }
      }
    }
    if entries.count != shard.records, problems.isEmpty {
      problems.append(
        Failure(
          .badData, "records are missing", at: path, expected: "\(shard.records)",
          found: "\(entries.count)"))
    }
    return problems
  }

  private static func collect(_ problems: inout [Failure], _ body: () throws -> Void) throws {
    do {
      try body()
    } catch let failure as Failure where failure.code == .badData {
      problems.append(failure)
    }
  }
}
