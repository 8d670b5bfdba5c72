import Failures
import Kernels

/// `unfinished.json`: what an artifact in the making is to become, and which shards are done. It
/// decides whether a later run may continue.
struct Journal {
  static let fileName = "unfinished.json"

  /// Digest of everything that the content depends on.
  var identity: String
  /// What the identity is of, to say what another run would change.
  var recipe: JSON
  var shards: [Int: Manifest.Shard] = [:]
  /// Tensors of the records by shard.
  var tensors: [Int: [Manifest.TensorDescription]] = [:]
  /// The line of metrics of each shard, as JSON: it belongs to the shard, and comes back with it.
  var lines: [Int: String] = [:]

  init(identity: String, recipe: JSON) {
    self.identity = identity
    self.recipe = recipe
  }

  var json: JSON {
    [
      "identity": .string(identity), "recipe": recipe,
      "shards": .array(
        shards.sorted { $0.key < $1.key }.map {
          [
            "number": .int($0.key), "shard": $0.value.json,
            "tensors": .array((tensors[$0.key] ?? []).map(\.json)),
            "line": lines[$0.key].map { .string($0) } ?? .null,
          ]
        }),
    ]
  }

  /// The journal in a folder, nil when there is none or it cannot be understood: then nothing is
  /// continued.
  static func read(in directory: String) -> Journal? {
    let path = Files.join(directory, fileName)
    guard let bytes = try? Files.read(path), let json = try? JSON(parsing: bytes, place: path),
      let identity = json["identity"]?.asString
    else { return nil }
    var journal = Journal(identity: identity, recipe: json["recipe"] ?? .null)
    for entry in json["shards"]?.asArray ?? [] {
      let fields = JSONFields(entry["shard"] ?? .null, place: path)
      guard let number = entry["number"]?.asInt, let shard = try? Manifest.Shard(fields) else {
        continue
      }
      journal.shards[number] = shard
      journal.lines[number] = entry["line"]?.asString
      journal.tensors[number] = (entry["tensors"]?.asArray ?? []).compactMap {
        try? Manifest.TensorDescription(JSONFields($0, place: path))
      }
    }
    return journal
  }

  func write(in directory: String) throws {
    try writeAtomically(json.text(pretty: true), to: Files.join(directory, Journal.fileName))
  }
}
