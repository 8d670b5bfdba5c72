import Artifacts

/// Counts over the samples of a shard, or of all.
struct Totals: Sendable, Equatable {
  var samples = 0
  var tokens = 0
  var supervised = 0
  var imageTokens = 0
  var images = 0

  static func += (left: inout Totals, right: Totals) {
    left.samples += right.samples
    left.tokens += right.tokens
    left.supervised += right.supervised
    left.imageTokens += right.imageTokens
    left.images += right.images
  }
}

/// An entry that did not become a sample, as a line of `rejects.jsonl`.
struct Reject: Sendable, Equatable {
  var index: Int
  /// The name of the data file that it stands in, where there are several.
  var part: String?
  /// Where the entry starts in the data set, counting from 1.
  var line: Int
  var id: String?
  var reason: String

  init(index: Int, part: String? = nil, line: Int, id: String?, reason: String) {
    self.index = index
    self.part = part
    self.line = line
    self.id = id
    self.reason = reason
  }

  init?(_ json: JSON) {
    guard let index = json["index"]?.asInt, let line = json["line"]?.asInt,
      let reason = json["reason"]?.asString
    else { return nil }
    self.init(
      index: index, part: json["file"]?.asString, line: line, id: json["id"]?.asString,
      reason: reason)
  }

  var json: JSON {
    var members: [String: JSON] = [
      "index": .int(index), "id": id.map { .string($0) } ?? .null, "line": .int(line),
      "reason": .string(reason),
    ]
    members["file"] = part.map { .string($0) }
    return .object(members)
  }
}

/// What is known about a finished shard besides its records: kept beside an unfinished artifact,
/// so that a run that continues need not read the shard again.
struct ShardNote: Equatable {
  var totals = Totals()
  var rejects: [Reject] = []
  /// Of the images that its entries name, each once.
  var images: [ImageStamp] = []

  private static func path(_ shard: Int, in directory: String) -> String {
    directory + "/shard-\(shard).json"
  }

  /// The note of a shard that needs no second look: its images are still the same.
  static func settled(_ shard: Int, in directory: String, _ folder: ImageFolder) -> ShardNote? {
    guard let value = json(shard, in: directory), let rejects = value["rejects"]?.asArray,
      let samples = value["samples"]?.asInt,
      let tokens = value["tokens"]?.asInt, let supervised = value["supervised"]?.asInt,
      let imageTokens = value["image_tokens"]?.asInt, let images = value["images"]?.asInt
    else { return nil }
    guard !ShardNote.images(value).contains(where: folder.changed) else { return nil }
    return ShardNote(
      totals: Totals(
        samples: samples, tokens: tokens, supervised: supervised, imageTokens: imageTokens,
        images: images), rejects: rejects.compactMap { Reject($0) })
  }

  /// The stamps of the images of a shard that is done.
  static func images(_ shard: Int, in directory: String) -> [ImageStamp] {
    json(shard, in: directory).map { images($0) } ?? []
  }

  private static func images(_ value: JSON) -> [ImageStamp] {
    value["stamps"]?.asArray?.compactMap { ImageStamp($0) } ?? []
  }

  private static func json(_ shard: Int, in directory: String) -> JSON? {
    let path = path(shard, in: directory)
    return (try? Files.read(path)).flatMap { try? JSON(parsing: $0, place: path) }
  }

  func write(_ shard: Int, in directory: String) throws {
    let value: JSON = [
      "samples": .int(totals.samples), "tokens": .int(totals.tokens),
      "supervised": .int(totals.supervised), "image_tokens": .int(totals.imageTokens),
      "images": .int(totals.images), "rejects": .array(rejects.map(\.json)),
      "stamps": .array(images.map(\.json)),
    ]
    try writeAtomically(value.text(), to: ShardNote.path(shard, in: directory))
  }
}
