import Failures
import Kernels

/// What `manifest.json` says about an artifact. It is written last: a folder without one is
/// unfinished.
public struct Manifest: Sendable, Equatable {
  public static let fileName = "manifest.json"
  public static let formatVersion = 2

  /// A tensor of the records: the size of an axis is not given, it differs by record.
  public struct TensorDescription: Sendable, Equatable {
    public var name: String
    public var type: ElementType
    /// The meaning of each axis.
    public var axes: [String]
  }

  public struct Shard: Sendable, Equatable {
    public var file: String
    public var records: Int
    /// The smallest and largest sample index, nil for a shard without records.
    public var first: Int?
    public var last: Int?
    public var bytes: Int
    /// XXH3-128 of the file.
    public var checksum: String
  }

  /// A file that is not a shard.
  public struct File: Sendable, Equatable {
    public var file: String
    public var bytes: Int
    public var checksum: String
  }

  public var kind: ArtifactKind
  public var tensors: [TensorDescription]
  public var shards: [Shard]
  public var samplesPerShard: Int
  public var files: [File]
  /// Files that tell how the artifact was made, times included: checked as the others are, but no
  /// part of its content.
  public var logs: [File]
  /// The settings that the content depends on.
  public var settings: JSON
  /// Settings that decide how the work was done and not what came out: part of no identity.
  public var execution: JSON
  /// Fingerprints of what went in, by name.
  public var inputs: [String: String]
  /// What readers need to know: layers, width, vocabulary, where the model lay.
  public var facts: [String: JSON]
  /// Nil where nothing random went in.
  public var seed: UInt64?
  public var threads: Int
  public var program: String
  public var version: String
  public var wallSeconds: Double
  public var peakBytes: Int

  /// The artifact's fingerprint, which stages downstream record as their input: a digest of kind,
  /// settings, inputs and the checksums of what is stored, not of times or of the machine.
  public var content: String {
    var parts = ["kind": kind.rawValue, "settings": settings.text()]
    for (name, digest) in inputs { parts["input \(name)"] = digest }
    for shard in shards { parts["shard \(shard.file)"] = shard.checksum }
    for file in files { parts["file \(file.file)"] = file.checksum }
    return Fingerprint.combine(parts)
  }

  /// Shards, files and logs, as what their checksums cover.
  var everyFile: [File] { shards.map(\.asFile) + files + logs }

  // Sums wrap: a manifest that claims more than there can be is refused for its files, not here.
  public var records: Int { shards.reduce(0) { $0 &+ $1.records } }
  /// Bytes of the shards and files.
  public var bytes: Int {
    shards.reduce(0) { $0 &+ $1.bytes } &+ files.reduce(0) { $0 &+ $1.bytes }
  }
}

// MARK: JSON

extension Manifest {
  /// All members, and a `checksum` over them: of the text of the object without it.
  public var json: JSON {
    guard case .object(var all) = members else { return members }
    all["checksum"] = .string(Fingerprint.text(members.text()))
    return .object(all)
  }

  private var members: JSON {
    [
      "format_version": .int(Manifest.formatVersion), "kind": .string(kind.rawValue),
      "tensors": .array(tensors.map(\.json)), "shards": .array(shards.map(\.json)),
      "samples_per_shard": .int(samplesPerShard), "files": .array(files.map(\.json)),
      "logs": .array(logs.map(\.json)),
      "settings": settings, "execution": execution,
      "inputs": .object(inputs.mapValues { .string($0) }),
      "facts": .object(facts), "seed": seed.map { .string(String($0)) } ?? .null,
      "threads": .int(threads),
      "program": .string(program), "version": .string(version),
      "wall_seconds": .number((wallSeconds * 100).rounded() / 100), "peak_bytes": .int(peakBytes),
      "content": .string(content),
    ]
  }

  /// Throws 65 for one that is not sound or was edited.
  public init(_ json: JSON, place: String) throws {
    let fields = JSONFields(json, place: place)
    let format = try fields.int("format_version")
    guard format == Manifest.formatVersion else {
      throw Failure(
        .badData, "unknown format version", at: place, expected: "\(Manifest.formatVersion)",
        found: "\(format)", advice: "Read it with the program version that wrote it")
    }
    try Manifest.checkChecksum(fields)
    let kindName = try fields.string("kind")
    guard let kind = ArtifactKind(rawValue: kindName) else {
      throw Failure(.badData, "unknown kind of artifact", at: place, found: kindName)
    }
    self.kind = kind
    tensors = try fields.list("tensors") { try TensorDescription($0) }
    shards = try fields.list("shards") { try Shard($0) }
    samplesPerShard = try fields.int("samples_per_shard")
    files = try fields.list("files") { try File($0) }
    logs = try fields.list("logs") { try File($0) }
    settings = json["settings"] ?? .null
    execution = json["execution"] ?? .null
    inputs = try fields.strings("inputs")
    facts = json["facts"]?.asObject ?? [:]
    seed = json["seed"]?.asString.flatMap { UInt64($0) }
    threads = try fields.int("threads")
    program = try fields.string("program")
    version = try fields.string("version")
    wallSeconds = json["wall_seconds"]?.asDouble ?? 0
    peakBytes = json["peak_bytes"]?.asInt ?? 0
    let recorded = try fields.string("content")
    guard recorded == content else { throw Manifest.changed(place, recorded, content) }
  }

  /// Whatever member was changed, readers find it here.
  private static func checkChecksum(_ fields: JSONFields) throws {
    let recorded = try fields.string("checksum")
    guard case .object(var members) = fields.json else { return }
    members["checksum"] = nil
    let found = Fingerprint.text(JSON.object(members).text())
    guard recorded == found else { throw changed(fields.place, recorded, found) }
  }

  private static func changed(_ place: String, _ recorded: String, _ found: String) -> Failure {
    Failure(
      .badData, "the manifest was changed after it was written", at: place,
      expected: "checksum \(recorded.prefix(40))", found: found,
      advice: "Put it back as it was, or run the stage that writes it again")
  }
}

extension Manifest.TensorDescription {
  var json: JSON {
    [
      "name": .string(name), "dtype": .string(type.rawValue),
      "axes": .array(axes.map { .string($0) }),
    ]
  }

  init(_ fields: JSONFields) throws {
    name = try fields.string("name")
    let dtype = try fields.string("dtype")
    guard let type = ElementType(rawValue: dtype) else {
      throw Failure(.badData, "unknown element type", at: fields.place, found: dtype)
    }
    self.type = type
    axes = (fields.json["axes"]?.asArray ?? []).compactMap(\.asString)
  }
}

extension Manifest.Shard {
  var json: JSON {
    [
      "file": .string(file), "records": .int(records), "first": first.map { .int($0) } ?? .null,
      "last": last.map { .int($0) } ?? .null, "bytes": .int(bytes),
      "checksum": .string(checksum),
    ]
  }

  init(_ fields: JSONFields) throws {
    file = try fields.fileName("file")
    records = try fields.int("records")
    first = fields.json["first"]?.asInt
    last = fields.json["last"]?.asInt
    bytes = try fields.int("bytes")
    checksum = try fields.string("checksum")
  }
}

extension Manifest.File {
  var json: JSON {
    ["file": .string(file), "bytes": .int(bytes), "checksum": .string(checksum)]
  }

  init(_ fields: JSONFields) throws {
    file = try fields.fileName("file")
    bytes = try fields.int("bytes")
    checksum = try fields.string("checksum")
  }
}

/// The members of a JSON object that must be there, with 65 naming those that are not.
public struct JSONFields {
  public let json: JSON
  public let place: String

  public init(_ json: JSON, place: String) {
    self.json = json
    self.place = place
  }

  public func missing(_ key: String, _ expected: String) -> Failure {
    Failure(
      .badData, "bad or missing \"\(key)\"", at: place, expected: expected,
      found: json[key].map { String($0.text().prefix(60)) } ?? "nothing")
  }

  public func string(_ key: String) throws -> String {
    guard let value = json[key]?.asString else { throw missing(key, "a string") }
    return value
  }

  /// A whole number that is not negative.
  public func int(_ key: String) throws -> Int {
    guard let value = json[key]?.asInt, value >= 0 else {
      throw missing(key, "a whole number, zero or more")
    }
    return value
  }

  func strings(_ key: String) throws -> [String: String] {
    guard let members = json[key]?.asObject else { throw missing(key, "an object") }
    return members.compactMapValues(\.asString)
  }

  func list<Item>(_ key: String, _ read: (JSONFields) throws -> Item) throws -> [Item] {
    guard let items = json[key]?.asArray else { throw missing(key, "an array") }
    return try items.enumerated().map {
      try read(JSONFields($0.element, place: "\(place), \(key)[\($0.offset)]"))
    }
  }

  /// A path below the artifact's own folder: no entry leads outside.
  func fileName(_ key: String) throws -> String {
    let name = try string(key)
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }), !name.contains("\0") else {
      throw missing(key, "a path inside the folder")
    }
    return name
  }
}
