import Checkpoints

/// The sizes of a Qwen2-VL, from which config.json and every tensor follow.
struct ModelShape: Sendable {
  var hidden: Int
  var layers: Int
  var heads: Int
  var keyValueHeads: Int
  var feedForward: Int
  var vocabulary: Int
  var isTied: Bool
  var mropeSection: [Int]
  var context: Int
  var visionDepth = 32
  var visionWidth = 1280
  var visionHeads = 16
  var patch = 14
  var minPixels = 3136
  var maxPixels = 12_845_056

  /// The base of the rotary frequencies. The tiny ones' is the usual 10,000: a low base turns every
  /// channel within a few positions, and none is left for looking up a token by its content. Their
  /// columns get most of the frequencies, so that some turn enough to tell four columns apart.
  var ropeTheta: Double { isTiny ? 10_000 : 1_000_000 }

  /// The standard deviation of random weights: transformers' `initializer_range`, which suits widths
  /// of thousands; at a width of 128 it leaves attention uniform for long, PyTorch's own start of
  /// 1 / √(3 d) does not.
  var deviation: Float { isTiny ? 0.05 : 0.02 }

  /// Whether the tokenizer is data/tokenizer.
  var isTiny: Bool { patch == 8 }
}

/// Shapes that `vlsi-synthesize checkpoint` knows.
enum KnownShape: String, CaseIterable, Sendable {
  case tinyTeacher = "tiny-teacher"
  case tinyStudent = "tiny-student"
  case qwen2B = "qwen2-vl-2b"
  case qwen7B = "qwen2-vl-7b"
  case qwen72B = "qwen2-vl-72b"

  var shape: ModelShape {
    switch self {
    // The heads of the tiny ones have more rows than the tokenizer, and unequally many, as
    // Qwen2-VL's have.
    case .tinyTeacher:
      ModelShape(
        hidden: 128, layers: 6, heads: 4, keyValueHeads: 2, feedForward: 256, vocabulary: 552,
        isTied: true, mropeSection: [2, 2, 12], context: 2048, visionDepth: 2, visionWidth: 64,
        visionHeads: 4, patch: 8, minPixels: 4096, maxPixels: 4096)
    case .tinyStudent:
      ModelShape(
        hidden: 64, layers: 4, heads: 2, keyValueHeads: 1, feedForward: 128, vocabulary: 544,
        isTied: true, mropeSection: [2, 2, 12], context: 2048, visionDepth: 2, visionWidth: 48,
        visionHeads: 4, patch: 8, minPixels: 4096, maxPixels: 4096)
    case .qwen2B:
      ModelShape(
        hidden: 1536, layers: 28, heads: 12, keyValueHeads: 2, feedForward: 8960,
        vocabulary: 151_936, isTied: true, mropeSection: [16, 24, 24], context: 32_768)
    case .qwen7B:
      ModelShape(
        hidden: 3584, layers: 28, heads: 28, keyValueHeads: 4, feedForward: 18_944,
        vocabulary: 152_064, isTied: false, mropeSection: [16, 24, 24], context: 32_768)
    case .qwen72B:
      ModelShape(
        hidden: 8192, layers: 80, heads: 64, keyValueHeads: 8, feedForward: 29_568,
        vocabulary: 152_064, isTied: false, mropeSection: [16, 24, 24], context: 32_768)
    }
  }
}

/// The ids that config.json names.
struct SpecialTokens: Sendable {
  var endOfText: Int
  var turnEnd: Int
  var visionStart: Int
  var visionEnd: Int
  var imagePad: Int
  var videoPad: Int

  /// Those of Qwen2-VL's own tokenizer.
  static let qwen = SpecialTokens(
    endOfText: 151_643, turnEnd: 151_645, visionStart: 151_652, visionEnd: 151_653,
    imagePad: 151_655, videoPad: 151_656)
}

/// How a tensor starts.
enum Start: Sendable {
  /// Normal with mean 0 and the shape's standard deviation.
  case normal
  case zeros
  case ones
}

extension ModelShape {
  /// Every tensor under the hub's names, in the order of the model.
  var tensors: [(name: String, shape: [Int], start: Start)] {
    var list: [(name: String, shape: [Int], start: Start)] = []
    func linear(_ name: String, _ out: Int, _ inputs: Int, bias: Bool) {
      list.append(("\(name).weight", [out, inputs], .normal))
      if bias { list.append(("\(name).bias", [out], .zeros)) }
    }
    func layerNorm(_ name: String, _ width: Int) {
      list.append(("\(name).weight", [width], .ones))
      list.append(("\(name).bias", [width], .zeros))
    }
    let merged = visionWidth * 4  // 2 × 2 patches become one token
    list.append(("visual.patch_embed.proj.weight", [visionWidth, 3, 2, patch, patch], .normal))
    for index in 0..<visionDepth {
      let block = "visual.blocks.\(index)"
      layerNorm("\(block).norm1", visionWidth)
      layerNorm("\(block).norm2", visionWidth)
      linear("\(block).attn.qkv", 3 * visionWidth, visionWidth, bias: true)
      linear("\(block).attn.proj", visionWidth, visionWidth, bias: true)
      linear("\(block).mlp.fc1", 4 * visionWidth, visionWidth, bias: true)
      linear("\(block).mlp.fc2", visionWidth, 4 * visionWidth, bias: true)
    }
    layerNorm("visual.merger.ln_q", visionWidth)
    linear("visual.merger.mlp.0", merged, merged, bias: true)
    linear("visual.merger.mlp.2", hidden, merged, bias: true)

    let keyValues = hidden / heads * keyValueHeads
    list.append(("model.embed_tokens.weight", [vocabulary, hidden], .normal))
    for index in 0..<layers {
      let layer = "model.layers.\(index)"
      list.append(("\(layer).input_layernorm.weight", [hidden], .ones))
      linear("\(layer).self_attn.q_proj", hidden, hidden, bias: true)
      linear("\(layer).self_attn.k_proj", keyValues, hidden, bias: true)
      linear("\(layer).self_attn.v_proj", keyValues, hidden, bias: true)
      linear("\(layer).self_attn.o_proj", hidden, hidden, bias: false)
      list.append(("\(layer).post_attention_layernorm.weight", [hidden], .ones))
      linear("\(layer).mlp.gate_proj", feedForward, hidden, bias: false)
      linear("\(layer).mlp.up_proj", feedForward, hidden, bias: false)
      linear("\(layer).mlp.down_proj", hidden, feedForward, bias: false)
    }
    list.append(("model.norm.weight", [hidden], .ones))
    if !isTied { list.append(("lm_head.weight", [vocabulary, hidden], .normal)) }
    return list
  }

  /// What config.json says.
  func config(_ tokens: SpecialTokens) -> Qwen2VLConfig {
    Qwen2VLConfig(
      text: .init(
        hiddenSize: hidden, layers: layers, heads: heads, keyValueHeads: keyValueHeads,
        intermediateSize: feedForward, vocabularySize: vocabulary, ropeTheta: ropeTheta,
        mropeSection: mropeSection, rmsNormEpsilon: 1e-6, tieWordEmbeddings: isTied,
        maxPositions: context),
      vision: .init(
        depth: visionDepth, embedDimension: visionWidth, heads: visionHeads, mlpRatio: 4,
        patchSize: patch, temporalPatchSize: 2, spatialMergeSize: 2, inChannels: 3,
        hiddenSize: hidden),
      imageTokenID: tokens.imagePad, videoTokenID: tokens.videoPad,
      visionStartTokenID: tokens.visionStart, visionEndTokenID: tokens.visionEnd,
      bosTokenID: tokens.endOfText, eosTokenID: tokens.turnEnd)
  }

  /// preprocessor_config.json.
  var preprocessor: String {
    """
    {
      "do_convert_rgb": true,
      "do_normalize": true,
      "do_rescale": true,
      "do_resize": true,
      "image_mean": [0.48145466, 0.4578275, 0.40821073],
      "image_processor_type": "Qwen2VLImageProcessor",
      "image_std": [0.26862954, 0.26130258, 0.27577711],
      "max_pixels": \(maxPixels),
      "merge_size": 2,
      "min_pixels": \(minPixels),
      "patch_size": \(patch),
      "processor_class": "Qwen2VLProcessor",
      "resample": 3,
      "rescale_factor": 0.00392156862745098,
      "size": {"longest_edge": \(maxPixels), "shortest_edge": \(minPixels)},
      "temporal_patch_size": 2
    }

    """
  }

  /// generation_config.json: greedy, as all evaluation here.
  func generation(_ tokens: SpecialTokens) -> String {
    """
    {
      "bos_token_id": \(tokens.endOfText),
      "do_sample": false,
      "eos_token_id": [\(tokens.turnEnd), \(tokens.endOfText)],
      "pad_token_id": \(tokens.endOfText)
    }

    """
  }
}
