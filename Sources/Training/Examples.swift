import Artifacts
import Checkpoints
import Distillation
import Failures
import Imaging
import Kernels
import Models

/// A sample ready for the model, with what it is asked to predict.
public struct Example: Sendable {
  /// The sample's index in the data set.
  public var index: Int
  public var sample: ModelSample
  /// The supervised positions: rows of the sample whose next token is a target [s].
  public var positions: [Int32]
  /// The token to be predicted at each of them [s].
  public var labels: [Int32]

  public init(index: Int, sample: ModelSample, positions: [Int32], labels: [Int32]) {
    self.index = index
    self.sample = sample
    self.positions = positions
    self.labels = labels
  }
}

/// Reads the `samples` artifact as examples for one backbone.
public final class ExampleReader {
  public let artifact: ArtifactReader
  /// The samples' indices, ascending.
  public let indices: [Int]
  private let processor: ImageProcessor
  private let config: any ModelConfig
  /// The most tokens of a sample.
  private let context: Int
  private var sizes: [Int: Size] = [:]

  /// How long a sample is.
  public struct Size: Sendable, Equatable {
    public var tokens: Int
    public var supervisedPositions: Int
    /// Of each of its images.
    public var patches: [Int]
    /// The attention scores that a thread holds for its largest block: the prefix, a question, or the
    /// whole.
    public var scores: Int

    /// - Parameter scores: nil for a sample that is one block.
    public init(tokens: Int, supervisedPositions: Int, patches: [Int], scores: Int? = nil) {
      self.tokens = tokens
      self.supervisedPositions = supervisedPositions
      self.patches = patches
      self.scores = scores ?? AttentionLayout.scores(rows: tokens)
    }
  }

  /// Opens the samples in `directory` for the checkpoint in `model`. Throws 65 or 66 for a bad
  /// artifact, and 65 when the samples were prepared for another tokenizer or image processor.
  public init(
    samples directory: String, config: any ModelConfig, processor: ImageProcessor, limit: Int? = nil
  ) throws {
    let artifact = try ArtifactReader(directory: directory, kind: .samples)
    self.artifact = artifact
    indices = limit.map { Array(artifact.indices.prefix($0)) } ?? artifact.indices
    self.config = config
    self.processor = processor
    context = artifact.manifest.facts["context"]?.asInt ?? config.text.maxPositions
    if indices.isEmpty {
      throw Failure(.badData, "no samples in it", at: directory, expected: "at least 1", found: "0")
    }
  }

  /// A sample's length without its pixels; read once and remembered. Throws 65 as `example` does.
  public func size(_ index: Int) throws -> Size {
    if let known = sizes[index] { return known }
    return try checked(index).size
  }

  /// The supervised positions of all samples, as the artifact tells; of its first samples in
  /// proportion. Throws 65 as `example` does.
  public func supervisedPositions() throws -> Int {
    let all = artifact.indices.count
    guard let known = artifact.manifest.facts["supervised_tokens"]?.asInt else {
      return try indices.reduce(0) { $0 + (try size($1)).supervisedPositions }
    }
    return indices.count == all
      ? known : Int(Double(known) * Double(indices.count) / Double(all))
  }

  /// A sample's supervised positions and the tokens to be predicted there [s]. Throws 65 as `example`
  /// does, also for a sample that is not there.
  public func supervision(_ index: Int) throws -> (positions: [Int32], labels: [Int32]) {
    let record = try checked(index)
    return (record.positions, record.labels)
  }

  /// The record, held against the model before anything is asked for by its numbers.
  private func checked(_ index: Int) throws -> SampleRecord {
    let record = try SampleRecord(
      artifact.record(index), config: config, context: context, place: artifact.place(of: index))
    sizes[index] = record.size
    return record
  }

  /// The example with the data set's index `index`. Throws 65 naming the record when its tensors do
  /// not fit together or not with the model.
  /// - Parameter patches: false leaves its images without them.
  public func example(_ index: Int, patches: Bool = true) throws -> Example {
    let record = try checked(index)
    let images = try zip(record.grids, record.pixels).map { grid, pixels in
      ModelImage(
        grid: grid,
        patches: patches
          ? try processor.patches(
            pixels: pixels.bytes, height: pixels.shape[0], width: pixels.shape[1]) : [])
    }
    let sample = ModelSample(inputIDs: record.ids, segments: record.segments, images: images)
    return Example(
      index: index, sample: sample, positions: record.positions, labels: record.labels)
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
  /// The stretches of `rows` that are one answer each.
  public let answers: [Range<Int>]

  /// Throws 65 for an example that does not fit the model.
  public init(_ examples: [Example], model: VisionLanguageModel) throws {
    batch = try model.pack(examples.map(\.sample))
    var rows: [Int] = [], labels: [Int32] = []
    var stretches: [Range<Int>] = [], answers: [Range<Int>] = []
    for (example, span) in zip(examples, batch.sampleRows) {
      let start = rows.count
      rows += example.positions.map { span.lowerBound + Int($0) }
      labels += example.labels
      stretches.append(start..<rows.count)
      answers += Verbalizer.answers(example.positions, from: start)
    }
    self.rows = rows
    self.labels = labels
    self.stretches = stretches
    self.answers = answers
  }
}
