import Artifacts
import Checkpoints
import Models
import Failures
import Testing

@testable import Training

/// A record of the samples is believed only where its numbers fit each other and the model.
@Suite struct SampleRecordTests {
  static let config = Qwen2VLConfig(
    text: .init(
      hiddenSize: 8, layers: 1, heads: 2, keyValueHeads: 1, intermediateSize: 16,
      vocabularySize: 100, ropeTheta: 1e6, mropeSection: [1, 1, 0], rmsNormEpsilon: 1e-6,
      tieWordEmbeddings: true, maxPositions: 64),
    vision: .init(
      depth: 1, embedDimension: 8, heads: 2, mlpRatio: 2, patchSize: 2, temporalPatchSize: 2,
      spatialMergeSize: 2, inChannels: 3, hiddenSize: 8),
    imageTokenID: 9, videoTokenID: 10, visionStartTokenID: 7, visionEndTokenID: 8, eosTokenID: 1)

  static func integers(_ values: [Int32], _ shape: [Int]? = nil) -> RawTensor {
    RawTensor(int32: values, shape: shape ?? [values.count])
  }

  /// An image of 2 × 1 tokens before two questions.
  static let sound: [String: RawTensor] = [
    "input_ids": integers([7, 9, 9, 8, 20, 21, 22, 23]),
    "supervised": RawTensor(uint8: [0, 0, 0, 0, 0, 1, 0, 1], shape: [8]),
    "image_grid": integers([1, 4, 2], [1, 3]),
    "pixels.0": RawTensor(uint8: [UInt8](repeating: 5, count: 96), shape: [8, 4, 3]),
    "segments": integers([0, 0, 0, 0, 1, 1, 2, 2]),
  ]

  static func read(_ tensors: [String: RawTensor], context: Int = 8) throws -> SampleRecord {
    try SampleRecord(
      Record(index: 3, tensors: tensors), config: config, context: context, place: "record 3")
  }

  @Test("What fits is read, with the scores of its largest block")
  func reading() throws {
    let record = try Self.read(Self.sound)
    #expect(record.positions == [4, 6] && record.labels == [21, 23])
    #expect(
      record.size == .init(tokens: 8, supervisedPositions: 2, patches: [8], scores: 16))
    var labelled = Self.sound
    labelled["labels"] = Self.integers([-100, 50, -100, -100, -100, -100, -100, -100])
    labelled["supervised"] = RawTensor(uint8: [UInt8](repeating: 0, count: 8), shape: [8])
    #expect(try Self.read(labelled).positions == [1])
    var text = Self.sound
    for name in ["segments", "image_grid", "pixels.0"] { text[name] = nil }
    text["input_ids"] = Self.integers([1, 2, 3, 4, 5, 6, 7, 8])
    #expect(try Self.read(text).size.scores == 64)
  }

  static let hostile: [(tensor: String, value: RawTensor?, says: String)] = [
    ("input_ids", nil, "input_ids"),
    ("input_ids", integers([7, 9, 9, 8, 20, 21, 22, 100]), "token 100 at position 7"),
    ("input_ids", integers([7, 9, 9, 8, 20, -1, 22, 23]), "token -1"),
    ("input_ids", integers([7, 9, 9, 8, 20, 21, 22, 23], [2, 4]), "another shape"),
    ("input_ids", RawTensor(float32: [1], shape: [1]), "element type"),
    ("input_ids", integers([7, 9, 8, 9, 20, 21, 22, 23]), "side by side"),
    (
      "input_ids",
      RawTensor(
        type: .int64, shape: [1], bytes: [0, 0, 0, 0, 1, 0, 0, 0]), "beyond 32 bits"
    ),
    ("input_ids", integers([Int32](repeating: 20, count: 200_093)), "at most 8, found 200093"),
    ("supervised", nil, "supervised"),
    ("supervised", RawTensor(uint8: [0, 1], shape: [2]), "another shape"),
    ("supervised", RawTensor(uint8: [UInt8](repeating: 255, count: 8), shape: [8]), "found 255"),
    ("image_grid", nil, "0 visual features"),
    ("image_grid", integers([Int32.max, 8, 8], [1, 3]), "image tokens for"),
    ("image_grid", integers([Int32.max, Int32.max - 1, Int32.max - 1], [1, 3]), "image_grid"),
    (
      "image_grid",
      integers([Int32](repeating: Int32.max - 1, count: 12), [4, 3]), "image_grid"
    ),
    ("image_grid", integers([1, 0, 2], [1, 3]), "cannot be merged"),
    ("image_grid", integers([1, -4, -2], [1, 3]), "cannot be merged"),
    ("image_grid", integers([1, 8, 1], [1, 3]), "cannot be merged"),
    ("image_grid", integers([1, 4, 4], [1, 3]), "2 image tokens for 4"),
    ("image_grid", integers([1, 2, 4], [1, 3]), "tensor pixels.0"),
    ("image_grid", integers([2, 2, 2], [1, 3]), "one frame"),
    ("image_grid", integers([1, 4], [2]), "another shape"),
    ("image_grid", integers([1, 2, 2, 1, 2, 2], [2, 3]), "not as many images"),
    ("pixels.0", nil, "not as many images"),
    ("pixels.0", RawTensor(uint8: [1, 2, 3], shape: [1, 1, 3]), "U8 [8, 4, 3]"),
    ("pixels.1", RawTensor(uint8: [1, 2, 3], shape: [1, 1, 3]), "not as many images"),
    ("segments", integers([0, 0, 0, 0, 2, 2, 1, 1]), "stands behind 2"),
    ("segments", integers([-1, 0, 0, 0, 1, 1, 2, 2]), "negative"),
    ("segments", integers([0, 0, 0, 0, 1, 1, 2, Int32.max]), "question 2147483647"),
    ("segments", integers([0, 1]), "another shape"),
    ("segments", integers([0, 0, 1, 1, 1, 1, 2, 2]), "side by side"),
    ("labels", integers([0, 1]), "another shape"),
    ("labels", integers([-100, 100, 0, 0, 0, 0, 0, 0]), "found 100"),
    ("labels", integers([-1, 0, 0, 0, 0, 0, 0, 0]), "found -1"),
  ]

  @Test("What does not is refused with 65, by record and tensor", arguments: hostile.indices)
  func refusing(_ number: Int) throws {
    let (tensor, value, says) = Self.hostile[number]
    var tensors = Self.sound
    tensors[tensor] = value
    let problem = #expect(throws: Failure.self) { try Self.read(tensors) }
    #expect(problem?.code == .badData)
    let text = problem.map { "\($0)" } ?? ""
    #expect(text.contains("record 3, tensor ") && text.contains(says), "\(text)")
  }
}
