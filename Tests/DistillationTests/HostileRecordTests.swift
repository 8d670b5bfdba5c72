import Artifacts
import Failures
import Foundation
import Testing

@testable import Distillation

/// A record of features or targets is believed only where its numbers fit each other.
@Suite struct HostileRecordTests {
  static let largest = SoftTargetRecord(
    index: 5, positions: [3, 4], labels: [7, 8],
    layers: [
      .last: .largest(
        LanguageHead.Largest(
          k: 2, indices: [9, 1, 0, 3], probabilities: [0.5, 0.25, 0.75, 0.25], tail: [0.25, 0],
          entropy: [1.03, 0.5]))
    ])

  static func integers(_ values: [Int32], _ shape: [Int]? = nil) -> RawTensor {
    RawTensor(int32: values, shape: shape ?? [values.count])
  }

  static func floats(_ values: [Float], _ shape: [Int]? = nil) -> RawTensor {
    RawTensor(float32: values, shape: shape ?? [values.count])
  }

  static let hostile: [(tensor: String, value: RawTensor?, says: String)] = [
    ("positions", nil, "missing"),
    ("positions", integers([4, 3]), "do not rise at row 1"),
    ("positions", integers([3, 3]), "do not rise at row 1"),
    ("positions", integers([-1, 3]), "do not rise at row 0"),
    ("positions", integers([3]), "another shape"),
    ("labels", integers([7, -100]), "label of row 1"),
    ("indices.last", integers([9, 1, 0, 10], [2, 2]), "0 to 9, found 10"),
    ("indices.last", integers([-1, 1, 0, 3], [2, 2]), "found -1"),
    ("indices.last", integers([1, 1, 0, 3], [2, 2]), "a token twice"),
    ("indices.last", integers([1, 0], [2, 1]), "another shape"),
    ("probabilities.last", floats([0.5, 0.25, 1.5, 0.25], [2, 2]), "found 1.5"),
    ("probabilities.last", floats([0.5, -0.25, 0.75, 0.25], [2, 2]), "found -0.25"),
    ("probabilities.last", floats([0.5, .nan, 0.75, 0.25], [2, 2]), "not finite"),
    ("probabilities.last", floats([0.1, 0.1, 0.75, 0.25], [2, 2]), "a sum of 1"),
    ("tail.last", floats([-0.25, 0]), "tensor tail.last"),
    ("tail.last", floats([1.25, 0]), "tensor tail.last"),
    ("entropy.last", floats([.infinity, 0]), "not finite"),
  ]

  @Test("Targets that cannot be are refused with 65, by tensor", arguments: hostile.indices)
  func targets(_ number: Int) throws {
    let (tensor, value, says) = Self.hostile[number]
    var record = Self.largest.record(width: 3, precision: .float16)
    func read() throws {
      _ = try StoredTargets(record, width: 3, vocabulary: 10, place: "record 5").soft(.last)
    }
    try read()
    record.tensors[tensor] = value
    let problem = #expect(throws: Failure.self) { try read() }
    #expect(problem?.code == .badData)
    let text = problem.map { "\($0)" } ?? ""
    #expect(text.contains("record 5, tensor ") && text.contains(says), "\(text)")
  }

  @Test(
    "Features whose positions do not rise or whose labels are no tokens are refused",
    arguments: [
      ([3, 4], [7, 8], nil), ([4, 3], [7, 8], "tensor positions"),
      ([-2, 3], [7, 8], "tensor positions"), ([3, 4], [7, 10], "0 to 9, found 10"),
      ([3, 4], [-1, 8], "tensor labels"), ([3], [7, 8], "tensor positions"),
    ] as [([Int32], [Int32], String?)])
  func features(_ positions: [Int32], _ labels: [Int32], _ says: String?) throws {
    let folder = FileManager.default.temporaryDirectory.path + "/features-\(UUID())"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let writer = try ArtifactWriter(
      directory: folder, kind: .features, settings: [:], samplesPerShard: 4)
    for (shard, _) in writer.unfinishedShards(of: [0]) {
      try writer.writeShard(shard) { append in
        try append(
          Record(
            index: 0,
            tensors: [
              "positions": Self.integers(positions), "labels": Self.integers(labels),
              "hidden.last": Self.floats([1, 2, 3, 4], [2, 2]),
            ]))
      }
    }
    try writer.finish(facts: ["width": 2, "layers": [], "vocabulary": 10])
    let reader = try FeatureReader(directory: folder)
    guard let says else { return _ = try reader.features(0) }
    let problem = #expect(throws: Failure.self) { try reader.features(0) }
    #expect(problem?.code == .badData)
    let text = problem.map { "\($0)" } ?? ""
    #expect(text.contains("record 0, tensor ") && text.contains(says), "\(text)")
  }
}
