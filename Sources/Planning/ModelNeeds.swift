import Models
import Checkpoints
import Kernels

/// What a pass of a backbone holds in memory beyond its weights, in bytes, and what it computes, in
/// floating-point operations: from the shapes alone. The counts follow the tensors that live at the
/// same time in `DecoderBlock` and `EncoderBlock`; the tests hold them against
/// measured peaks.
public struct ModelNeeds: Sendable {
  public let config: any ModelConfig
  public let threads: Int

  /// The model's shapes, no values.
  private let model: Parameters

  /// The numbers of the parameters by their roles.
  private struct Parameters: Sendable {
    let embedding, vision, all: Int
  }

  public init(_ config: any ModelConfig, threads: Int) {
    self.config = config
    let model = VisionLanguageModel(config: config)
    func count(_ parts: Set<VisionLanguageModel.Part>) -> Int {
      model.parameters(of: parts).reduce(0) { $0 + $1.count }
    }
    self.model = Parameters(
      embedding: count([.embedding]), vision: count([.vision]),
      all: count(Set(VisionLanguageModel.Part.allCases)))
    self.threads = threads
  }

  private var text: TextConfig { config.text }
  private var vision: EncoderShape { config.encoder }

  // MARK: Memory

  /// The images of a pass with so many patches, encoded without a gradient.
  func encodingBytes(patches: Int, largestImage: Int) -> Int {
    guard patches > 0 else { return 0 }
    let e = vision.width
    // Around the MLP: the block's input, the state behind the attention, both sides of the GELU.
    // Around the attention: input, normed, the fused projection, q and k before and after turning, v.
    let inner = vision.feedForward * (vision.isGated ? 3 : 2)
    let block = max(2 * e + inner, 9 * e)
    return 4 * patches * (block + vision.patchDimension) + pixelBytes(patches: patches)
      + scoreBytes(AttentionLayout.scores(rows: largestImage))
  }

  /// A pass of the language model that takes `reading`, with its images: encoded before it, their
  /// patches kept meanwhile, or known.
  func seeingBytes(_ pass: SampleSurvey.Pass, encodes: Bool, reading: Int) -> Int {
    guard encodes else {
      return reading + 4 * pass.patches / vision.patchesPerToken * config.visualWidth
    }
    return max(
      encodingBytes(patches: pass.patches, largestImage: pass.largestImage),
      pixelBytes(patches: pass.patches) + reading)
  }

  /// The attention scores that every thread holds at a time.
  func scoreBytes(_ scores: Int) -> Int { bounded(4 * threads, scores) }

  /// A product that stands for more memory than there is where it would overflow, with room to add.
  private func bounded(_ one: Int, _ other: Int) -> Int {
    let product = one.multipliedReportingOverflow(by: other)
    return product.overflow ? 1 << 56 : min(product.partialValue, 1 << 56)
  }

  /// The patches as numbers, in the examples and in the packed batch.
  func pixelBytes(patches: Int) -> Int { 2 * 4 * patches * vision.patchDimension }

  /// A forward pass without a gradient over so many tokens.
  /// - Parameter scores: of the largest block of the attention.
  func forwardBytes(tokens: Int, scores: Int = 0) -> Int {
    4 * tokens * (4 * text.hiddenSize + 3 * text.intermediateSize) + scoreBytes(scores)
  }

  /// A pass between two decoder blocks: what enters the next, its rotary tables, what will be added to
  /// its visual tokens.
  /// - Parameter stores: whether its visual embeddings are kept for its records
  func waitingBytes(_ pass: SampleSurvey.Pass, stores: Bool) -> Int {
    let visual = pass.patches / vision.patchesPerToken
    return 4 * pass.tokens * (text.hiddenSize + text.block.headSize)
      + 4 * visual * (config.visualWidth - text.hiddenSize)
      + (stores ? 2 * visual * config.visualWidth : 0)
  }

  /// What a pass and its gradient hold: the input of every block that is computed again, one block
  /// forwards and backwards, and all of every other block.
  /// - Parameters:
  ///   - scores: of the largest block of the attention; backwards, with their gradients
  ///   - recomputed: how many blocks are computed again
  func trainingBytes(
    tokens: Int, scores: Int = 0, recomputed: Int, loraRank: Int?
  ) -> Int {
    let d = text.hiddenSize, f = text.intermediateSize, kv = text.keyValueSize
    var block = 6 * d + 4 * text.querySize + 3 * f + 3 * kv
    if text.queryKeyNorms { block += text.querySize + kv }
    if let loraRank {
      // Each adapted product keeps the base's part, the low-rank one and their sum.
      block += 2 * (2 * d + text.querySize + 2 * kv + 2 * f) + 7 * loraRank
    }
    let backward = 3 * f + 3 * d
    let again = min(recomputed, text.layers)
    let kept =
      again * d + (text.layers - again + (again > 0 ? 1 : 0)) * block + backward
    return 4 * tokens * kept + 2 * scoreBytes(scores)
  }

  // MARK: Parameters

  /// The numbers that fine-tuning trains.
  public func trained(embedding: Bool, vision: Bool) -> Int {
    model.all - (vision ? 0 : model.vision)
      - (embedding || text.tieWordEmbeddings ? 0 : model.embedding)
  }

  /// The numbers of low-rank adapters on every projection of every block.
  public func adapters(rank: Int) -> Int {
    let d = text.hiddenSize, f = text.intermediateSize
    let q = text.querySize, kv = text.keyValueSize
    // In and out of q, k, v, o, gate, up, down.
    let sides = [(d, q), (d, kv), (d, kv), (q, d), (d, f), (d, f), (f, d)]
    return text.layers * rank * sides.reduce(0) { $0 + $1.0 + $1.1 }
  }

  // MARK: Operations

  /// A forward pass of the vision encoder over images of these patches.
  public func encodingOperations(patches: [Int]) -> Double {
    let e = Double(vision.width)
    let m = Double(vision.feedForward) * (vision.isGated ? 1.5 : 1)
    let merged = Double(vision.projectorWidth), merge = Double(vision.patchesPerToken)
    return patches.reduce(0.0) { total, count in
      let n = Double(count)
      let block = n * 2 * (4 * e * e + 2 * e * m) + 4 * n * n * e
      let merger =
        n / merge * 2 * (Double(vision.projectorInput) + Double(vision.outputWidth)) * merged
        * Double(1 + vision.deepLevels)
      return total + Double(vision.depth) * block + merger
        + n * 2 * e * Double(vision.patchDimension)
    }
  }

  /// A forward pass of the language model without its head over samples of these lengths.
  public func forwardOperations(lengths: [Int]) -> Double {
    let d = Double(text.hiddenSize), f = Double(text.intermediateSize)
    let q = Double(text.querySize), kv = Double(text.keyValueSize)
    let weights = 2 * d * q + 2 * d * kv + 3 * d * f
    return lengths.reduce(0.0) { total, length in
      let n = Double(length)
      // Of a causal attention's scores, those that some rows at once cannot see are computed too.
      let pairs = n * (n + min(n, Double(AttentionLayout.rowsAtOnce))) / 2
      return total + Double(text.layers) * (2 * n * weights + 4 * pairs * q)
    }
  }
}
