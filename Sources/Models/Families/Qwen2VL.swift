import Artifacts
import Failures
import Imaging
import Kernels
import Tensors
import Tokenization

/// Qwen2-VL (Wang et al. 2024, "Qwen2-VL: Enhancing Vision-Language Model's Perception of the World
/// at Any Resolution"; transformers' `Qwen2VLForConditionalGeneration`).
///
/// Two dialects of its config.json are read: the hub's flat one (`hidden_size`, `rope_theta`,
/// `rope_scaling.mrope_section`, `vision_config.in_chans`) and the nested one of transformers 5
/// (`text_config`, `rope_parameters`, `vision_config.in_channels`). The hub's is written.
public struct Qwen2VLConfig: FlatConfig, MergedPatches, Sendable, Equatable {
  public static let modelType = "qwen2_vl"
  public static let familyName = "Qwen2-VL"
  public static let architecture = "Qwen2VLForConditionalGeneration"
  public static let names = TensorNames.qwen2
  public static let chat = ChatDialect.qwen2VL
  public static let hasAdaptedQuestions = true
  public static let published = ["2B", "7B", "72B"].flatMap {
    ["Qwen/Qwen2-VL-\($0)", "Qwen/Qwen2-VL-\($0)-Instruct"]
  }

  public typealias Text = TextConfig

  /// The vision encoder and its merger.
  public struct Vision: Sendable, Equatable {
    public var depth: Int
    public var embedDimension: Int
    public var heads: Int
    /// Width of a block's MLP over that of the encoder.
    public var mlpRatio: Double
    public var patchSize: Int
    public var temporalPatchSize: Int
    public var spatialMergeSize: Int
    public var inChannels: Int
    /// Width of what the merger puts out: the language model's.
    public var hiddenSize: Int

    public var headDimension: Int { embedDimension / heads }
    public var mlpSize: Int { Int(Double(embedDimension) * mlpRatio) }
    /// Width of the merger's inside: the patches of one merged token side by side.
    public var mergedSize: Int { embedDimension * spatialMergeSize * spatialMergeSize }
    /// Numbers of one patch: channels · frames · height · width.
    public var patchDimension: Int { inChannels * temporalPatchSize * patchSize * patchSize }

    public init(
      depth: Int, embedDimension: Int, heads: Int, mlpRatio: Double, patchSize: Int,
      temporalPatchSize: Int, spatialMergeSize: Int, inChannels: Int, hiddenSize: Int
    ) {
      self.depth = depth
      self.embedDimension = embedDimension
      self.heads = heads
      self.mlpRatio = mlpRatio
      self.patchSize = patchSize
      self.temporalPatchSize = temporalPatchSize
      self.spatialMergeSize = spatialMergeSize
      self.inChannels = inChannels
      self.hiddenSize = hiddenSize
    }
  }

  public var text: TextConfig
  public var vision: Vision
  public var imageTokenID: Int
  public var videoTokenID: Int
  public var visionStartTokenID: Int
  public var visionEndTokenID: Int
  public var bosTokenID: Int?
  public var eosTokenID: Int
  /// The element type that the config announces for the weights, if any.
  public var dtype: ElementType?

  public init(
    text: Text, vision: Vision, imageTokenID: Int, videoTokenID: Int, visionStartTokenID: Int,
    visionEndTokenID: Int, bosTokenID: Int? = nil, eosTokenID: Int, dtype: ElementType? = nil
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

extension Qwen2VLConfig {
  /// A member that is left out has the value that transformers' `Qwen2VLConfig` gives it.
  public init(_ json: JSON, place: String) throws {
    let (root, text, vision) = try ConfigSection.open(json, place: place)
    try vision.require("hidden_act", "quick_gelu")
    self.init(
      text: try TextConfig(text, root: root, .qwen2VL),
      vision: Vision(
        depth: try vision.size("depth", or: 32, atMost: ConfigLimit.blocks),
        embedDimension: try vision.size("embed_dim", or: 1280, atMost: ConfigLimit.width),
        heads: try vision.size("num_heads", or: 16, atMost: ConfigLimit.width),
        mlpRatio: try vision.number("mlp_ratio", or: 4),
        patchSize: try vision.size("patch_size", or: 14, atMost: ConfigLimit.patch),
        temporalPatchSize: try vision.size("temporal_patch_size", or: 2, atMost: ConfigLimit.few),
        spatialMergeSize: try vision.size("spatial_merge_size", or: 2, atMost: ConfigLimit.few),
        inChannels: try vision.size("in_channels", "in_chans", or: 3, atMost: ConfigLimit.few),
        hiddenSize: try vision.size("hidden_size", or: 3584, atMost: ConfigLimit.width)),
      imageTokenID: try root.token("image_token_id", or: 151_655),
      videoTokenID: try root.token("video_token_id", or: 151_656),
      visionStartTokenID: try root.token("vision_start_token_id", or: 151_652),
      visionEndTokenID: try root.token("vision_end_token_id", or: 151_653),
      bosTokenID: (text.json["bos_token_id"] ?? json["bos_token_id"])?.asInt,
      eosTokenID: try text.token(
        "eos_token_id", or: root.token("eos_token_id", or: 151_645)),
      dtype: ConfigSection.elementType(root, text))
    try check(place: place)
  }

  /// Throws 65 when numbers do not fit together.
  private func check(place: String) throws {
    func require(_ holds: Bool, _ what: String, _ expected: String, _ found: String) throws {
      try ConfigSection.require(holds, what, at: place, expected, found)
    }
    try require(
      vision.embedDimension % vision.heads == 0 && vision.headDimension % 4 == 0,
      "the vision encoder's width does not divide into heads",
      "a multiple of 4 for each of \(vision.heads) heads", "embed_dim \(vision.embedDimension)")
    try require(
      vision.hiddenSize == text.hiddenSize,
      "the merger's output is not as wide as the language model",
      "vision_config.hidden_size \(text.hiddenSize)", "\(vision.hiddenSize)")
    try require(
      vision.mlpRatio <= 64 && vision.mlpSize > 0, "mlp_ratio is out of range", "at most 64",
      "\(vision.mlpRatio)")
    try text.checkTokens(
      [imageTokenID, videoTokenID, visionStartTokenID, visionEndTokenID, eosTokenID], place: place)
  }

  /// The members of the hub's config.json.
  public var members: [String: JSON] {
    var vision: [String: JSON] = [
      "depth": .int(vision.depth), "embed_dim": .int(vision.embedDimension),
      "num_heads": .int(vision.heads),
      "mlp_ratio": vision.mlpRatio == vision.mlpRatio.rounded()
        ? .int(Int(vision.mlpRatio)) : .number(vision.mlpRatio),
      "patch_size": .int(vision.patchSize), "spatial_patch_size": .int(vision.patchSize),
      "temporal_patch_size": .int(vision.temporalPatchSize),
      "spatial_merge_size": .int(vision.spatialMergeSize), "in_chans": .int(vision.inChannels),
      "hidden_size": .int(vision.hiddenSize),
    ]
    // transformers reads this name alone; the hub leaves it out, for three is what it assumes.
    if self.vision.inChannels != 3 { vision["in_channels"] = .int(self.vision.inChannels) }
    return flatMembers(vision: vision)
  }

  /// As it was before other families were read: fingerprints of finished artifacts hang on it.
  public var fingerprintText: String {
    var all = members
    var vision = all["vision_config"]?.asObject ?? [:]
    vision["model_type"] = "qwen2_vl"
    vision["hidden_act"] = "quick_gelu"
    vision["in_channels"] = .int(self.vision.inChannels)
    all["vision_config"] = .object(vision)
    return JSON.object(all).text(pretty: true)
  }

  public func shortened(layers: Int, encoderBlocks: Int) -> Qwen2VLConfig {
    var config = self
    config.text.layers = layers
    config.vision.depth = encoderBlocks
    return config
  }

  public var encoder: EncoderShape {
    EncoderShape(
      depth: vision.depth, width: vision.embedDimension, feedForward: vision.mlpSize,
      patchSize: vision.patchSize, patchDimension: vision.patchDimension,
      patchesPerToken: vision.spatialMergeSize * vision.spatialMergeSize,
      projectorWidth: vision.mergedSize, outputWidth: vision.hiddenSize)
  }

  var merge: (patchSize: Int, temporalPatchSize: Int, mergeSize: Int) {
    (vision.patchSize, vision.temporalPatchSize, vision.spatialMergeSize)
  }
}

// MARK: Sizes

extension Qwen2VLConfig {
  public static let sizes: [ModelSize] = [
    // The heads of the tiny ones have more rows than the tokenizer, and unequally many, as
    // Qwen2-VL's have. Their base of the rotary frequencies is the usual 10,000: a low base turns
    // every channel within a few positions, and none is left for looking up a token by its content.
    // Their columns get most of the frequencies, so that some turn enough to tell four columns apart.
    size(
      "tiny-teacher", hidden: 128, layers: 6, heads: 4, keyValueHeads: 2, feedForward: 256,
      vocabulary: 552, tied: true, tinyVision: 64),
    size(
      "tiny-student", hidden: 64, layers: 4, heads: 2, keyValueHeads: 1, feedForward: 128,
      vocabulary: 544, tied: true, tinyVision: 48),
    size(
      "qwen2-vl-2b", hidden: 1536, layers: 28, heads: 12, keyValueHeads: 2, feedForward: 8960,
      vocabulary: 151_936, tied: true),
    size(
      "qwen2-vl-7b", hidden: 3584, layers: 28, heads: 28, keyValueHeads: 4, feedForward: 18_944,
      vocabulary: 152_064, tied: false),
    size(
      "qwen2-vl-72b", hidden: 8192, layers: 80, heads: 64, keyValueHeads: 8, feedForward: 29_568,
      vocabulary: 152_064, tied: false),
  ]

  /// - Parameter tinyVision: the encoder's width, in a tiny model.
  private static func size(
    _ name: String, hidden: Int, layers: Int, heads: Int, keyValueHeads: Int, feedForward: Int,
    vocabulary: Int, tied: Bool, tinyVision: Int? = nil
  ) -> ModelSize {
    let isTiny = tinyVision != nil, patch = isTiny ? 8 : 14
    let config = Qwen2VLConfig(
      text: TextConfig(
        hiddenSize: hidden, layers: layers, heads: heads, keyValueHeads: keyValueHeads,
        intermediateSize: feedForward, vocabularySize: vocabulary,
        ropeTheta: isTiny ? 10_000 : 1_000_000, mropeSection: isTiny ? [2, 2, 12] : [16, 24, 24],
        rmsNormEpsilon: 1e-6, tieWordEmbeddings: tied, maxPositions: isTiny ? 2048 : 32_768),
      vision: Vision(
        depth: isTiny ? 2 : 32, embedDimension: tinyVision ?? 1280, heads: isTiny ? 4 : 16,
        mlpRatio: 4, patchSize: patch, temporalPatchSize: 2, spatialMergeSize: 2, inChannels: 3,
        hiddenSize: hidden),
      imageTokenID: 151_655, videoTokenID: 151_656, visionStartTokenID: 151_652,
      visionEndTokenID: 151_653, bosTokenID: 151_643, eosTokenID: 151_645)
    return ModelSize(
      name: name, config: config,
      preprocessor: ModelSize.preprocessor(
        patch: patch, minPixels: isTiny ? 4096 : 3136, maxPixels: isTiny ? 4096 : 12_845_056,
        mean: ModelSize.clip.mean, deviation: ModelSize.clip.deviation,
        processor: "Qwen2VLProcessor"),
      // Greedy, as all evaluation here; the real ones as the hub has them, which comes to the same.
      sampling: isTiny
        ? ["do_sample": false]
        : [
          "do_sample": true, "repetition_penalty": 1.0, "temperature": 0.01, "top_k": 1,
          "top_p": 0.001,
        ],
      otherMembers: isTiny ? [:] : ["vision_token_id": 151_654], isTiny: isTiny)
  }
}

// MARK: Shared with Qwen2.5-VL

extension TensorNames {
  /// Flat on the hub; in sections from transformers 4.52 on.
  static let qwen2 = TensorNames(
    text: "model.", head: "lm_head.weight",
    renamed: [("model.visual.", "visual."), ("model.language_model.", "model.")])
}

extension TextConfig.Defaults {
  static let qwen2VL = TextConfig.Defaults(
    hiddenSize: 8192, layers: 80, heads: 64, keyValueHeads: 8, intermediateSize: 29_568,
    vocabularySize: 152_064, ropeTheta: 1_000_000, mropeSection: [16, 24, 24],
    rmsNormEpsilon: 1e-5, maxPositions: 32_768)
}

/// The special tokens that the Qwens' configs name.
protocol QwenTokens: ModelConfig {
  var imageTokenID: Int { get set }
  var videoTokenID: Int { get set }
  var visionStartTokenID: Int { get set }
  var visionEndTokenID: Int { get set }
  var bosTokenID: Int? { get set }
  var eosTokenID: Int { get set }
}

extension QwenTokens {
  public var namedTokens: [(text: String, id: Int)] {
    [("<|vision_start|>", visionStartTokenID), ("<|vision_end|>", visionEndTokenID)]
  }

  public func naming(_ id: (String) throws -> Int) rethrows -> Self {
    var config = self
    config.imageTokenID = try id("<|image_pad|>")
    config.videoTokenID = try id("<|video_pad|>")
    config.visionStartTokenID = try id("<|vision_start|>")
    config.visionEndTokenID = try id("<|vision_end|>")
    config.bosTokenID = try id("<|endoftext|>")
    config.eosTokenID = try id("<|im_end|>")
    return config
  }

  var tokenMembers: [String: JSON] {
    [
      "image_token_id": .int(imageTokenID), "video_token_id": .int(videoTokenID),
      "vision_start_token_id": .int(visionStartTokenID),
      "vision_end_token_id": .int(visionEndTokenID),
    ]
  }
}

extension Qwen2VLConfig: QwenTokens {}

extension FlatConfig where Self: QwenTokens {
  /// The members of a flat config.json.
  func flatMembers(vision: [String: JSON]) -> [String: JSON] {
    var members = text.members.merging(tokenMembers) { $1 }.merging(typeMember) { $1 }
    members["architectures"] = [.string(Self.architecture)]
    members["model_type"] = .string(Self.modelType)
    members["max_window_layers"] = .int(text.layers)
    members["sliding_window"] = .int(text.maxPositions)
    members["use_sliding_window"] = false
    members["rope_scaling"] = [
      "type": "mrope", "mrope_section": .array(text.mropeSection.map { .int($0) }),
    ]
    members["tie_word_embeddings"] = .bool(text.tieWordEmbeddings)
    members["vision_config"] = .object(vision)
    members["eos_token_id"] = .int(eosTokenID)
    if let bosTokenID { members["bos_token_id"] = .int(bosTokenID) }
    return members
  }
}

// MARK: Vision encoder

extension Qwen2VLConfig {
  public func visionEncoder(_ weights: WeightScope) -> any VisionEncoder {
    Qwen2VisionEncoder(vision, weights.scope("visual"))
  }
}

/// transformers' `Qwen2VisionTransformerPretrainedModel`.
struct Qwen2VisionEncoder: VisionEncoder {
  private let shape: Qwen2VLConfig.Vision
  private let patchEmbedding: Parameter
  private let blocks: [EncoderBlock]
  private let merger: PatchMerger

  init(_ shape: Qwen2VLConfig.Vision, _ weights: WeightScope) {
    self.shape = shape
    let e = shape.embedDimension
    patchEmbedding = weights.parameter(
      "patch_embed.proj.weight",
      [e, shape.inChannels, shape.temporalPatchSize, shape.patchSize, shape.patchSize])
    blocks = (0..<shape.depth).map { number in
      let block = weights.scope("blocks.\(number)")
      let norm1 = block.layerNorm("norm1", e), norm2 = block.layerNorm("norm2", e)
      return EncoderBlock(
        heads: AttentionHeads(
          heads: shape.heads, keyValueHeads: shape.heads, size: shape.headDimension),
        attentionNorm: norm1,
        projections: .fused(block.linear("attn.qkv", 3 * e, e, bias: true)),
        output: block.linear("attn.proj", e, e, bias: true), feedForwardNorm: norm2,
        feedForward: .plain(
          block.linear("mlp.fc1", shape.mlpSize, e, bias: true), .quickGELU,
          block.linear("mlp.fc2", e, shape.mlpSize, bias: true)))
    }
    merger = PatchMerger(
      norm: weights.layerNorm("merger.ln_q", e),
      first: weights.linear("merger.mlp.0", shape.mergedSize, shape.mergedSize, bias: true),
      second: weights.linear("merger.mlp.2", shape.hiddenSize, shape.mergedSize, bias: true))
  }

  func callAsFunction(_ tape: Tape, _ batch: PackedBatch, checkpointing: Bool) -> Tensor {
    let order = PatchOrder(batch.images, merge: shape.spatialMergeSize)
    let x = tape.linear(batch.patchTensor(shape.patchDimension), patchEmbedding)
    let layout = order.layout
    return merger(
      tape,
      EncoderBlock.run(
        blocks, tape, x, rotation: order.rotation(headSize: shape.headDimension),
        checkpointing: checkpointing, layout: { _ in layout }))
  }
}

/// Makes one token of neighbouring patches: norm, concatenation, two layers with a GELU between.
struct PatchMerger {
  let norm: Norm
  /// The norm is applied to the patches side by side, not to each.
  var normsMerged = false
  let first: Linear
  let second: Linear

  /// [tokens, d] of patches [patches, width].
  func callAsFunction(_ tape: Tape, _ x: Tensor) -> Tensor {
    let width = first.weight.columns
    func merged(_ x: Tensor) -> Tensor { x.reshaped([x.count / width, width]) }
    let inner = normsMerged ? norm(tape, merged(x)) : merged(norm(tape, x))
    return second(tape, tape.gelu(first(tape, inner)))
  }
}
