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
  /// Where the entry starts in the data set, counting from 1.
  var line: Int
  var id: String?
  var reason: String

  var json: JSON {
    [
      "index": .int(index), "id": id.map { .string($0) } ?? .null, "line": .int(line),
      "reason": .string(reason),
    ]
  }
}

/// What is known about a finished shard besides its records: kept beside an unfinished artifact,
/// so that a run that continues need not read the shard again.
struct ShardNote: Equatable {
  var totals = Totals()
  var rejects: [Reject] = []

  private static func path(_ shard: Int, in directory: String) -> String {
    directory + "/shard-\(shard).json"
  }

  /// The note of a shard that needs no second look. A shard with rejects does: the user may have
  /// put the missing images in their place.
  static func settled(_ shard: Int, in directory: String) -> ShardNote? {
    let path = path(shard, in: directory)
    guard let bytes = try? Files.read(path), let value = try? JSON(parsing: bytes, place: path),
      value["rejects"]?.asInt == 0, let samples = value["samples"]?.asInt,
      let tokens = value["tokens"]?.asInt, let supervised = value["supervised"]?.asInt,
      let imageTokens = value["image_tokens"]?.asInt, let images = value["images"]?.asInt
    else { return nil }
    return ShardNote(
      totals: Totals(
        samples: samples, tokens: tokens, supervised: supervised, imageTokens: imageTokens,
        images: images))
  }

  func write(_ shard: Int, in directory: String) throws {
    let value: JSON = [
      "samples": .int(totals.samples), "tokens": .int(totals.tokens),
      "supervised": .int(totals.supervised), "image_tokens": .int(totals.imageTokens),
      "images": .int(totals.images), "rejects": .int(rejects.count),
    ]
    try writeAtomically(value.text(), to: ShardNote.path(shard, in: directory))
  }
}
