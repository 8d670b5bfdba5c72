import Failures

/// What decides an artifact's content: a run with an equal recipe would make the same.
struct Recipe {
  let kind: ArtifactKind
  let settings: JSON
  let inputs: [String: String]
  /// Nil where nothing random goes in.
  let seed: UInt64?
  let samplesPerShard: Int

  /// A digest of all of it.
  var identity: String {
    var parts = ["kind": kind.rawValue, "settings": settings.text()]
    parts["seed"] = seed.map { String($0) }
    parts["samples per shard"] = String(samplesPerShard)
    for (name, digest) in inputs { parts["input \(name)"] = digest }
    return Fingerprint.combine(parts)
  }

  var json: JSON {
    [
      "settings": settings, "input": .object(inputs.mapValues { .string($0) }),
      "seed": seed.map { .string(String($0)) } ?? .null,
      "samples_per_shard": .int(samplesPerShard),
    ]
  }

  /// In words, what this recipe has otherwise than another's `json`; nil where nothing is found.
  func differences(from other: JSON) -> String? {
    var found: [String] = []
    Recipe.compare(other, json, "", &found)
    if found.isEmpty { return nil }
    return found.prefix(3).joined(separator: ", ")
      + (found.count > 3 ? " and \(found.count - 3) more" : "")
  }

  private static func compare(_ old: JSON, _ new: JSON, _ name: String, _ found: inout [String]) {
    if old == new { return }
    guard let before = old.asObject, let after = new.asObject else {
      if name.hasPrefix("input.") { return found.append("other \(name.dropFirst(6))") }
      let setting = name.hasPrefix("settings.") ? String(name.dropFirst(9)) : name
      return found.append("\(setting) \(old.text().prefix(40)), now \(new.text().prefix(40))")
    }
    for key in Set(before.keys).union(after.keys).sorted() {
      compare(
        before[key] ?? .null, after[key] ?? .null, name.isEmpty ? key : "\(name).\(key)", &found)
    }
  }
}

extension Manifest {
  var recipe: Recipe {
    Recipe(
      kind: kind, settings: settings, inputs: inputs, seed: seed, samplesPerShard: samplesPerShard)
  }

  var identity: String { recipe.identity }
}

/// What a writer finds in its folder, and what it does with it.
extension ArtifactWriter {
  static let scratchName = "unfinished"

  enum Found {
    /// This very artifact, finished.
    case complete
    /// This very artifact, finished, with damaged or missing shards.
    case damaged(Manifest, sound: [Manifest.Shard])
    /// An unfinished one of the same recipe.
    case unfinished(Journal)
    /// Nothing to go on with. The identity of what lies there, and why it is given up; both nil
    /// where nothing does.
    case other(identity: String?, reason: String?)
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
      || !Superseded(directory: directory).names.isEmpty
    {
      return
    }
    let foreign = try Files.list(directory).filter { name in
      !name.hasPrefix(".") && !name.hasSuffix(".jsonl") && !name.hasSuffix(".log")
        && !name.hasSuffix(OutputFile.suffix) && name != scratchName && name != partsName
    }
    guard foreign.isEmpty else {
      throw Failure(
        .cannotCreate, "the output folder holds files that are not ours", at: directory,
        found: foreign.prefix(3).joined(separator: ", "), advice: advice)
    }
  }

  /// Looks at what is there, and changes nothing but to take back what was moved aside.
  static func examine(
    _ directory: String, _ recipe: Recipe, _ share: Share, redo: String?
  ) throws -> Found {
    let identity = recipe.identity
    let superseded = Superseded(directory: directory)
    try superseded.settle()
    var found = look(directory, recipe, identity, share, redo: redo)
    if redo == nil, case .other(let present, _) = found,
      try superseded.takeBack(identity, present: present)
    {
      found = look(directory, recipe, identity, share, redo: nil)
    }
    return found
  }

  /// As `examine`, of this share's shards, and changes nothing at all.
  static func look(
    _ directory: String, _ recipe: Recipe, _ identity: String, _ share: Share, redo: String?
  ) -> Found {
    let hasManifest = Files.exists(Files.join(directory, Manifest.fileName))
    let old = try? ArtifactReader.manifest(in: directory)
    let journal = Journal.read(in: directory, share: share)
    // Of several shares the first one begins anew: the others find it begun.
    if let redo, share == .all || hasManifest {
      return .other(identity: old?.identity ?? journal?.identity, reason: redo)
    }
    if let old, old.identity == identity {
      let checked = CheckedFiles(directory: directory)
      func isSound(_ file: Manifest.File) -> Bool { (try? checked.check(file)) != nil }
      guard old.files.allSatisfy(isSound) else {
        return .other(identity: identity, reason: "what was there is damaged")
      }
      let sound = old.shards.filter { shard in
        !share.contains(shardNumber(shard.file) ?? 0) || isSound(shard.asFile)
      }
      if sound.count == old.shards.count { return .complete }
      return .damaged(old, sound: sound)
    }
    if !hasManifest, let journal, journal.identity == identity { return .unfinished(journal) }
    guard hasManifest || journal != nil else { return .other(identity: nil, reason: nil) }
    let differences = (old?.recipe.json ?? journal?.recipe).flatMap(recipe.differences)
    return .other(
      identity: old?.identity ?? journal?.identity,
      reason: hasManifest && old == nil
        ? "the manifest there is damaged"
        : "what was there had other settings or inputs"
          + (differences.map { " (\($0))" } ?? ""))
  }

  /// Makes room for a new artifact. Returns where what was there went, nil when there was nothing.
  static func giveWay(
    _ directory: String, identity: String?, reason: String?, discard: Bool
  ) throws -> String? {
    let superseded = Superseded(directory: directory)
    guard reason != nil else {
      // Partial files, metrics and scratch of a run that was killed before its first word.
      try OutputFile.removeLeftovers(in: directory)
      try Files.removeTree(Files.join(directory, scratchName))
      return nil
    }
    let place = try superseded.moveAside(identity: identity)
    if discard { try superseded.removeAll() }
    return discard ? nil : place
  }

  /// The share's shards whose bytes are as they were written; what else lies there of the share goes.
  static func keepSound(_ journal: Journal, of share: Share, in directory: String) throws -> Journal
  {
    var sound = journal
    let checked = CheckedFiles(directory: directory)
    for (number, entry) in journal.shards {
      let stamp = CheckedFiles.stamp(Files.join(directory, entry.shard.file))
      if stamp != nil, stamp == entry.stamp { continue }
      if (try? checked.check(entry.shard.asFile)) != nil {
        sound.shards[number]?.stamp = stamp
      } else {
        try sound.remove(number, in: directory)
      }
    }
    let kept = Set(sound.shards.values.map(\.shard.file))
    for name in try Files.list(directory) where !kept.contains(name) {
      // A shard, or one that was being written.
      guard name.hasSuffix(".lmdb") || name.hasSuffix(OutputFile.suffix),
        let number = shardNumber(name.prefix { $0 != "." } + ".lmdb"), share.contains(number)
      else { continue }
      try Files.remove(Files.join(directory, name))
    }
    return sound
  }
}
