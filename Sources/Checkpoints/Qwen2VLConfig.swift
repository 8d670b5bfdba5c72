import Artifacts
import Failures
import Kernels

/// The shape of a Qwen2-VL model, from its `config.json`.
///
/// Two dialects are read: the hub's flat one (`hidden_size`, `rope_theta`,
/// `rope_scaling.mrope_section`, `vision_config.in_chans`) and the nested one of transformers 5
/// (`text_config`, `rope_parameters`, `vision_config.in_channels`). The hub's is written.
public struct Qwen2VLConfig: Sendable, Equatable {
  /// The language model.
  public struct Text: Sendable, Equatable {
    public var hiddenSize: Int
    public var layers: Int
    public var heads: Int
    public var keyValueHeads: Int
    public var intermediateSize: Int
    public var vocabularySize: Int
    public var ropeTheta: Double
    /// How many rotary frequencies turn with time, height and width; they sum to half a head.
    public var mropeSection: [Int]
    public var rmsNormEpsilon: Float
    /// The language head is the word embedding.
    public var tieWordEmbeddings: Bool
    public var maxPositions: Int

    public var headDimension: Int { hiddenSize / heads }
    /// Width of the keys and of the values.
    public var keyValueSize: Int { keyValueHeads * headDimension }

    public init(
      hiddenSize: Int, layers: Int, heads: Int, keyValueHeads: Int, intermediateSize: Int,
      vocabularySize: Int, ropeTheta: Double, mropeSection: [Int], rmsNormEpsilon: Float,
      tieWordEmbeddings: Bool, maxPositions: Int
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
    }
  }

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

  public var text: Text
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

  /// Reads `config.json` of a checkpoint. Throws 66 when there is none, 65 when it is not a
  /// Qwen2-VL's or its numbers do not fit together.
  public init(directory: String) throws {
    let path = try CheckpointFolder.config(directory)
    try self.init(JSON(file: path, limit: 1 << 24), place: path)
  }
}

// MARK: Expected tensors

extension Qwen2VLConfig {
  /// Every weight of the model under the hub's name, with its shape, from the patch embedding to
  /// the language head.
  public var tensorShapes: [(name: String, shape: [Int])] {
    var list: [(name: String, shape: [Int])] = []
    func linear(_ name: String, _ rows: Int, _ columns: Int, bias: Bool) {
      list.append((name + ".weight", [rows, columns]))
      if bias { list.append((name + ".bias", [rows])) }
    }
    func layerNorm(_ name: String, _ width: Int) {
      list.append((name + ".weight", [width]))
      list.append((name + ".bias", [width]))
    }

    let v = vision
    let e = v.embedDimension
    list.append(
      (
        "visual.patch_embed.proj.weight",
        [e, v.inChannels, v.temporalPatchSize, v.patchSize, v.patchSize]
      ))
    for block in 0..<v.depth {
      let prefix = "visual.blocks.\(block)."
      layerNorm(prefix + "norm1", e)
      layerNorm(prefix + "norm2", e)
      linear(prefix + "attn.qkv", 3 * e, e, bias: true)
      linear(prefix + "attn.proj", e, e, bias: true)
      linear(prefix + "mlp.fc1", v.mlpSize, e, bias: true)
      linear(prefix + "mlp.fc2", e, v.mlpSize, bias: true)
    }
    layerNorm("visual.merger.ln_q", e)
    linear("visual.merger.mlp.0", v.mergedSize, v.mergedSize, bias: true)
    linear("visual.merger.mlp.2", v.hiddenSize, v.mergedSize, bias: true)

    let t = text
    let d = t.hiddenSize
    list.append(("model.embed_tokens.weight", [t.vocabularySize, d]))
    for layer in 0..<t.layers {
      let prefix = "model.layers.\(layer)."
      list.append((prefix + "input_layernorm.weight", [d]))
      linear(prefix + "self_attn.q_proj", d, d, bias: true)
      linear(prefix + "self_attn.k_proj", t.keyValueSize, d, bias: true)
      linear(prefix + "self_attn.v_proj", t.keyValueSize, d, bias: true)
      linear(prefix + "self_attn.o_proj", d, d, bias: false)
      list.append((prefix + "post_attention_layernorm.weight", [d]))
      linear(prefix + "mlp.gate_proj", t.intermediateSize, d, bias: false)
      linear(prefix + "mlp.up_proj", t.intermediateSize, d, bias: false)
      linear(prefix + "mlp.down_proj", d, t.intermediateSize, bias: false)
    }
    list.append(("model.norm.weight", [d]))
    if !t.tieWordEmbeddings { linear("lm_head", t.vocabularySize, d, bias: false) }
    return list
  }

  /// The number of weights.
  public var parameterCount: Int { tensorShapes.reduce(0) { $0 + $1.shape.reduce(1, *) } }
}
