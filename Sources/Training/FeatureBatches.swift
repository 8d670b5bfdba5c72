import Distillation
import Failures
import Kernels
import Tensors

/// Supervised positions of stored features, for training on them: exactly `tokensPerBatch` a batch,
/// sample by sample in the order of a `DataOrder`, without end. A sample that a batch cannot hold
/// whole goes on in the next one.
public struct FeatureBatches {
  public struct Batch {
    /// The token that each position predicts [n].
    public let labels: [Int32]
    /// The hidden states of each target layer [n, d].
    public let hidden: [Int: Tensor]
    /// The rows of each answer. One that a batch cuts in two counts as two.
    public let answers: [Range<Int>]
  }

  /// Where the next batch starts: a place in the endless order, and a position of its sample.
  public struct Cursor: Sendable, Equatable {
    public var place = 0
    public var position = 0
    public init() {}
  }

  /// Bytes of decoded samples that stay in memory where they are read again.
  public static let bytesKept = 512 << 20

  /// Set it to an earlier one to continue there.
  public var cursor = Cursor()

  private let reader: FeatureReader
  private let indices: [Int]
  private let tokensPerBatch: Int
  private var order: DataOrder
  /// Decoded samples, kept for the next epochs while they fit.
  private var kept: [Int: Features] = [:]
  private var keptBytes = 0
  private let most: Int

  /// - Parameters:
  ///   - indices: the samples to draw from
  ///   - keeping: bytes of decoded samples that may stay in memory
  /// - Throws: `Failure(.badData)` when there is no sample.
  public init(
    _ reader: FeatureReader, indices: [Int], tokensPerBatch: Int, seed: UInt64,
    keeping: Int = bytesKept
  ) throws {
    guard !indices.isEmpty else {
      throw Failure(.badData, "no samples in the features", at: reader.artifact.directory)
    }
    self.reader = reader
    self.indices = indices
    self.tokensPerBatch = tokensPerBatch
    order = DataOrder(count: indices.count, seed: seed)
    most = keeping
  }

  /// The next batch.
  /// - Throws: `Failure(.badData)` for a damaged record, or when no sample has a supervised position.
  public mutating func next() throws -> Batch {
    var labels: [Int32] = []
    var answers: [Range<Int>] = []
    let hidden = Dictionary(
      uniqueKeysWithValues: reader.layers.map { ($0, Tensor([tokensPerBatch, reader.width])) })
    var empty = 0
    while labels.count < tokensPerBatch {
      let index = indices[order.items(cursor.place..<cursor.place + 1)[0]]
      let features = try features(index)
      let last = min(features.count, cursor.position + tokensPerBatch - labels.count)
      let rows = min(cursor.position, last)..<last
      for (layer, tensor) in hidden {
        features.copy(.layer(layer), rows: rows, to: tensor.values + labels.count * reader.width)
      }
      answers += Verbalizer.answers(Array(features.positions[rows]), from: labels.count)
      labels += features.labels[rows]
      cursor.position = last
      if last == features.count {
        cursor.place += 1
        cursor.position = 0
      }
      empty = rows.isEmpty ? empty + 1 : 0
      if empty > indices.count {
        throw Failure(
          .badData, "no sample has a supervised position", at: reader.artifact.directory,
          advice: "Does any conversation of the data set have an answer?")
      }
    }
    return Batch(labels: labels, hidden: hidden, answers: answers)
  }

  private mutating func features(_ index: Int) throws -> Features {
    if let found = kept[index] { return found }
    let features = try reader.features(index)
    if keptBytes + features.byteCount <= most {
      kept[index] = features
      keptBytes += features.byteCount
    }
    return features
  }
}
