import Artifacts
import Checkpoints
import Failures
import Imaging
import Kernels
import Tensors
import Tokenization

/// A family of vision-language models, and the numbers of one of its models: what its `config.json`
/// says. A family is one type that conforms, in one file of `Families`, listed in `ModelFamilies`;
/// nothing else in the project names it.
public protocol ModelConfig: Sendable {
  // MARK: The family

  /// `model_type` of config.json.
  static var modelType: String { get }
  /// How people call the family.
  static var familyName: String { get }
  /// The class of transformers that loads it.
  static var architecture: String { get }
  /// The names of its weights.
  static var names: TensorNames { get }
  /// How its chat template writes a conversation down.
  static var chat: ChatDialect { get }
  /// Whether VLMEvalKit puts benchmarks' questions to it in words adapted to it (its
  /// `Qwen2VLPromptMixin`), not in the benchmarks' own.
  static var hasAdaptedQuestions: Bool { get }
  /// Its models on the hub, `owner/name`, from which others are made.
  static var published: [String] { get }
  /// Its sizes, smallest first.
  static var sizes: [ModelSize] { get }

  // MARK: One model

  /// Reads a config.json in any dialect that transformers or the hub wrote. Throws 65 when its
  /// numbers do not fit together.
  /// - Parameter place: the file, for messages.
  init(_ json: JSON, place: String) throws

  var text: TextConfig { get }
  /// What others need of the vision encoder.
  var encoder: EncoderShape { get }
  var imageTokenID: Int { get }
  /// The other tokens that the config names, with their texts: each must be the tokenizer's.
  var namedTokens: [(text: String, id: Int)] { get }
  /// The element type that the config announces for the weights, if any.
  var dtype: ElementType? { get set }

  /// The same model with special tokens of other ids.
  /// - Parameter id: the id of a token by its text.
  func naming(_ id: (String) throws -> Int) rethrows -> Self
  /// The same model with fewer blocks.
  func shortened(layers: Int, encoderBlocks: Int) -> Self
  /// The members of config.json in the hub's dialect.
  var members: [String: JSON] { get }
  /// The config as it is written: see `hubJSON(over:)` of `ModelConfig`.
  func hubJSON(over base: [UInt8]?) throws -> [UInt8]
  /// What the fingerprint of a checkpoint covers of its config. Artifacts record that fingerprint:
  /// the text of a config must stay what it is.
  var fingerprintText: String { get }
  /// Why the image processor's settings do not fit this model: pairs that should be equal.
  func processorMatches(_ processor: ImageProcessor) -> [(
    what: String, here: String, there: String
  )]

  // MARK: Images

  /// The vision encoder and what joins it to the language model, its weights declared in `weights`.
  func visionEncoder(_ weights: WeightScope) -> any VisionEncoder
  /// How many tokens an image becomes; nil for a grid that no image of this model has. No number is
  /// too large for it.
  func imageTokens(_ grid: ImageGrid) -> Int?
  /// The image's extent along the axes of M-RoPE, in tokens; nil where positions count on through
  /// an image as through text.
  func positions(_ grid: ImageGrid) -> (time: Int, height: Int, width: Int)?
}

extension ModelConfig {
  public var tensorNames: TensorNames { Self.names }

  /// Every weight of the model under the hub's name, with its shape, from the vision encoder to the
  /// language head.
  public var tensorShapes: [(name: String, shape: [Int])] {
    VisionLanguageModel(config: self).parameters.map { ($0.name, $0.shape) }
  }

  /// The number of weights.
  public var parameterCount: Int { tensorShapes.reduce(0) { $0 + $1.shape.reduce(1, *) } }

  /// Numbers of the visual embeddings of one token: the language model's d, and once more for every
  /// later block that receives some (Qwen3-VL's deepstack).
  public var visualWidth: Int { text.hiddenSize * (1 + encoder.deepLevels) }
}

/// The language model's numbers: a decoder of the Qwen2 and Qwen3 kind.
public struct TextConfig: Sendable, Equatable {
  public var hiddenSize: Int
  public var layers: Int
  public var heads: Int
  public var keyValueHeads: Int
  public var intermediateSize: Int
  public var vocabularySize: Int
  public var ropeTheta: Double
  /// How many rotary frequencies turn with time, height and width; they sum to half a head. Empty
  /// for the ordinary rotary embedding, whose positions have one axis.
  public var mropeSection: [Int]
  public var rmsNormEpsilon: Float
  /// The language head is the word embedding.
  public var tieWordEmbeddings: Bool
  public var maxPositions: Int
  public var headDimension: Int
  /// The frequencies of the axes take turns (Qwen3-VL) instead of lying in stretches.
  public var interleavedMRoPE: Bool
  /// The projections to queries, keys and values have biases.
  public var attentionBias: Bool
  /// Queries and keys are RMS-normalised by head, before they are turned.
  public var queryKeyNorms: Bool

  /// Width of the queries of all heads.
  public var querySize: Int { heads * headDimension }
  /// Width of the keys and of the values.
  public var keyValueSize: Int { keyValueHeads * headDimension }

  /// - Parameter headDimension: nil where the heads share the width.
  public init(
    hiddenSize: Int, layers: Int, heads: Int, keyValueHeads: Int, intermediateSize: Int,
    vocabularySize: Int, ropeTheta: Double, mropeSection: [Int], rmsNormEpsilon: Float,
    tieWordEmbeddings: Bool, maxPositions: Int, headDimension: Int? = nil,
    interleavedMRoPE: Bool = false, attentionBias: Bool = true, queryKeyNorms: Bool = false
  ) {
    self.hiddenSize = hiddenSize
    self.layers = layers
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.intermediateSize = intermediateSize
    self.vocabularySize = vocabularySize
    self.ropeTheta = ropeTheta
    self.mropeSection = mropeSection
    self.rmsNormEpsilon = rmsNormEpsilon
    self.tieWordEmbeddings = tieWordEmbeddings
    self.maxPositions = maxPositions
    self.headDimension = headDimension ?? hiddenSize / heads
    self.interleavedMRoPE = interleavedMRoPE
    self.attentionBias = attentionBias
    self.queryKeyNorms = queryKeyNorms
  }

  /// The axis of positions that each rotary frequency turns with [head / 2]: 0 time, 1 height,
  /// 2 width.
  var rotaryAxes: [Int] {
    let half = headDimension / 2
    if mropeSection.isEmpty { return [Int](repeating: 0, count: half) }
    if !interleavedMRoPE {
      return mropeSection.enumerated().flatMap { [Int](repeating: $0, count: $1) }
    }
    // Height and width have every third frequency, as far as their sections reach; time the rest.
    return (0..<half).map { j in
      let axis = j % 3
      return axis > 0 && j < 3 * mropeSection[axis] ? axis : 0
    }
  }

  /// What a decoder block is made of.
  public var block: DecoderShape {
    DecoderShape(
      width: hiddenSize, intermediate: intermediateSize, heads: heads,
      keyValueHeads: keyValueHeads, headSize: headDimension, ropeTheta: ropeTheta,
      epsilon: rmsNormEpsilon, attentionBias: attentionBias, queryKeyNorms: queryKeyNorms)
  }
}

/// The vision encoder's numbers, as far as others plan with them.
public struct EncoderShape: Sendable, Equatable {
  /// Blocks.
  public var depth: Int
  public var width: Int
  /// Width of a block's FFN inside.
  public var feedForward: Int
  /// The FFN has a gate beside it.
  public var isGated = false
  /// Side of a patch in pixels.
  public var patchSize: Int
  /// Numbers of one patch: channels · frames · height · width.
  public var patchDimension: Int
  /// Patches that one token is made of.
  public var patchesPerToken: Int
  /// Width of what enters what joins it to the language model.
  public var projectorInput: Int { width * patchesPerToken }
  /// Width of the inside of what joins it to the language model.
  public var projectorWidth: Int
  /// Width of what comes out: the language model's.
  public var outputWidth: Int
  /// How often features are made besides, for later blocks of the language model.
  public var deepLevels = 0
}

/// How a family's weights are called on the hub, where transformers and PEFT look for them.
public struct TensorNames: Sendable {
  /// What stands before the language model's `layers`, `norm` and `embed_tokens`, point included.
  public var text: String
  public var head: String
  /// What later releases of transformers write, and the hub's beginning of a name for it. The first
  /// that fits counts.
  public var renamed: [(later: String, hub: String)]

  public var embedding: String { text + "embed_tokens.weight" }
  public var finalNorm: String { text + "norm.weight" }

  /// The hub's name of a weight.
  public func canonical(_ name: String) -> String {
    for (later, hub) in renamed where name.hasPrefix(later) {
      return hub + name.dropFirst(later.count)
    }
    return name
  }

  /// The name that PEFT gives a parameter of an adapter on transformers' model: all families' language
  /// models stand there under one name.
  public func peft(_ name: String) -> String {
    "base_model.model." + TensorNames.peftText + name.dropFirst(text.count)
  }

  static let peftText = "model.language_model."
}

/// A vision encoder with what joins it to the language model.
public protocol VisionEncoder {
  /// The visual embeddings [image tokens, d · (1 + deep levels)] of the batch's images, in their
  /// order.
  func callAsFunction(_ tape: Tape, _ batch: PackedBatch, checkpointing: Bool) -> Tensor
}

extension ModelConfig {
  public static var hasAdaptedQuestions: Bool { false }
}
