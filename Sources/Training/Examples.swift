import Artifacts
import Checkpoints
import Failures
import Imaging
import Qwen2VL

/// A sample ready for the model, with what it is asked to predict.
public struct Example: Sendable {
  /// The sample's index in the data set.
  public var index: Int
  public var sample: ModelSample
  /// The supervised positions: rows of the sample whose next token is a target [s].
  public var positions: [Int32]
  /// The token to be predicted at each of them [s].
  public var labels: [Int32]
}

/// Reads the `samples` artifact as examples for one backbone.
public final class ExampleReader {
  public let artifact: ArtifactReader
  /// The samples' indices, ascending.
  public let indices: [Int]
  private let processor: ImageProcessor
  private let config: Qwen2VLConfig
  private var sizes: [Int: Size] = [:]

  /// How long a sample is.
  public struct Size: Sendable, Equatable {
    public var tokens: Int
    public var supervisedPositions: Int
    /// Of each of its images.
    public var patches: [Int]

    public init(tokens: Int, supervisedPositions: Int, patches: [Int]) {
      self.tokens = tokens
      self.supervisedPositions = supervisedPositions
      self.patches = patches
    }
  }

  /// Opens the samples in `directory` for the checkpoint in `model`. Throws 65 or 66 for a bad
  /// artifact, and 65 when the samples were prepared for another tokenizer or image processor.
  public init(
    samples directory: String, config: Qwen2VLConfig, processor: ImageProcessor, limit: Int? = nil
  ) throws {
    let artifact = try ArtifactReader(directory: directory, kind: .samples)
    self.artifact = artifact
    indices = limit.map { Array(artifact.indices.prefix($0)) } ?? artifact.indices
    self.config = config
    self.processor = processor
    if indices.isEmpty {
      throw Failure(.badData, "no samples in it", at: directory, expected: "at least 1", found: "0")
    }
  }

  /// A sample's length without its pixels; read once and remembered. Throws 65 as `example` does.
  public func size(_ index: Int) throws -> Size {
    if let known = sizes[index] { return known }
    let record = try artifact.record(index)
    return try note(index, text(record, place: place(index)), record)
  }

  private func note(_ index: Int, _ text: Text, _ record: Record) throws -> Size {
    let grids = try record.tensors["image_grid"]?.int32s() ?? []
    let patches = (0..<grids.count / 3).map { image in
      // A grid that overflows is refused where its pixels are read.
      grids[3 * image..<3 * image + 3].reduce(1) { $0 &* Int($1) }
    }
    let size = Size(
      tokens: text.ids.count, supervisedPositions: text.positions.count, patches: patches)
    sizes[index] = size
    return size
  }

  private func place(_ index: Int) -> String { "\(artifact.directory), record \(index)" }

  private func tensor(_ name: String, of record: Record, _ place: String) throws -> RawTensor {
    guard let found = record.tensors[name] else {
      throw Failure(.badData, "tensor \(name) is missing", at: place)
    }
    return found
  }

  /// A record's tokens and what is to be predicted from them.
  private typealias Text = (ids: [Int32], positions: [Int32], labels: [Int32])

  private func text(_ record: Record, place: String) throws -> Text {
    let ids = try tensor("input_ids", of: record, place).int32s()
    let supervised = try tensor("supervised", of: record, place).bytes
    guard supervised.count == ids.count else {
      throw Failure(
        .badData, "tensor supervised has the wrong length", at: place,
        expected: "\(ids.count)", found: "\(supervised.count)")
    }
    let explicit = try record.tensors["labels"]?.int32s()
    if let explicit, explicit.count != ids.count {
      throw Failure(
        .badData, "tensor labels has the wrong length", at: place,
        expected: "\(ids.count)", found: "\(explicit.count)")
    }
    var positions: [Int32] = [], labels: [Int32] = []
    for row in 0..<ids.count {
      if let label = explicit?[row], label >= 0 {
        positions.append(Int32(row))
        labels.append(label)
      } else if row + 1 < ids.count, supervised[row + 1] != 0 {
        positions.append(Int32(row))
        labels.append(ids[row + 1])
      }
    }
    return (ids, positions, labels)
  }

  /// The example with the data set's index `index`. Throws 65 naming the record when its tensors do
  /// not fit together or not with the model.
  public func example(_ index: Int) throws -> Example {
    let record = try artifact.record(index)
    let place = place(index)
    let text = try text(record, place: place)
    _ = try note(index, text, record)
    let grids = try record.tensors["image_grid"]?.int32s() ?? []
    var images: [ModelImage] = []
    for number in 0..<grids.count / 3 {
      let pixels = try tensor("pixels.\(number)", of: record, place)
      let patch = config.vision.patchSize
      let grid = (
        time: Int(grids[3 * number]), height: Int(grids[3 * number + 1]),
        width: Int(grids[3 * number + 2])
      )
      guard pixels.type == .uint8, pixels.shape == [grid.height * patch, grid.width * patch, 3]
      else {
        throw Failure(
          .badData, "tensor pixels.\(number) does not fit its grid and the model's patches",
          at: place, expected: "U8 \([grid.height * patch, grid.width * patch, 3])",
          found: "\(pixels.type.rawValue) \(pixels.shape)",
          advice: "Were the samples prepared for a model with other patches?")
      }
      images.append(
        ModelImage(
          grid: grid,
          patches: try processor.patches(
            pixels: pixels.bytes, height: pixels.shape[0], width: pixels.shape[1])))
    }
    let segments = try record.tensors["segments"]?.int32s()
    let sample = ModelSample(inputIDs: text.ids, segments: segments, images: images)
    let vision = config.vision
    if let problem = PackedBatch.problem(
      sample, imageToken: Int32(config.imageTokenID), mergeSize: vision.spatialMergeSize,
      patchSize: vision.inChannels * vision.temporalPatchSize * vision.patchSize * vision.patchSize,
      vocabulary: config.text.vocabularySize)
    {
      throw Failure(.badData, problem, at: place)
    }
    // Those that are tokens of the sample were checked with them.
    let known = 0..<config.text.vocabularySize
    if let label = text.labels.first(where: { !known.contains(Int($0)) }) {
      throw Failure(
        .badData, "a label outside the vocabulary", at: place,
        expected: "less than \(known.upperBound)", found: "\(label)")
    }
    return Example(index: index, sample: sample, positions: text.positions, labels: text.labels)
  }
}

/// Examples packed for one forward pass.
public struct ExampleBatch {
  public let batch: PackedBatch
  /// The packed rows of all supervised positions, sample by sample.
  public let rows: [Int]
  public let labels: [Int32]
  /// For every example, its stretch of `rows`.
  public let stretches: [Range<Int>]

  public init(_ examples: [Example], model: Qwen2VL) {
    batch = model.pack(examples.map(\.sample))
    var rows: [Int] = [], labels: [Int32] = [], stretches: [Range<Int>] = []
    for (example, span) in zip(examples, batch.sampleRows) {
      let start = rows.count
      rows += example.positions.map { span.lowerBound + Int($0) }
      labels += example.labels
      stretches.append(start..<rows.count)
    }
    self.rows = rows
    self.labels = labels
    self.stretches = stretches
  }
}
