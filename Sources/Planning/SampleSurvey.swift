import Artifacts
import Failures
import StageKit
import Training

/// What a plan knows of the data: the sizes of some samples, evenly spread, and how many there are.
public struct SampleSurvey: Sendable {
  /// Of the surveyed samples, in their order.
  public let sizes: [ExampleReader.Size]
  /// All samples that the stages will see, rejects left out.
  public let samples: Int
  /// Bytes of the surveyed samples' shards and seconds that preparing them took.
  public let bytes: Int
  public let seconds: Double
  /// Bytes of memory that preparing them took.
  public let peakBytes: Int
  /// Entries of the data set that were rejected, as a share of those surveyed.
  public let rejectShare: Double
  /// Whether every sample of the data set was surveyed.
  public var isWhole: Bool { samples == sizes.count }

  /// - Parameters:
  ///   - reader: a `samples` artifact, whole or made with `--spread`.
  ///   - most: surveys no more than so many of its samples.
  ///   - limit: the stages will see the first so many only.
  /// - Throws: what `ExampleReader.size` throws.
  public init(_ reader: ExampleReader, most: Int = 256, limit: Int? = nil) throws {
    let manifest = reader.artifact.manifest
    let stride = max(1, reader.indices.count / most)
    sizes = try reader.indices.enumerated().compactMap { place, index in
      place % stride == 0 ? try reader.size(index) : nil
    }
    let entries = manifest.facts["entries"]?.asInt ?? reader.indices.count
    let all = manifest.facts["data_set_entries"]?.asInt ?? entries
    rejectShare =
      entries > 0 ? Double(manifest.facts["rejects"]?.asInt ?? 0) / Double(entries) : 0
    // A survey of all entries is counted, not estimated.
    let kept =
      all == entries ? reader.indices.count : Int((Double(all) * (1 - rejectShare)).rounded())
    samples = min(limit ?? .max, max(1, kept))
    let share = Double(sizes.count) / Double(max(1, manifest.facts["samples"]?.asInt ?? 1))
    bytes = Int(share * Double(manifest.shards.reduce(0) { $0 + $1.bytes }))
    seconds = share * manifest.wallSeconds
    peakBytes = manifest.peakBytes
  }

  /// Samples of these sizes, of which there are so many in all.
  init(_ sizes: [ExampleReader.Size], samples: Int) {
    self.sizes = sizes
    self.samples = samples
    (bytes, seconds, peakBytes, rejectShare) = (0, 0, 0, 0)
  }

  /// How many samples each surveyed one stands for.
  public var scale: Double { Double(samples) / Double(max(1, sizes.count)) }

  public var tokens: Double { sum { Double($0.tokens) } }
  public var supervisedPositions: Double { sum { Double($0.supervisedPositions) } }
  public var patches: Double { sum { Double($0.patches.reduce(0, +)) } }
  public var images: Double { sum { Double($0.patches.count) } }

  /// The sum over all samples.
  public func sum(_ of: (ExampleReader.Size) -> Double) -> Double {
    sizes.reduce(0) { $0 + of($1) } * scale
  }

  // MARK: Passes

  /// What one forward pass holds.
  public struct Pass: Sendable, Equatable {
    public var tokens = 0
    public var patches = 0
    public var largestImage = 0
    public var positions = 0
    /// Of the sample that has most of them.
    public var largestPositions = 0
    /// Of the largest block of its attention.
    public var scores = 0

    /// The pass over samples of these sizes.
    public init(_ sizes: [ExampleReader.Size]) {
      for size in sizes {
        tokens += size.tokens
        patches += size.patches.reduce(0, +)
        largestImage = max(largestImage, size.patches.max() ?? 0)
        positions += size.supervisedPositions
        largestPositions = max(largestPositions, size.supervisedPositions)
        scores = max(scores, size.scores)
      }
    }
  }

  /// The passes of one time through the data in its order, as vlsi-extract makes them, those together
  /// that share the decoder blocks' weights.
  /// - Parameters:
  ///   - tokens: of a pass, at most
  ///   - inFlight: tokens of passes that go together, at most
  func flights(tokens: Int, inFlight: Int, samplesPerShard: Int) -> [[Pass]] {
    var flights: [[Pass]] = []
    for shard in shards(samplesPerShard) {
      let passes = passes(of: shard, limit: tokens) { $0.tokens }
      try? forEachGroup(
        Array(passes.indices), limit: inFlight, read: { passes[$0] }, cost: \.tokens,
        { flights.append($0) })
    }
    return flights
  }

  /// Shard by shard, in groups that cost up to `limit`.
  func passes(
    limit: Int, samplesPerShard: Int, cost: (ExampleReader.Size) -> Int
  ) -> [Pass] {
    shards(samplesPerShard).flatMap { passes(of: $0, limit: limit, cost: cost) }
  }

  private func shards(_ samplesPerShard: Int) -> [Range<Int>] {
    stride(from: 0, to: sizes.count, by: max(1, samplesPerShard)).map {
      $0..<min(sizes.count, $0 + samplesPerShard)
    }
  }

  private func passes(
    of shard: Range<Int>, limit: Int, cost: (ExampleReader.Size) -> Int
  ) -> [Pass] {
    var passes: [Pass] = []
    try? forEachGroup(
      Array(shard), limit: limit, read: { sizes[$0] }, cost: cost, { passes.append(Pass($0)) })
    return passes
  }

  /// The most optimizer steps whose passes are looked at.
  static let steps = 16

  /// The passes of some optimizer steps, as vlsi-align and vlsi-finetune make them.
  public func trainingPasses(_ training: TrainingSettings, seed: UInt64) -> [Pass] {
    var order = DataOrder(count: sizes.count, seed: seed)
    let count = min(training.samplesPerBatch * training.accumulation, 4096)
    return (0..<min(training.steps, Self.steps)).flatMap { step -> [Pass] in
      let step = order.items(step * count..<(step + 1) * count).map { sizes[$0] }
      return MicroBatches.passes(
        step.map(\.tokens), samples: training.samplesPerBatch, tokens: training.tokensPerBatch
      ).map { Pass($0.map { step[$0] }) }
    }
  }
}
