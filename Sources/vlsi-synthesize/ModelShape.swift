import Artifacts
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
  /// Every tensor under the hub's names, in the order of the hub's files.
  func tensors(_ config: Qwen2VLConfig) -> [(name: String, shape: [Int], start: Start)] {
    var list = config.tensorShapes
    // There the gate follows the projection beside it, which decides where files are cut.
    for gate in list.indices.filter({ list[$0].name.hasSuffix("mlp.gate_proj.weight") }) {
      list.swapAt(gate, gate + 1)
    }
    return list.map { name, shape in
      // One axis and no bias: a norm.
      let start: Start = name.hasSuffix(".bias") ? .zeros : shape.count == 1 ? .ones : .normal
      return (name, shape, start)
    }
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

  /// What the hub's config.json says besides.
  var otherMembers: JSON { isTiny ? [:] : ["vision_token_id": 151_654] }

  /// Bytes of one file: the hub's own checkpoints are cut at 4 GB.
  static let shardLimit = 4_000_000_000

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

  /// generation_config.json: greedy, as all evaluation here; the real ones as the hub has them,
  /// which comes to the same.
  func generation(_ tokens: SpecialTokens) -> String {
    let sampling: JSON = [
      "do_sample": true, "repetition_penalty": 1.0, "temperature": 0.01, "top_k": 1,
      "top_p": 0.001,
    ]
    var members: [String: JSON] = isTiny ? ["do_sample": false] : sampling.asObject ?? [:]
    members["bos_token_id"] = .int(tokens.endOfText)
    members["eos_token_id"] = [.int(tokens.turnEnd), .int(tokens.endOfText)]
    members["pad_token_id"] = .int(tokens.endOfText)
    return JSON.object(members).text(pretty: true)
  }
}
