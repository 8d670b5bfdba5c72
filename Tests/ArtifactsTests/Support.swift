import Artifacts
import Failures
import Foundation
import Testing

/// A generator with a seed, for test data.
struct Noise: RandomNumberGenerator {
  var state: UInt64
  init(_ seed: UInt64) { state = seed &+ 0x9E37_79B9_7F4A_7C15 }
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    var x = state
    x ^= x >> 33
    x = x &* 0xFF51_AFD7_ED55_8CCD
    return x ^ x >> 33
  }
  mutating func gaussian() -> Float {
    let u = Float.random(in: 1e-7..<1, using: &self)
    return (-2 * log(u)).squareRoot() * cos(2 * .pi * Float.random(in: 0..<1, using: &self))
  }
}

/// A features-like record whose size varies with its index, from inline to many pages.
func record(_ index: Int, seed: UInt64 = 0) -> Record {
  var noise = Noise(seed &+ UInt64(index))
  let rows = 1 + (index * 7) % 23
  let width = index % 3 == 0 ? 4 : 96
  return Record(
    index: index,
    tensors: [
      "positions": RawTensor(int32: (0..<rows).map { Int32($0 + index) }, shape: [rows]),
      "labels": RawTensor(int32: (0..<rows).map { Int32($0 * 31 % 77) }, shape: [rows]),
      "hidden.2": RawTensor(
        (0..<(rows * width)).map { _ in noise.gaussian() }, as: .bfloat16, shape: [rows, width]),
      "hidden.last": RawTensor(
        (0..<(rows * width)).map { _ in noise.gaussian() }, as: .bfloat16, shape: [rows, width]),
    ],
    metadata: ["id": "sample-\(index)", "text": "ein Kreis, \"rot\"\n円"])
}

/// Writes an artifact of features with the records `indices`.
@discardableResult
func writeFeatures(
  _ path: String, _ indices: [Int], perShard: Int = 16, settings: JSON = ["layers": [2]],
  stopAfter: Int = .max
) throws -> ArtifactWriter {
  let writer = try ArtifactWriter(
    directory: path, kind: .features, settings: settings, inputs: ["samples": "abc"],
    samplesPerShard: perShard)
  for (done, work) in writer.unfinishedShards(of: indices).enumerated() {
    if done == stopAfter { throw Failure(.interrupted, "stopped") }
    try writer.writeShard(work.shard) { append in
      for index in work.indices { try append(record(index)) }
    }
  }
  if !writer.isComplete { try writer.finish() }
  return writer
}
