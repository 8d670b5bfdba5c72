import Artifacts
import Failures
import Foundation
import Kernels
import Testing
import Training

@testable import Distillation

@Suite struct FeatureBatchesTests {
  /// A features artifact of samples with `counts` supervised positions; label and hidden state of
  /// position p of sample i say where they come from.
  static func withFeatures(
    _ counts: [Int], _ body: (FeatureReader) throws -> Void
  ) throws {
    let folder = FileManager.default.temporaryDirectory.path + "/features-\(UUID())"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let writer = try ArtifactWriter(
      directory: folder, kind: .features, settings: [:], samplesPerShard: 4)
    for (shard, indices) in writer.unfinishedShards(of: Array(counts.indices)) {
      try writer.writeShard(shard) { append in
        for i in indices {
          let s = counts[i]
          let labels = (0..<s).map { Int32(i * 100 + $0) }
          var tensors = [
            "labels": RawTensor(int32: labels, shape: [s]),
            "positions": RawTensor(int32: (0..<s).map { Int32($0) }, shape: [s]),
          ]
          for (layer, sign) in [("2", Float(1)), ("6", -1), ("last", 0)] {
            tensors["hidden.\(layer)"] = RawTensor(
              labels.flatMap { label -> [Float] in [sign * Float(label), 1] }, as: .float32,
              shape: [s, 2])
          }
          try append(Record(index: i, tensors: tensors))
        }
      }
    }
    try writer.finish(facts: ["width": 2, "layers": [2, 6]])
    try body(FeatureReader(directory: folder))
  }

  @Test("Every batch is full, hidden states belong to their labels, an epoch sees each token once")
  func epoch() throws {
    let counts = [3, 0, 5, 1, 7, 2, 40]
    try Self.withFeatures(counts) { reader in
      #expect(reader.layers == [2, 6] && reader.width == 2)
      var batches = try FeatureBatches(
        reader, indices: reader.artifact.indices, tokensPerBatch: 29, seed: 1)
      var seen: [Int32] = []
      for _ in 0..<4 {
        let batch = try batches.next()
        #expect(batch.labels.count == 29)
        let expected = batch.labels.flatMap { label -> [Float] in [Float(label), 1] }
        let mirrored = batch.labels.flatMap { label -> [Float] in [-Float(label), 1] }
        #expect(batch.hidden[2]?.array == expected)
        #expect(batch.hidden[6]?.array == mirrored)
        // An answer here is a sample: a hundred labels each.
        #expect(batch.answers.flatMap { Array($0) } == Array(0..<29))
        for rows in batch.answers {
          #expect(Set(batch.labels[rows].map { $0 / 100 }).count == 1)
          #expect(
            zip(batch.labels[rows], batch.labels[rows].dropFirst()).allSatisfy { $0 + 1 == $1 })
        }
        seen += batch.labels
      }
      let all = counts.enumerated().flatMap { i, s in (0..<s).map { Int32(i * 100 + $0) } }
      #expect(seen.prefix(58).sorted() == all)
      #expect(seen.suffix(58).sorted() == all)
      #expect(seen.prefix(58) != seen.suffix(58))
    }
  }

  @Test("From a stored cursor it goes on with the same batches; memory kept or not changes nothing")
  func resume() throws {
    try Self.withFeatures([4, 9, 1, 6, 3]) { reader in
      func batches() throws -> FeatureBatches {
        try FeatureBatches(reader, indices: reader.artifact.indices, tokensPerBatch: 7, seed: 2)
      }
      var whole = try batches()
      let expected = try (0..<20).map { _ in try whole.next().labels }
      var first = try batches()
      for _ in 0..<9 { _ = try first.next() }
      var second = try FeatureBatches(
        reader, indices: reader.artifact.indices, tokensPerBatch: 7, seed: 2, keeping: 0)
      second.cursor = first.cursor
      #expect(try (9..<20).map { _ in try second.next().labels } == Array(expected[9...]))
    }
  }

  @Test("Without any supervised position it says so instead of looking for ever")
  func nothing() throws {
    try Self.withFeatures([0, 0]) { reader in
      var batches = try FeatureBatches(
        reader, indices: reader.artifact.indices, tokensPerBatch: 7, seed: 2)
      #expect(throws: Failure.self) { try batches.next() }
      #expect(throws: Failure.self) {
        try FeatureBatches(reader, indices: [], tokensPerBatch: 7, seed: 2)
      }
    }
  }
}
