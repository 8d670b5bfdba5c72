import Failures

/// What a writer finds in its folder, and what it does with it.
extension ArtifactWriter {
  static let scratchName = "unfinished"

  struct Found {
    var complete = false
    var continued = false
    var journal: Journal?
    var startedOver: String?
  }

  /// Throws 73 for a folder that holds something other than an artifact of this kind.
  static func refuseForeign(_ directory: String, kind: ArtifactKind) throws {
    let advice = "Give an empty folder or one of an earlier \(kind.rawValue) artifact"
    if let manifest = try? ArtifactReader.manifest(in: directory) {
      guard manifest.kind == kind else {
        throw Failure(
          .cannotCreate, "the output folder holds another artifact", at: directory,
          expected: kind.rawValue, found: manifest.kind.rawValue, advice: advice)
      }
      return
    }
    if Files.exists(Files.join(directory, Manifest.fileName))
      || Files.exists(Files.join(directory, Journal.fileName))
    {
      return
    }
    let foreign = try Files.list(directory).filter { name in
      !name.hasPrefix(".") && !name.hasSuffix(".jsonl") && !name.hasSuffix(".log")
        && !name.hasSuffix(OutputFile.suffix) && name != scratchName
    }
    guard foreign.isEmpty else {
      throw Failure(
        .cannotCreate, "the output folder holds files that are not ours", at: directory,
        found: foreign.prefix(3).joined(separator: ", "), advice: advice)
    }
  }

  /// Decides between done, continuing and starting over, and clears what must go.
  static func takeOver(
    _ directory: String, kind: ArtifactKind, identity: String, redo: String?
  ) throws -> Found {
    let old = try? ArtifactReader.manifest(in: directory)
    let hasManifest = Files.exists(Files.join(directory, Manifest.fileName))
    let journal = Journal.read(in: directory)
    var found = Found()

    if let old, redo == nil, old.identity == identity, isWhole(old, in: directory) {
      // A run that ended between writing the manifest and removing the journal was complete.
      try Files.remove(Files.join(directory, Journal.fileName))
      try Files.removeTree(Files.join(directory, scratchName))
      found.complete = true
      found.journal = Journal(identity: identity)
      return found
    }
    if !hasManifest, redo == nil, let journal, journal.identity == identity {
      found.continued = true
      found.journal = try keepSound(journal, in: directory)
      return found
    }
    if hasManifest || journal != nil {
      found.startedOver =
        redo
        ?? (old?.identity == identity || journal?.identity == identity
          ? "what was there is damaged" : "what was there had other settings or inputs")
    }
    // The journal first: should we be stopped here, the folder is still known as ours. Then the
    // manifest, so that it never speaks of shards that are gone.
    let fresh = Journal(identity: identity)
    try fresh.write(in: directory)
    try Files.remove(Files.join(directory, Manifest.fileName))
    Files.synchronize(directory)
    for file in old?.files ?? [] { try Files.remove(Files.join(directory, file.file)) }
    try removeShards(in: directory, except: [])
    try Files.removeTree(Files.join(directory, scratchName))
    found.journal = fresh
    return found
  }

  private static func isShard(_ name: String) -> Bool {
    name.hasPrefix("shard-") && (name.hasSuffix(".lmdb") || name.hasSuffix(OutputFile.suffix))
  }

  private static func removeShards(in directory: String, except kept: Set<String>) throws {
    for name in try Files.list(directory) where isShard(name) && !kept.contains(name) {
      try Files.remove(Files.join(directory, name))
    }
  }

  /// All files are there with the sizes announced. Their checksums are `vlsi-dump --verify`'s work:
  /// reading everything to do nothing would take too long.
  private static func isWhole(_ manifest: Manifest, in directory: String) -> Bool {
    (manifest.shards.map { ($0.file, $0.bytes) } + manifest.files.map { ($0.file, $0.bytes) })
      .allSatisfy { Files.size(Files.join(directory, $0.0)) == $0.1 }
  }

  /// Keeps the shards whose bytes are as they were written.
  private static func keepSound(_ journal: Journal, in directory: String) throws -> Journal {
    var sound = Journal(identity: journal.identity)
    for (number, shard) in journal.shards where shard.file == shardName(number) {
      let path = Files.join(directory, shard.file)
      guard Files.size(path) == shard.bytes, try Fingerprint.file(path) == shard.checksum else {
        continue
      }
      sound.shards[number] = shard
      sound.tensors[number] = journal.tensors[number]
    }
    try removeShards(in: directory, except: Set(sound.shards.values.map(\.file)))
    try sound.write(in: directory)
    return sound
  }
}

extension Manifest {
  /// The digest of all that the content depends on, equal for a run that would make the same.
  static func identity(
    kind: ArtifactKind, settings: JSON, inputs: [String: String], seed: UInt64,
    samplesPerShard: Int
  ) -> String {
    var parts = ["kind": kind.rawValue, "settings": settings.text(), "seed": String(seed)]
    parts["samples per shard"] = String(samplesPerShard)
    for (name, digest) in inputs { parts["input \(name)"] = digest }
    return Fingerprint.combine(parts)
  }

  var identity: String {
    Manifest.identity(
      kind: kind, settings: settings, inputs: inputs, seed: seed, samplesPerShard: samplesPerShard)
  }
}
