import Models
import StageKit

/// How vlsi-extract goes through a backbone's decoder blocks: how many passes together, what that holds
/// in memory, and how often it reads the weights from disk.
public struct ExtractionPlan: Sendable {
  /// Tokens of the passes that go through each block together, at most; 1: pass by pass.
  public let tokensInFlight: Int
  /// Bytes at the stage's peak, mapped files not counted.
  public let memory: Int
  /// Whether the blocks' weights do not fit into memory beside that: then every flight reads them.
  public let rereads: Bool
  /// How often the weights are read, over all of the data.
  public let readings: Int

  /// Which settings make it hold less.
  public static let advice =
    "Lower extract.tokens_per_batch, extract.tokens_in_flight or prepare.max_pixels."

  /// What `auto` takes together at most. Read once for so many tokens, weights take an eighth of the
  /// time of their arithmetic on a machine of 10 TFLOP/s with a disk of 1.2 GB/s.
  static let mostTokens = 1 << 16

  /// - Parameters:
  ///   - samplesPerShard: of the samples: a flight ends with its shard
  ///   - layers: that are stored, the last one included
  ///   - weights: bytes of the decoder blocks
  ///   - encodes: whether images are encoded; else their embeddings are known
  ///   - stores: whether these are stored
  ///   - available: bytes of memory; nil where the system does not tell
  public init(
    _ needs: ModelNeeds, _ survey: SampleSurvey, settings: ExtractSettings, samplesPerShard: Int,
    layers: Int, weights: Int, encodes: Bool = true, stores: Bool,
    available: Int? = MemoryPlan.available()
  ) {
    let mean = survey.tokens / Double(max(1, survey.samples))
    let shard = mean * Double(min(samplesPerShard, survey.samples))
    func memory(_ inFlight: Int) -> Int {
      let flights = survey.flights(
        tokens: settings.tokensPerBatch, inFlight: inFlight, samplesPerShard: samplesPerShard)
      let largest = flights.map { $0.reduce(0) { $0 + $1.tokens } }.max() ?? 0
      // A survey of some samples may have fewer in a shard than there are.
      let most = min(Double(inFlight), shard)
      return StageMemory.extract(
        needs, flights, layers: layers, encodes: encodes, stores: stores,
        fullness: survey.isWhole ? 1 : max(1, most / Double(max(1, largest))))
    }
    func fits(_ bytes: Int) -> Bool { available.map { weights + bytes <= $0 } ?? true }
    let alone = memory(1)
    if let asked = settings.tokensInFlight {
      tokensInFlight = asked
    } else if fits(alone) {
      tokensInFlight = 1
    } else {
      // Half of the memory is left to the blocks that compute and that come.
      let most = (available ?? 0) / 2
      tokensInFlight =
        stride(from: Self.mostTokens, to: settings.tokensPerBatch, by: -Self.mostTokens / 16)
        .first { memory($0) <= most } ?? 1
    }
    self.memory = tokensInFlight == 1 ? alone : memory(tokensInFlight)
    rereads = !fits(self.memory)
    let shards = (Double(survey.samples) / Double(samplesPerShard)).rounded(.up)
    let inFlight = Double(max(tokensInFlight, min(settings.tokensPerBatch, Int(shard))))
    readings =
      rereads
      ? max(1, Int(shards * (min(shard, survey.tokens) / max(1, inFlight)).rounded(.up))) : 1
  }
}
