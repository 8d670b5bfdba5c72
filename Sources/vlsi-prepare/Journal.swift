import Artifacts
import Failures
import Foundation
import Tokenization

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

  var json: JSONValue {
    .object([
      .init(key: "index", value: .number(Double(index))),
      .init(key: "id", value: id.map { .string($0) } ?? .null),
      .init(key: "line", value: .number(Double(line))),
      .init(key: "reason", value: .string(reason)),
    ])
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
    guard let bytes = FileManager.default.contents(atPath: path),
      let value = try? JSONValue(parsing: bytes, place: path),
      value["rejects"]?.integer == 0, let samples = value["samples"]?.integer,
      let tokens = value["tokens"]?.integer, let supervised = value["supervised"]?.integer,
      let imageTokens = value["image_tokens"]?.integer, let images = value["images"]?.integer
    else { return nil }
    return ShardNote(
      totals: Totals(
        samples: samples, tokens: tokens, supervised: supervised, imageTokens: imageTokens,
        images: images))
  }

  func write(_ shard: Int, in directory: String) throws {
    let value = JSONValue.object(
      [
        ("samples", totals.samples), ("tokens", totals.tokens), ("supervised", totals.supervised),
        ("image_tokens", totals.imageTokens), ("images", totals.images), ("rejects", rejects.count),
      ].map { .init(key: $0.0, value: .number(Double($0.1))) })
    try writeAtomically(value.text, to: ShardNote.path(shard, in: directory))
  }
}
