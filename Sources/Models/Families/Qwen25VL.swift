import Artifacts
import Failures
import Imaging
import Kernels
import Tensors
import Tokenization

/// Qwen2.5-VL (Bai et al. 2025, "Qwen2.5-VL Technical Report"; transformers'
/// `Qwen2_5_VLForConditionalGeneration`): Qwen2-VL with a vision encoder whose blocks attend within
/// windows, but for a few, and have RMS norms and a gated FFN. Both dialects of its config.json are
/// read; the hub's flat one is written.
public struct Qwen25VLConfig: FlatConfig, MergedPatches, QwenTokens, Sendable, Equatable {
  public static let modelType = "qwen2_5_vl"
  public static let familyName = "Qwen2.5-VL"
  public static let architecture = "Qwen2_5_VLForConditionalGeneration"
  public static let names = TensorNames.qwen2
  public static let chat = ChatDialect.qwen2VL
  public static let hasAdaptedQuestions = true
  public static let published = ["3B", "7B", "32B", "72B"].map { "Qwen/Qwen2.5-VL-\($0)-Instruct" }

  /// The vision encoder and its merger.
  public struct Vision: Sendable, Equatable {
    public var depth: Int
    public var width: Int
    public var heads: Int
    public var feedForward: Int
    /// Width of what the merger puts out: the language model's.
    public var outputWidth: Int
    public var patchSize: Int
    public var temporalPatchSize: Int
    public var mergeSize: Int
    public var channels: Int
    /// Side of a window in pixels.
    public var windowSize: Int
    /// The blocks, from 0, that attend over the whole image.
    public var fullAttentionBlocks: [Int]

    public init(
      depth: Int, width: Int, heads: Int, feedForward: Int, outputWidth: Int, patchSize: Int = 14,
      temporalPatchSize: Int = 2, mergeSize: Int = 2, channels: Int = 3, windowSize: Int = 112,
      fullAttentionBlocks: [Int] = [7, 15, 23, 31]
    ) {
      self.depth = depth
      self.width = width
      self.heads = heads
      self.feedForward = feedForward
      self.outputWidth = outputWidth
      self.patchSize = patchSize
      self.temporalPatchSize = temporalPatchSize
      self.mergeSize = mergeSize
      self.channels = channels
      self.windowSize = windowSize
      self.fullAttentionBlocks = fullAttentionBlocks
    }

    public var headDimension: Int { width / heads }
    var mergedSize: Int { width * mergeSize * mergeSize }
    var patchDimension: Int { channels * temporalPatchSize * patchSize * patchSize }
    /// Side of a window in merged tokens.
    var windowTokens: Int { windowSize / mergeSize / patchSize }
  }

  public var text: TextConfig
  public var vision: Vision
  public var imageTokenID: Int
  public var videoTokenID: Int
  public var visionStartTokenID: Int
  public var visionEndTokenID: Int
  public var bosTokenID: Int?
  public var eosTokenID: Int
  public var dtype: ElementType?

  public init(
    text: TextConfig, vision: Vision, imageTokenID: Int = 151_655, videoTokenID: Int = 151_656,
    visionStartTokenID: Int = 151_652, visionEndTokenID: Int = 151_653, bosTokenID: Int? = 151_643,
    eosTokenID: Int = 151_645, dtype: ElementType? = nil
  ) {
    self.text = text
    self.vision = vision
    self.imageTokenID = imageTokenID
    self.videoTokenID = videoTokenID
    self.visionStartTokenID = visionStartTokenID
    self.visionEndTokenID = visionEndTokenID
    self.bosTokenID = bosTokenID
    self.eosTokenID = eosTokenID
    self.dtype = dtype
  }
}

// MARK: config.json

extension Qwen25VLConfig {
  /// A member that is left out has the value that transformers' `Qwen2_5_VLConfig` gives it.
  public init(_ json: JSON, place: String) throws {
    let (root, text, vision) = try ConfigSection.open(json, place: place)
    try vision.require("hidden_act", "silu")
    self.init(
      text: try TextConfig(text, root: root, .qwen2VL),
      vision: Vision(
        depth: try vision.size("depth", or: 32, atMost: ConfigLimit.blocks),
        width: try vision.size("hidden_size", or: 3584, atMost: ConfigLimit.width),
        heads: try vision.size("num_heads", or: 16, atMost: ConfigLimit.width),
        feedForward: try vision.size("intermediate_size", or: 3420, atMost: ConfigLimit.vocabulary),
        outputWidth: try vision.size("out_hidden_size", or: 3584, atMost: ConfigLimit.width),
        patchSize: try vision.size("patch_size", or: 14, atMost: ConfigLimit.patch),
        temporalPatchSize: try vision.size("temporal_patch_size", or: 2, atMost: ConfigLimit.few),
        mergeSize: try vision.size("spatial_merge_size", or: 2, atMost: ConfigLimit.few),
        channels: try vision.size("in_channels", "in_chans", or: 3, atMost: ConfigLimit.few),
        windowSize: try vision.size("window_size", or: 112, atMost: ConfigLimit.width),
        fullAttentionBlocks: try vision.numbers(
          "fullatt_block_indexes", or: [7, 15, 23, 31], atMost: ConfigLimit.blocks)),
      imageTokenID: try root.token("image_token_id", or: 151_655),
      videoTokenID: try root.token("video_token_id", or: 151_656),
      visionStartTokenID: try root.token("vision_start_token_id", or: 151_652),
      visionEndTokenID: try root.token("vision_end_token_id", or: 151_653),
      bosTokenID: (text.json["bos_token_id"] ?? json["bos_token_id"])?.asInt,
      eosTokenID: try text.token("eos_token_id", or: root.token("eos_token_id", or: 151_645)),
      dtype: ConfigSection.elementType(root, text))
    try check(place: place)
  }

  private func check(place: String) throws {
    try requireHeads(vision.width, vision.heads, place: place)
    try requireOutput(vision.outputWidth, "out_hidden_size", place: place)
    try ConfigSection.require(
      vision.windowTokens > 0, "a window is smaller than a merged token", at: place,
      "window_size of at least \(vision.mergeSize * vision.patchSize)", "\(vision.windowSize)")
    try text.checkTokens(
      [imageTokenID, videoTokenID, visionStartTokenID, visionEndTokenID, eosTokenID], place: place)
  }

  /// The members of the hub's config.json.
  public var members: [String: JSON] {
    var vision: [String: JSON] = [
      "depth": .int(vision.depth), "hidden_act": "silu", "hidden_size": .int(vision.width),
      "intermediate_size": .int(vision.feedForward), "num_heads": .int(vision.heads),
      "out_hidden_size": .int(vision.outputWidth), "patch_size": .int(vision.patchSize),
      "spatial_patch_size": .int(vision.patchSize),
      "temporal_patch_size": .int(vision.temporalPatchSize),
      "spatial_merge_size": .int(vision.mergeSize), "in_chans": .int(vision.channels),
      "window_size": .int(vision.windowSize), "tokens_per_second": 2,
      "fullatt_block_indexes": .array(vision.fullAttentionBlocks.map { .int($0) }),
    ]
    if self.vision.channels != 3 { vision["in_channels"] = .int(self.vision.channels) }
    return flatMembers(vision: vision)
  }

  public func shortened(layers: Int, encoderBlocks: Int) -> Qwen25VLConfig {
    var config = self
    config.text.layers = layers
    config.vision.depth = encoderBlocks
    return config
  }

  public var encoder: EncoderShape {
    EncoderShape(
      depth: vision.depth, width: vision.width, feedForward: vision.feedForward, isGated: true,
      patchSize: vision.patchSize, patchDimension: vision.patchDimension,
      patchesPerToken: vision.mergeSize * vision.mergeSize, projectorWidth: vision.mergedSize,
      outputWidth: vision.outputWidth)
  }

  var merge: (patchSize: Int, temporalPatchSize: Int, mergeSize: Int) {
    (vision.patchSize, vision.temporalPatchSize, vision.mergeSize)
  }
}

// MARK: Sizes

extension Qwen25VLConfig {
  public static let sizes: [ModelSize] = [
    size(
      "qwen2.5-vl-3b", hidden: 2048, layers: 36, heads: 16, keyValueHeads: 2, feedForward: 11_008,
      vocabulary: 151_936, tied: true),
    size(
      "qwen2.5-vl-7b", hidden: 3584, layers: 28, heads: 28, keyValueHeads: 4, feedForward: 18_944,
      vocabulary: 152_064, tied: false),
    // A wider encoder, which divides among eight devices.
    size(
      "qwen2.5-vl-72b", hidden: 8192, layers: 80, heads: 64, keyValueHeads: 8, feedForward: 29_568,
      vocabulary: 152_064, tied: false, vision: 3456),
    tiny(),
  ]

  private static func size(
    _ name: String, hidden: Int, layers: Int, heads: Int, keyValueHeads: Int, feedForward: Int,
    vocabulary: Int, tied: Bool, vision: Int = 3420
  ) -> ModelSize {
    let config = Qwen25VLConfig(
      text: TextConfig(
        hiddenSize: hidden, layers: layers, heads: heads, keyValueHeads: keyValueHeads,
        intermediateSize: feedForward, vocabularySize: vocabulary, ropeTheta: 1_000_000,
        mropeSection: [16, 24, 24], rmsNormEpsilon: 1e-6, tieWordEmbeddings: tied,
        maxPositions: 128_000),
      vision: Vision(
        depth: 32, width: 1280, heads: 16, feedForward: vision, outputWidth: hidden))
    return ModelSize(
      name: name, config: config,
      preprocessor: ModelSize.preprocessor(
        patch: 14, minPixels: 3136, maxPixels: 12_845_056, mean: ModelSize.clip.mean,
        deviation: ModelSize.clip.deviation, processor: "Qwen2_5_VLProcessor"),
      sampling: ["do_sample": true, "repetition_penalty": 1.05, "temperature": 0.000001],
      otherMembers: ["vision_token_id": 151_654])
  }

  /// Sees the embedded data's images, with the tiny tokenizer.
  private static func tiny() -> ModelSize {
    let config = Qwen25VLConfig(
      text: TextConfig(
        hiddenSize: 64, layers: 4, heads: 2, keyValueHeads: 1, intermediateSize: 128,
        vocabularySize: 544, ropeTheta: 10_000, mropeSection: [2, 2, 12], rmsNormEpsilon: 1e-6,
        tieWordEmbeddings: true, maxPositions: 2048),
      vision: Vision(
        depth: 2, width: 48, heads: 4, feedForward: 96, outputWidth: 64, patchSize: 8,
        windowSize: 32, fullAttentionBlocks: [1]))
    return ModelSize(
      name: "tiny-qwen2.5-vl", config: config,
      preprocessor: ModelSize.preprocessor(
        patch: 8, minPixels: 4096, maxPixels: 4096, mean: ModelSize.clip.mean,
        deviation: ModelSize.clip.deviation, processor: "Qwen2_5_VLProcessor"),
      sampling: ["do_sample": false], isTiny: true)
  }
}

// MARK: Vision encoder

extension Qwen25VLConfig {
  public func visionEncoder(_ weights: WeightScope) -> any VisionEncoder {
    Qwen25VisionEncoder(vision, weights.scope("visual"))
  }
}

/// transformers' `Qwen2_5_VisionTransformerPretrainedModel`.
struct Qwen25VisionEncoder: VisionEncoder {
  private let shape: Qwen25VLConfig.Vision
  private let patchEmbedding: Parameter
  private let blocks: [EncoderBlock]
  private let merger: PatchMerger

  init(_ shape: Qwen25VLConfig.Vision, _ weights: WeightScope) {
    self.shape = shape
    let e = shape.width
    patchEmbedding = weights.parameter(
      "patch_embed.proj.weight",
      [e, shape.channels, shape.temporalPatchSize, shape.patchSize, shape.patchSize])
    blocks = (0..<shape.depth).map { number in
      let block = weights.scope("blocks.\(number)")
      return EncoderBlock(
        heads: AttentionHeads(
          heads: shape.heads, keyValueHeads: shape.heads, size: shape.headDimension),
        attentionNorm: block.rmsNorm("norm1", e, epsilon: 1e-6),
        projections: .fused(block.linear("attn.qkv", 3 * e, e, bias: true)),
        output: block.linear("attn.proj", e, e, bias: true),
        feedForwardNorm: block.rmsNorm("norm2", e, epsilon: 1e-6),
        feedForward: .gated(block, e, inner: shape.feedForward, bias: true))
    }
    merger = PatchMerger(
      norm: weights.rmsNorm("merger.ln_q", e, epsilon: 1e-6),
      first: weights.linear("merger.mlp.0", shape.mergedSize, shape.mergedSize, bias: true),
      second: weights.linear("merger.mlp.2", shape.outputWidth, shape.mergedSize, bias: true))
  }

  func callAsFunction(_ tape: Tape, _ batch: PackedBatch, checkpointing: Bool) -> Tensor {
    var order = PatchOrder(batch.images, merge: shape.mergeSize)
    let frames = order.layout
    // Windows lie together on the way through the blocks.
    let windows = PatchWindows(
      batch.images, merge: shape.mergeSize, window: shape.windowTokens)
    order.rearrange(windows.patches)
    let patches = tape.linear(batch.patchTensor(shape.patchDimension), patchEmbedding)
    let x = EncoderBlock.run(
      blocks, tape, tape.gatherRows(patches, windows.patches),
      rotation: order.rotation(headSize: shape.headDimension), checkpointing: checkpointing,
      layout: { shape.fullAttentionBlocks.contains($0) ? frames : windows.layout })
    return tape.gatherRows(merger(tape, x), windows.back)
  }
}

/// A batch's images cut into windows of merged tokens (transformers' `get_window_index`); those at the
/// right and lower edges are smaller.
struct PatchWindows {
  /// The places of the patches, window by window [patches].
  private(set) var patches: [Int] = []
  /// Where each token of the images is found behind the merger [tokens].
  private(set) var back: [Int] = []
  /// Every window for itself.
  private(set) var layout = AttentionLayout(samples: [], causal: false)

  /// - Parameters:
  ///   - merge: patches of a token along one side.
  ///   - window: tokens of a window along one side.
  init(_ grids: [ImageGrid], merge: Int, window: Int) {
    var tokens: [Int] = []
    var first = 0
    let perToken = merge * merge
    for grid in grids {
      let rows = grid.height / merge, columns = grid.width / merge
      for _ in 0..<grid.time {
        for top in stride(from: 0, to: rows, by: window) {
          for left in stride(from: 0, to: columns, by: window) {
            let start = tokens.count
            for row in top..<min(top + window, rows) {
              for column in left..<min(left + window, columns) {
                tokens.append(first + row * columns + column)
              }
            }
            layout.samples.append([.init(rows: start * perToken..<tokens.count * perToken)])
          }
        }
        first += rows * columns
      }
    }
    patches = tokens.flatMap { token in (0..<perToken).map { token * perToken + $0 } }
    back = [Int](repeating: 0, count: tokens.count)
    for (place, token) in tokens.enumerated() { back[token] = place }
  }
}
