import Artifacts
import Failures
import Imaging
import Kernels
import Tensors
import Tokenization

/// Qwen3-VL, the dense models (Qwen team 2025; transformers' `Qwen3VLForConditionalGeneration`): a
/// language model with norms on queries and keys, heads of their own width and M-RoPE whose axes take
/// turns; a vision encoder with learned positions, interpolated to the image's grid, from three of
/// whose blocks features go to the first blocks of the language model too (deepstack).
public struct Qwen3VLConfig: MergedPatches, QwenTokens, Sendable, Equatable {
  public static let modelType = "qwen3_vl"
  public static let familyName = "Qwen3-VL"
  public static let architecture = "Qwen3VLForConditionalGeneration"
  public static let names = TensorNames(
    text: "model.language_model.", head: "lm_head.weight", renamed: [])
  public static let chat = ChatDialect.qwen3VL
  public static let hasAdaptedQuestions = true
  public static let published = ["2B", "4B", "8B", "32B"].map { "Qwen/Qwen3-VL-\($0)-Instruct" }

  /// The vision encoder and its mergers.
  public struct Vision: Sendable, Equatable {
    public var depth: Int
    public var width: Int
    public var heads: Int
    public var feedForward: Int
    /// Width of what the mergers put out: the language model's.
    public var outputWidth: Int
    public var patchSize: Int
    public var temporalPatchSize: Int
    public var mergeSize: Int
    public var channels: Int
    /// Learned positions, a square of them.
    public var positions: Int
    /// The blocks, from 0, whose output goes to the language model's first blocks, in order.
    public var deepBlocks: [Int]

    public init(
      depth: Int, width: Int, heads: Int, feedForward: Int, outputWidth: Int, patchSize: Int = 16,
      temporalPatchSize: Int = 2, mergeSize: Int = 2, channels: Int = 3, positions: Int = 2304,
      deepBlocks: [Int] = [8, 16, 24]
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
      self.positions = positions
      self.deepBlocks = deepBlocks
    }

    public var headDimension: Int { width / heads }
    /// Learned positions along one side.
    var side: Int { Int(Double(positions).squareRoot()) }
    var mergedSize: Int { width * mergeSize * mergeSize }
    var patchDimension: Int { channels * temporalPatchSize * patchSize * patchSize }
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
    self.text.queryKeyNorms = true
    self.text.interleavedMRoPE = true
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

extension Qwen3VLConfig {
  private static let textDefaults = TextConfig.Defaults(
    hiddenSize: 4096, layers: 32, heads: 32, keyValueHeads: 32, intermediateSize: 22_016,
    vocabularySize: 151_936, ropeTheta: 500_000, mropeSection: [24, 20, 20], rmsNormEpsilon: 1e-6,
    maxPositions: 128_000, headDimension: 128, readsTextTie: false)

  /// A member that is left out has the value that transformers' `Qwen3VLConfig` gives it.
  public init(_ json: JSON, place: String) throws {
    let (root, text, vision) = try ConfigSection.open(json, place: place)
    try vision.require("hidden_act", "gelu_pytorch_tanh")
    var numbers = try TextConfig(text, root: root, Qwen3VLConfig.textDefaults)
    numbers.attentionBias = try text.flag("attention_bias") ?? false
    guard !numbers.attentionBias else {
      throw Failure(
        .badData, "unsupported \"attention_bias\"", at: text.place, expected: "false",
        found: "true")
    }
    self.init(
      text: numbers,
      vision: Vision(
        depth: try vision.size("depth", or: 27, atMost: ConfigLimit.blocks),
        width: try vision.size("hidden_size", or: 1152, atMost: ConfigLimit.width),
        heads: try vision.size("num_heads", or: 16, atMost: ConfigLimit.width),
        feedForward: try vision.size("intermediate_size", or: 4304, atMost: ConfigLimit.vocabulary),
        outputWidth: try vision.size("out_hidden_size", or: 3584, atMost: ConfigLimit.width),
        patchSize: try vision.size("patch_size", or: 16, atMost: ConfigLimit.patch),
        temporalPatchSize: try vision.size("temporal_patch_size", or: 2, atMost: ConfigLimit.few),
        mergeSize: try vision.size("spatial_merge_size", or: 2, atMost: ConfigLimit.few),
        channels: try vision.size("in_channels", "in_chans", or: 3, atMost: ConfigLimit.few),
        positions: try vision.size(
          "num_position_embeddings", or: 2304, atMost: ConfigLimit.vocabulary),
        deepBlocks: try vision.numbers(
          "deepstack_visual_indexes", or: [8, 16, 24], atMost: ConfigLimit.blocks)),
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
    func require(_ holds: Bool, _ what: String, _ expected: String, _ found: String) throws {
      try ConfigSection.require(holds, what, at: place, expected, found)
    }
    try requireHeads(vision.width, vision.heads, place: place)
    try requireOutput(vision.outputWidth, "out_hidden_size", place: place)
    try require(
      vision.side * vision.side == vision.positions, "the learned positions are no square",
      "a square number", "num_position_embeddings \(vision.positions)")
    try require(
      vision.deepBlocks.count <= ConfigLimit.few
        && zip(vision.deepBlocks, vision.deepBlocks.dropFirst()).allSatisfy { $0 < $1 }
        && vision.deepBlocks.allSatisfy { $0 < vision.depth },
      "deepstack_visual_indexes does not fit the encoder",
      "ascending numbers below \(vision.depth)", "\(vision.deepBlocks)")
    try require(
      vision.deepBlocks.count < text.layers,
      "more deepstack features than blocks of the language model before the last",
      "at most \(text.layers - 1)", "\(vision.deepBlocks.count)")
    try text.checkTokens(
      [imageTokenID, videoTokenID, visionStartTokenID, visionEndTokenID, eosTokenID], place: place)
  }

  /// The members of the hub's config.json.
  public var members: [String: JSON] {
    let vision: JSON = [
      "depth": .int(vision.depth), "hidden_act": "gelu_pytorch_tanh",
      "hidden_size": .int(vision.width), "initializer_range": 0.02,
      "intermediate_size": .int(vision.feedForward), "model_type": "qwen3_vl",
      "num_heads": .int(vision.heads), "num_position_embeddings": .int(vision.positions),
      "out_hidden_size": .int(vision.outputWidth), "patch_size": .int(vision.patchSize),
      "temporal_patch_size": .int(vision.temporalPatchSize),
      "spatial_merge_size": .int(vision.mergeSize), "in_channels": .int(vision.channels),
      "deepstack_visual_indexes": .array(vision.deepBlocks.map { .int($0) }),
    ]
    var inner = text.members.merging(typeMember) { $1 }
    inner["dtype"] = inner.removeValue(forKey: "torch_dtype")
    inner["model_type"] = "qwen3_vl_text"
    inner["head_dim"] = .int(text.headDimension)
    inner["attention_bias"] = .bool(text.attentionBias)
    inner["rope_scaling"] = [
      "mrope_interleaved": true, "rope_type": "default",
      "mrope_section": .array(text.mropeSection.map { .int($0) }),
    ]
    inner["eos_token_id"] = .int(eosTokenID)
    if let bosTokenID { inner["bos_token_id"] = .int(bosTokenID) }
    inner["tie_word_embeddings"] = .bool(text.tieWordEmbeddings)
    var members = tokenMembers
    members["architectures"] = [.string(Self.architecture)]
    members["model_type"] = .string(Self.modelType)
    members["tie_word_embeddings"] = .bool(text.tieWordEmbeddings)
    members["text_config"] = .object(inner)
    members["vision_config"] = vision
    return members
  }

  public func shortened(layers: Int, encoderBlocks: Int) -> Qwen3VLConfig {
    var config = self
    config.text.layers = layers
    config.vision.depth = encoderBlocks
    // As many levels as before, as far as there are blocks for them.
    let kept = Swift.min(vision.deepBlocks.count, encoderBlocks, layers - 1)
    config.vision.deepBlocks = vision.deepBlocks.prefix(kept).enumerated().map { number, block in
      Swift.min(block, encoderBlocks - kept + number)
    }
    return config
  }

  public var encoder: EncoderShape {
    EncoderShape(
      depth: vision.depth, width: vision.width, feedForward: vision.feedForward,
      patchSize: vision.patchSize, patchDimension: vision.patchDimension,
      patchesPerToken: vision.mergeSize * vision.mergeSize, projectorWidth: vision.mergedSize,
      outputWidth: vision.outputWidth, deepLevels: vision.deepBlocks.count)
  }

  var merge: (patchSize: Int, temporalPatchSize: Int, mergeSize: Int) {
    (vision.patchSize, vision.temporalPatchSize, vision.mergeSize)
  }
}

// MARK: Sizes

extension Qwen3VLConfig {
  private static let small = Vision(
    depth: 24, width: 1024, heads: 16, feedForward: 4096, outputWidth: 0, deepBlocks: [5, 11, 17])
  private static let large = Vision(
    depth: 27, width: 1152, heads: 16, feedForward: 4304, outputWidth: 0)

  public static let sizes: [ModelSize] = [
    size(
      "qwen3-vl-2b", hidden: 2048, layers: 28, heads: 16, feedForward: 6144, tied: true, small),
    size(
      "qwen3-vl-4b", hidden: 2560, layers: 36, heads: 32, feedForward: 9728, tied: true, small),
    size(
      "qwen3-vl-8b", hidden: 4096, layers: 36, heads: 32, feedForward: 12_288, tied: false, large),
    size(
      "qwen3-vl-32b", hidden: 5120, layers: 64, heads: 64, feedForward: 25_600, tied: false, large),
    tiny(),
  ]

  private static func size(
    _ name: String, hidden: Int, layers: Int, heads: Int, feedForward: Int, tied: Bool,
    _ vision: Vision
  ) -> ModelSize {
    var vision = vision
    vision.outputWidth = hidden
    return ModelSize(
      name: name,
      config: Qwen3VLConfig(
        text: TextConfig(
          hiddenSize: hidden, layers: layers, heads: heads, keyValueHeads: 8,
          intermediateSize: feedForward, vocabularySize: 151_936, ropeTheta: 5_000_000,
          mropeSection: [24, 20, 20], rmsNormEpsilon: 1e-6, tieWordEmbeddings: tied,
          maxPositions: 262_144, headDimension: 128, attentionBias: false),
        vision: vision),
      preprocessor: preprocessor(patch: 16, minPixels: 65_536, maxPixels: 16_777_216),
      sampling: [
        "do_sample": true, "repetition_penalty": 1.0, "temperature": 0.7, "top_k": 20,
        "top_p": 0.8,
      ])
  }

  private static func preprocessor(patch: Int, minPixels: Int, maxPixels: Int) -> JSON {
    ModelSize.preprocessor(
      patch: patch, minPixels: minPixels, maxPixels: maxPixels, mean: [0.5, 0.5, 0.5],
      deviation: [0.5, 0.5, 0.5], processor: "Qwen3VLProcessor")
  }

  /// Sees the embedded data's images, with the tiny tokenizer.
  private static func tiny() -> ModelSize {
    ModelSize(
      name: "tiny-qwen3-vl",
      config: Qwen3VLConfig(
        text: TextConfig(
          hiddenSize: 64, layers: 4, heads: 2, keyValueHeads: 1, intermediateSize: 128,
          vocabularySize: 544, ropeTheta: 10_000, mropeSection: [6, 5, 5], rmsNormEpsilon: 1e-6,
          tieWordEmbeddings: true, maxPositions: 2048, headDimension: 32, attentionBias: false),
        vision: Vision(
          depth: 2, width: 48, heads: 4, feedForward: 96, outputWidth: 64, patchSize: 8,
          positions: 16, deepBlocks: [0])),
      preprocessor: preprocessor(patch: 8, minPixels: 4096, maxPixels: 4096),
      sampling: ["do_sample": false], isTiny: true)
  }
}

// MARK: Vision encoder

extension Qwen3VLConfig {
  public func visionEncoder(_ weights: WeightScope) -> any VisionEncoder {
    Qwen3VisionEncoder(vision, weights.scope("model").scope("visual"))
  }
}

/// transformers' `Qwen3VLVisionModel`.
struct Qwen3VisionEncoder: VisionEncoder {
  private let shape: Qwen3VLConfig.Vision
  private let patchEmbedding: Linear
  /// [positions, width]
  private let positions: Parameter
  private let blocks: [EncoderBlock]
  private let merger: PatchMerger
  private let deepMergers: [PatchMerger]

  init(_ shape: Qwen3VLConfig.Vision, _ weights: WeightScope) {
    self.shape = shape
    let e = shape.width, merged = shape.mergedSize
    patchEmbedding = Linear(
      name: "patch_embed.proj",
      weight: weights.parameter(
        "patch_embed.proj.weight",
        [e, shape.channels, shape.temporalPatchSize, shape.patchSize, shape.patchSize]),
      bias: weights.parameter("patch_embed.proj.bias", [e]))
    positions = weights.parameter("pos_embed.weight", [shape.positions, e])
    blocks = (0..<shape.depth).map { number in
      let block = weights.scope("blocks.\(number)")
      return EncoderBlock(
        heads: AttentionHeads(
          heads: shape.heads, keyValueHeads: shape.heads, size: shape.headDimension),
        attentionNorm: block.layerNorm("norm1", e),
        projections: .fused(block.linear("attn.qkv", 3 * e, e, bias: true)),
        output: block.linear("attn.proj", e, e, bias: true),
        feedForwardNorm: block.layerNorm("norm2", e),
        feedForward: .plain(
          block.linear("mlp.linear_fc1", shape.feedForward, e, bias: true), .geluTanh,
          block.linear("mlp.linear_fc2", e, shape.feedForward, bias: true)))
    }
    func merger(_ scope: WeightScope, normsMerged: Bool) -> PatchMerger {
      PatchMerger(
        norm: scope.layerNorm("norm", normsMerged ? merged : e), normsMerged: normsMerged,
        first: scope.linear("linear_fc1", merged, merged, bias: true),
        second: scope.linear("linear_fc2", shape.outputWidth, merged, bias: true))
    }
    self.merger = merger(weights.scope("merger"), normsMerged: false)
    deepMergers = shape.deepBlocks.indices.map {
      merger(weights.scope("deepstack_merger_list.\($0)"), normsMerged: true)
    }
  }

  func callAsFunction(_ tape: Tape, _ batch: PackedBatch, checkpointing: Bool) -> Tensor {
    let order = PatchOrder(batch.images, merge: shape.mergeSize)
    let x = tape.add(
      patchEmbedding(tape, batch.patchTensor(shape.patchDimension)),
      interpolatedPositions(tape, batch.images, order))
    let layout = order.layout
    var levels: [Tensor] = []
    let last = EncoderBlock.run(
      blocks, tape, x, rotation: order.rotation(headSize: shape.headDimension),
      checkpointing: checkpointing, layout: { _ in layout }
    ) { number, x in
      if let level = shape.deepBlocks.firstIndex(of: number) {
        levels.append(deepMergers[level](tape, x))
      }
    }
    return tape.sideBySide([merger(tape, last)] + levels)
  }

  /// The learned positions, stretched over every image's grid: bilinear, corners on corners
  /// (transformers' `fast_pos_embed_interpolate`).
  private func interpolatedPositions(
    _ tape: Tape, _ images: [ImageGrid], _ order: PatchOrder
  ) -> Tensor {
    let side = shape.side
    func place(_ index: Int32, of count: Int) -> (low: Int, high: Int, share: Float) {
      let place = Float(index) * Float(side - 1) / Float(max(count - 1, 1))
      let low = Int(place)
      return (low, min(low + 1, side - 1), place - Float(low))
    }
    var taps: [[(row: Int, weight: Float)]] = []
    var patch = 0
    for grid in images {
      for _ in 0..<grid.patches {
        let y = place(order.row[patch], of: grid.height)
        let x = place(order.column[patch], of: grid.width)
        taps.append([
          (y.low * side + x.low, (1 - y.share) * (1 - x.share)),
          (y.low * side + x.high, (1 - y.share) * x.share),
          (y.high * side + x.low, y.share * (1 - x.share)),
          (y.high * side + x.high, y.share * x.share),
        ])
        patch += 1
      }
    }
    let table = tape.embedding((0..<Int32(shape.positions)).map { $0 }, positions)
    return tape.weightedRows(table, taps)
  }
}
