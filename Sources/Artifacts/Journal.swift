import Failures
import Kernels

/// What an artifact in the making is to become, in `unfinished.json`, and which of its shards are done,
/// each in a file of its own below `unfinished/`: several processes may be at it. It decides whether a
/// later run may continue.
struct Journal {
  static let fileName = "unfinished.json"

  /// A shard that is done.
  struct Entry {
    var shard: Manifest.Shard
    /// Tensors of its records.
    var tensors: [Manifest.TensorDescription]
    /// Its line of metrics, as JSON: it belongs to the shard, and comes back with it.
    var line: String?
    /// Of the file when it was written: who finds it so need not read it.
    var stamp: String?
    /// What it took whoever made it.
    var seconds: Double?
  }

  /// Digest of everything that the content depends on.
  var identity: String
  /// What the identity is of, to say what another run would change.
  var recipe: JSON
  var shards: [Int: Entry] = [:]

  init(identity: String, recipe: JSON) {
    self.identity = identity
    self.recipe = recipe
  }

  /// The journal in a folder, nil when there is none or it cannot be understood: then nothing is
  /// continued.
  /// - Parameter share: whose shards are wanted
  static func read(in directory: String, share: Share = .all) -> Journal? {
    let path = Files.join(directory, fileName)
    guard let json = Journal.json(path), let identity = json["identity"]?.asString
    else { return nil }
    var journal = Journal(identity: identity, recipe: json["recipe"] ?? .null)
    let folder = Files.join(directory, ArtifactWriter.scratchName)
    for name in (try? Files.list(folder)) ?? [] {
      guard let number = Journal.number(ofEntry: name), share.contains(number),
        let entry = Entry(Files.join(folder, name), number: number, identity: identity)
      else { continue }
      journal.shards[number] = entry
    }
    return journal
  }

  fileprivate static func json(_ path: String) -> JSON? {
    (try? Files.read(path)).flatMap { try? JSON(parsing: $0, place: path) }
  }

  /// Writes what the artifact is to become. Throws 73, 74.
  func write(in directory: String) throws {
    let json: JSON = ["identity": .string(identity), "recipe": recipe]
    try writeAtomically(json.text(pretty: true), to: Files.join(directory, Journal.fileName))
  }

  // MARK: Entries

  private static let entryPrefix = "done-"

  private static func entryName(_ number: Int) -> String {
    entryPrefix + ArtifactWriter.shardName(number).dropLast(5).dropFirst(6) + ".json"
  }

  private static func number(ofEntry name: String) -> Int? {
    guard name.hasPrefix(entryPrefix), name.hasSuffix(".json"),
      let number = Int(name.dropFirst(entryPrefix.count).dropLast(5)), entryName(number) == name
    else { return nil }
    return number
  }

  /// Notes a shard as done. Throws 73, 74.
  mutating func add(_ number: Int, _ entry: Entry, in directory: String) throws {
    let folder = Files.join(directory, ArtifactWriter.scratchName)
    try Files.makeDirectory(folder)
    try writeAtomically(
      entry.json(identity).text(pretty: true), to: Files.join(folder, Journal.entryName(number)))
    shards[number] = entry
  }

  /// Forgets a shard. Throws 73.
  mutating func remove(_ number: Int, in directory: String) throws {
    let folder = Files.join(directory, ArtifactWriter.scratchName)
    try Files.remove(Files.join(folder, Journal.entryName(number)))
    shards[number] = nil
  }
}

extension Journal.Entry {
  fileprivate func json(_ identity: String) -> JSON {
    [
      "identity": .string(identity), "shard": shard.json, "tensors": .array(tensors.map(\.json)),
      "line": line.map { .string($0) } ?? .null, "stamp": stamp.map { .string($0) } ?? .null,
      "seconds": seconds.map { .number(($0 * 1000).rounded() / 1000) } ?? .null,
    ]
  }

  /// Nil for one that cannot be used, or is of another artifact.
  fileprivate init?(_ path: String, number: Int, identity: String) {
    guard let json = Journal.json(path), json["identity"]?.asString == identity,
      let shard = try? Manifest.Shard(JSONFields(json["shard"] ?? .null, place: path)),
      shard.file == ArtifactWriter.shardName(number)
    else { return nil }
    self.shard = shard
    line = json["line"]?.asString
    stamp = json["stamp"]?.asString
    seconds = json["seconds"]?.asDouble
    tensors = (json["tensors"]?.asArray ?? []).compactMap {
      try? Manifest.TensorDescription(JSONFields($0, place: path))
    }
  }
}
