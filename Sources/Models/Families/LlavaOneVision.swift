import Artifacts
import Failures
import Foundation
import Imaging
import Kernels
import Tensors
import Tokenization

/// LLaVA-OneVision (Li et al. 2024, "LLaVA-OneVision: Easy Visual Task Transfer"; transformers'
/// `LlavaOnevisionForConditionalGeneration`): Qwen2 behind a SigLIP encoder and a projector of two
/// layers. An image is seen as a whole and, where it is the conversation's only one, in tiles
/// ("any resolution") with a learned vector at the end of every row.
public struct LlavaOneVisionConfig: ModelConfig, Sendable, Equatable {
  public static let modelType = "llava_onevision"
  public static let familyName = "LLaVA-OneVision"
  public static let architecture = "LlavaOnevisionForConditionalGeneration"
  public static let names = TensorNames(
    text: "language_model.model.", head: "language_model.lm_head.weight",
    renamed: [
      ("model.vision_tower.vision_model.", "vision_tower.vision_model."),
      ("model.vision_tower.", "vision_tower.vision_model."),
      ("vision_tower.vision_model.", "vision_tower.vision_model."),
      ("vision_tower.", "vision_tower.vision_model."),
      ("model.multi_modal_projector.", "multi_modal_projector."),
      ("model.image_newline", "image_newline"),
      ("model.language_model.", "language_model.model."),
      ("lm_head.", "language_model.lm_head."),
    ])
  public static let chat = ChatDialect.llavaOneVision
  public static let published = ["0.5b", "7b", "72b"].flatMap {
    [
      "llava-hf/llava-onevision-qwen2-\($0)-ov-hf",
      "llava-hf/llava-onevision-qwen2-\($0)-ov-chat-hf",
    ]
  }

  /// The SigLIP encoder.
  public struct Vision: Sendable, Equatable {
    public var depth: Int
    public var width: Int
    public var heads: Int
    public var feedForward: Int
    public var imageSize: Int
    public var patchSize: Int
    public var channels: Int
    public var epsilon: Float

    public init(
      depth: Int, width: Int, heads: Int, feedForward: Int, imageSize: Int = 384,
      patchSize: Int = 14, channels: Int = 3, epsilon: Float = 1e-6
    ) {
      self.depth = depth
      self.width = width
      self.heads = heads
      self.feedForward = feedForward
      self.imageSize = imageSize
      self.patchSize = patchSize
      self.channels = channels
      self.epsilon = epsilon
    }

    public var headDimension: Int { width / heads }
    /// Patches of a tile along one side; what does not fill one is not seen.
    public var side: Int { imageSize / patchSize }
    var patchDimension: Int { channels * patchSize * patchSize }
  }

  public var text: TextConfig
  public var vision: Vision
  /// The sizes that tiles can fill together, (height, width) in pixels, in their order.
  public var pinpoints: [ImageTiling.Size]
  /// The most tiles' worth of features that an image keeps: N of `anyres_max_N`.
  public var mostTiles: Int
  public var imageTokenID: Int
  public var videoTokenID: Int
  public var bosTokenID: Int?
  public var eosTokenID: Int
  public var dtype: ElementType?

  public init(
    text: TextConfig, vision: Vision, pinpoints: [ImageTiling.Size], mostTiles: Int = 9,
    imageTokenID: Int = 151_646, videoTokenID: Int = 151_647, bosTokenID: Int? = 151_643,
    eosTokenID: Int = 151_645, dtype: ElementType? = nil
  ) {
    self.text = text
    self.vision = vision
    self.pinpoints = pinpoints
    self.mostTiles = mostTiles
    self.imageTokenID = imageTokenID
    self.videoTokenID = videoTokenID
    self.bosTokenID = bosTokenID
    self.eosTokenID = eosTokenID
    self.dtype = dtype
  }
}

// MARK: config.json

extension LlavaOneVisionConfig {
  /// A member that is left out has the value that transformers' `LlavaOnevisionConfig` gives it.
  public init(_ json: JSON, place: String) throws {
    let (root, text, vision) = try ConfigSection.open(json, place: place)
    try text.require("model_type", "qwen2")
    try vision.require("model_type", "siglip_vision_model")
    try vision.require("hidden_act", "gelu_pytorch_tanh")
    try vision.require("vision_use_head", false)
    for (name, value) in [
      ("vision_feature_layer", -1), ("vision_feature_select_strategy", "full"),
      ("projector_hidden_act", "gelu"), ("multimodal_projector_bias", true),
    ] as [(String, JSON)] { try root.require(name, value) }
    let aspect = root.json["vision_aspect_ratio"]?.asString ?? "anyres_max_9"
    guard aspect.hasPrefix("anyres_max_"), let most = Int(aspect.dropFirst("anyres_max_".count)),
      (1...ConfigLimit.blocks).contains(most)
    else {
      throw Failure(
        .badData, "unsupported \"vision_aspect_ratio\"", at: place, expected: "anyres_max_N",
        found: String(aspect.prefix(60)))
    }
    self.init(
      text: try TextConfig(text, root: root, .qwen2),
      vision: Vision(
        depth: try vision.size("num_hidden_layers", or: 26, atMost: ConfigLimit.blocks),
        width: try vision.size("hidden_size", or: 1152, atMost: ConfigLimit.width),
        heads: try vision.size("num_attention_heads", or: 16, atMost: ConfigLimit.width),
        feedForward: try vision.size("intermediate_size", or: 4304, atMost: ConfigLimit.vocabulary),
        imageSize: try vision.size("image_size", or: 384, atMost: 1 << 13),
        patchSize: try vision.size("patch_size", or: 14, atMost: ConfigLimit.patch),
        channels: try vision.size("num_channels", or: 3, atMost: ConfigLimit.few),
        epsilon: Float(try vision.number("layer_norm_eps", or: 1e-6))),
      pinpoints: try ImageTiling.sizes(root.json["image_grid_pinpoints"], place: place),
      mostTiles: most,
      imageTokenID: try root.token("image_token_index", "image_token_id", or: 151_646),
      videoTokenID: try root.token("video_token_index", "video_token_id", or: 151_647),
      bosTokenID: text.json["bos_token_id"]?.asInt,
      eosTokenID: try text.token("eos_token_id", or: root.token("eos_token_id", or: 151_645)),
      dtype: ConfigSection.elementType(root, text))
    try ConfigSection.require(
      self.vision.width % self.vision.heads == 0,
      "the vision encoder's width does not divide into heads", at: place,
      "a multiple of \(self.vision.heads)", "hidden_size \(self.vision.width)")
    try ConfigSection.require(
      self.vision.side > 0, "a patch is larger than the image", at: place,
      "image_size of at least \(self.vision.patchSize)", "\(self.vision.imageSize)")
    try self.text.checkTokens([imageTokenID, videoTokenID, eosTokenID], place: place)
  }

  /// The members of the hub's config.json.
  public var members: [String: JSON] {
    let vision: JSON = [
      "hidden_size": .int(vision.width), "image_size": .int(vision.imageSize),
      "intermediate_size": .int(vision.feedForward), "model_type": "siglip_vision_model",
      "num_attention_heads": .int(vision.heads), "num_hidden_layers": .int(vision.depth),
      "num_channels": .int(vision.channels), "patch_size": .int(vision.patchSize),
      "layer_norm_eps": .number(TextConfig.shortest(vision.epsilon)),
      "hidden_act": "gelu_pytorch_tanh", "vision_use_head": false,
    ]
    var inner = text.members
    inner["model_type"] = "qwen2"
    inner["use_sliding_window"] = false
    inner["eos_token_id"] = .int(eosTokenID)
    if let bosTokenID { inner["bos_token_id"] = .int(bosTokenID) }
    inner["tie_word_embeddings"] = .bool(text.tieWordEmbeddings)
    var members = typeMember
    members["architectures"] = [.string(Self.architecture)]
    members["model_type"] = .string(Self.modelType)
    members["image_grid_pinpoints"] = .array(
      pinpoints.map { [.int($0.height), .int($0.width)] })
    members["image_token_index"] = .int(imageTokenID)
    members["video_token_index"] = .int(videoTokenID)
    members["projector_hidden_act"] = "gelu"
    members["tie_word_embeddings"] = .bool(text.tieWordEmbeddings)
    members["vision_aspect_ratio"] = .string("anyres_max_\(mostTiles)")
    members["vision_feature_layer"] = -1
    members["vision_feature_select_strategy"] = "full"
    members["text_config"] = .object(inner)
    members["vision_config"] = vision
    return members
  }

  public func shortened(layers: Int, encoderBlocks: Int) -> LlavaOneVisionConfig {
    var config = self
    config.text.layers = layers
    config.vision.depth = encoderBlocks
    return config
  }

  public var encoder: EncoderShape {
    EncoderShape(
      depth: vision.depth, width: vision.width, feedForward: vision.feedForward,
      patchSize: vision.patchSize, patchDimension: vision.patchDimension, patchesPerToken: 1,
      projectorWidth: text.hiddenSize, outputWidth: text.hiddenSize)
  }

  public var namedTokens: [(text: String, id: Int)] { [] }

  public func processorMatches(
    _ processor: ImageProcessor
  ) -> [(what: String, here: String, there: String)] {
    func text(_ sizes: [ImageTiling.Size]?) -> String {
      sizes.map { $0.map { "\($0.height) x \($0.width)" }.joined(separator: ", ") } ?? "none"
    }
    return [
      (
        "size of a tile", processor.tiling.map { "\($0.tile)" } ?? "none", "\(vision.imageSize)"
      ),
      ("image_grid_pinpoints", text(processor.tiling?.pinpoints), text(pinpoints)),
      ("patch size", "\(processor.patchSize)", "\(vision.patchSize)"),
    ]
  }

  public func naming(_ id: (String) throws -> Int) rethrows -> LlavaOneVisionConfig {
    var config = self
    config.imageTokenID = try id("<image>")
    config.videoTokenID = try id("<video>")
    config.bosTokenID = try id("<|endoftext|>")
    config.eosTokenID = try id("<|im_end|>")
    return config
  }

  // MARK: Images

  public func positions(_ grid: ImageGrid) -> (time: Int, height: Int, width: Int)? { nil }

  /// Those of the whole image and of the rows of the tiles, each with its end.
  public func imageTokens(_ grid: ImageGrid) -> Int? {
    let side = vision.side
    guard grid.height == side, grid.width == side else { return nil }
    guard let original = grid.original else { return grid.time == 1 ? side * side + 1 : nil }
    guard let seen = view(original), grid.time == seen.tiles else { return nil }
    return side * side + seen.shrunk.height * (seen.shrunk.width + 1)
  }

  /// How the features of an image's tiles are put together (`pack_image_features`).
  struct View {
    /// The whole image's included.
    var tiles: Int
    /// Of the tiles' features, side by side.
    var full: ImageTiling.Size
    /// The rows and columns that lie on the image, not on its padding.
    var rows: Range<Int>
    var columns: Range<Int>
    /// What they are shrunk to.
    var shrunk: ImageTiling.Size
  }

  func view(_ original: ImageTiling.Size) -> View? {
    guard original.height > 0, original.width > 0,
      let best = ImageTiling.best(pinpoints, for: original)
    else { return nil }
    let side = vision.side
    let down = best.height / vision.imageSize, across = best.width / vision.imageSize
    let full = ImageTiling.Size(height: down * side, width: across * side)
    var rows = 0..<full.height, columns = 0..<full.width
    func margin(_ whole: Int, _ part: Double) -> Int {
      (whole - Int((part * 1e7).rounded(.toNearestOrEven) / 1e7)) / 2
    }
    let (height, width) = (Double(original.height), Double(original.width))
    if width / height > Double(full.width) / Double(full.height) {
      let cut = margin(full.height, height * (Double(full.width) / width))
      rows = cut..<full.height - cut
    } else {
      let cut = margin(full.width, width * (Double(full.height) / height))
      columns = cut..<full.width - cut
    }
    var shrunk = ImageTiling.Size(height: rows.count, width: columns.count)
    let ratio = (Double(rows.count * columns.count) / Double(mostTiles * side * side)).squareRoot()
    if ratio > 1.1 {
      shrunk.height = Self.wholeQuotient(rows.count, ratio)
      shrunk.width = Self.wholeQuotient(columns.count, ratio)
    }
    return View(
      tiles: down * across + 1, full: full, rows: rows, columns: columns, shrunk: shrunk)
  }

  /// Python's `//` of floats, which looks at the remainder, not at the rounded quotient.
  private static func wholeQuotient(_ number: Int, _ divisor: Double) -> Int {
    let number = Double(number)
    return Int(((number - fmod(number, divisor)) / divisor).rounded())
  }

  public func visionEncoder(_ weights: WeightScope) -> any VisionEncoder {
    OneVisionEncoder(self, weights)
  }
}

// MARK: Sizes

extension LlavaOneVisionConfig {
  public static let sizes: [ModelSize] = [
    size(
      "llava-onevision-0.5b", hidden: 896, layers: 24, heads: 14, keyValueHeads: 2,
      feedForward: 4864, vocabulary: 152_000, tied: true),
    size(
      "llava-onevision-7b", hidden: 3584, layers: 28, heads: 28, keyValueHeads: 4,
      feedForward: 18_944, vocabulary: 152_128, tied: false),
    size(
      "llava-onevision-72b", hidden: 8192, layers: 80, heads: 64, keyValueHeads: 8,
      feedForward: 29_568, vocabulary: 152_128, tied: false),
  ]

  private static func size(
    _ name: String, hidden: Int, layers: Int, heads: Int, keyValueHeads: Int, feedForward: Int,
    vocabulary: Int, tied: Bool
  ) -> ModelSize {
    let sides = (1...6).map { $0 * 384 }
    let pinpoints = sides.flatMap { height in
      sides.map { ImageTiling.Size(height: height, width: $0) }
    }
    return ModelSize(
      name: name,
      config: LlavaOneVisionConfig(
        text: TextConfig(
          hiddenSize: hidden, layers: layers, heads: heads, keyValueHeads: keyValueHeads,
          intermediateSize: feedForward, vocabularySize: vocabulary, ropeTheta: 1_000_000,
          mropeSection: [], rmsNormEpsilon: 1e-6, tieWordEmbeddings: tied, maxPositions: 32_768),
        vision: Vision(depth: 26, width: 1152, heads: 16, feedForward: 4304),
        pinpoints: pinpoints),
      preprocessor: [
        "do_convert_rgb": true, "do_normalize": true, "do_pad": true, "do_rescale": true,
        "do_resize": true,
        "image_grid_pinpoints": .array(pinpoints.map { [.int($0.height), .int($0.width)] }),
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "processor_class": "LlavaOnevisionProcessor", "resample": 3,
        "rescale_factor": 0.00392156862745098, "size": ["height": 384, "width": 384],
      ],
      sampling: [:])
  }
}

// MARK: Vision encoder

/// transformers' `SiglipVisionModel` with `LlavaOnevisionMultiModalProjector` and
/// `pack_image_features`.
struct OneVisionEncoder: VisionEncoder {
  private let config: LlavaOneVisionConfig
  /// What ends every row of tiles' features [d].
  private let newline: Parameter
  private let patchEmbedding: Linear
  /// [patches of a tile, width]
  private let positions: Parameter
  private let blocks: [EncoderBlock]
  private let first: Linear
  private let second: Linear

  init(_ config: LlavaOneVisionConfig, _ weights: WeightScope) {
    self.config = config
    let shape = config.vision, e = shape.width, d = config.text.hiddenSize
    newline = weights.parameter("image_newline", [d])
    let tower = weights.scope("vision_tower.vision_model")
    patchEmbedding = Linear(
      name: "embeddings.patch_embedding",
      weight: tower.parameter(
        "embeddings.patch_embedding.weight", [e, shape.channels, shape.patchSize, shape.patchSize]),
      bias: tower.parameter("embeddings.patch_embedding.bias", [e]))
    positions = tower.parameter(
      "embeddings.position_embedding.weight", [shape.side * shape.side, e])
    blocks = (0..<shape.depth).map { number in
      let block = tower.scope("encoder.layers.\(number)")
      func attention(_ name: String) -> Linear {
        block.linear("self_attn.\(name)", e, e, bias: true)
      }
      return EncoderBlock(
        heads: AttentionHeads(
          heads: shape.heads, keyValueHeads: shape.heads, size: shape.headDimension),
        attentionNorm: block.layerNorm("layer_norm1", e, epsilon: shape.epsilon),
        projections: .separate(
          q: attention("q_proj"), k: attention("k_proj"), v: attention("v_proj")),
        output: attention("out_proj"),
        feedForwardNorm: block.layerNorm("layer_norm2", e, epsilon: shape.epsilon),
        feedForward: .plain(
          block.linear("mlp.fc1", shape.feedForward, e, bias: true), .geluTanh,
          block.linear("mlp.fc2", e, shape.feedForward, bias: true)))
    }
    // The checkpoint has it; the features are taken before it.
    _ = tower.layerNorm("post_layernorm", e, epsilon: shape.epsilon)
    first = weights.linear("multi_modal_projector.linear_1", d, e, bias: true)
    second = weights.linear("multi_modal_projector.linear_2", d, d, bias: true)
  }

  func callAsFunction(_ tape: Tape, _ batch: PackedBatch, checkpointing: Bool) -> Tensor {
    let shape = config.vision, perTile = shape.side * shape.side
    let order = PatchOrder(batch.images, merge: 1)
    let places = order.frames.flatMap { _ in 0..<Int32(perTile) }
    let x = tape.add(
      patchEmbedding(tape, batch.patchTensor(shape.patchDimension)),
      tape.embedding(places, positions))
    let layout = order.layout
    let last = EncoderBlock.run(
      blocks, tape, x, rotation: nil, checkpointing: checkpointing, layout: { _ in layout })
    let features = second(tape, tape.gelu(first(tape, last)))
    return packed(tape, features, batch.images)
  }

  /// The features of every image: of the whole first, then row by row of its tiles, each row with its
  /// end.
  private func packed(_ tape: Tape, _ features: Tensor, _ images: [ImageGrid]) -> Tensor {
    let side = config.vision.side, perTile = side * side
    let end = features.rows
    var taps: [[(row: Int, weight: Float)]] = []
    var start = 0
    for grid in images {
      taps += (start..<start + perTile).map { [($0, 1)] }
      if let original = grid.original, let view = config.view(original) {
        let across = view.full.width / side
        // Where the feature at a row and column of all tiles together lies.
        func place(_ row: Int, _ column: Int) -> Int {
          let tile = 1 + row / side * across + column / side
          return start + tile * perTile + row % side * side + column % side
        }
        for y in 0..<view.shrunk.height {
          let rows = Self.taps(y, of: view.shrunk.height, within: view.rows)
          for x in 0..<view.shrunk.width {
            let columns = Self.taps(x, of: view.shrunk.width, within: view.columns)
            taps.append(
              rows.flatMap { row in
                columns.map { (place(row.index, $0.index), row.weight * $0.weight) }
              })
          }
          taps.append([(end, 1)])
        }
      } else {
        taps.append([(end, 1)])
      }
      start += grid.time * perTile
    }
    return tape.weightedRows(tape.stacked([features, tape.row(newline)]), taps)
  }

  /// Linear interpolation, the outer edges on each other (torch's `align_corners=False`).
  private static func taps(
    _ index: Int, of count: Int, within range: Range<Int>
  ) -> [(index: Int, weight: Float)] {
    if count == range.count { return [(range.lowerBound + index, 1)] }
    let scale = Float(range.count) / Float(count)
    let place = max((Float(index) + 0.5) * scale - 0.5, 0)
    let low = min(Int(place), range.count - 1), high = min(low + 1, range.count - 1)
    let share = place - Float(low)
    return [(range.lowerBound + low, 1 - share), (range.lowerBound + high, share)]
  }
}
