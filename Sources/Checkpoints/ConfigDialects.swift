import Artifacts
import Failures
import Kernels

/// Members of one object of the config, looked up under several names.
private struct Section {
  let json: JSON
  let place: String

  private func find(_ names: [String]) -> JSON? {
    for name in names {
      if let value = json[name], value != .null { return value }
    }
    return nil
  }

  private func bad(_ names: [String], _ expected: String) -> Failure {
    Failure(
      .badData, "bad or missing \"\(names[0])\"", at: place, expected: expected,
      found: find(names).map { String($0.text().prefix(60)) } ?? "nothing")
  }

  /// A size: at least one, and so small that neither a tensor's bytes nor the model's overflow.
  func size(_ names: String..., or standard: Int, atMost limit: Int) throws -> Int {
    guard let value = find(names) else { return standard }
    guard let number = value.asInt, (1...limit).contains(number) else {
      throw bad(names, "a whole number from 1 to \(limit)")
    }
    return number
  }

  /// The object under a name, nil where there is none or a null. Throws 65 for anything else.
  func section(_ name: String) throws -> Section? {
    guard let value = find([name]) else { return nil }
    guard value.asObject != nil else { throw bad([name], "an object") }
    return Section(json: value, place: "\(place), \(name)")
  }

  func flag(_ name: String) throws -> Bool? {
    guard let value = find([name]) else { return nil }
    guard let flag = value.asBool else { throw bad([name], "true or false") }
    return flag
  }

  func token(_ names: String..., or standard: Int) throws -> Int {
    // Several end tokens may be given: the first is the one that training uses.
    guard let value = find(names) else { return standard }
    guard let number = value.asInt ?? value.asArray?.first?.asInt, number >= 0 else {
      throw bad(names, "a token's number")
    }
    return number
  }

  func number(_ names: String..., or standard: Double) throws -> Double {
    guard let value = find(names) else { return standard }
    guard let number = value.asDouble, number > 0 else { throw bad(names, "a number above zero") }
    return number
  }

  /// Refuses anything but `value`, where the member is given at all.
  func require(_ name: String, _ value: JSON) throws {
    guard let found = find([name]), found != value else { return }
    throw Failure(
      .badData, "unsupported \"\(name)\"", at: place, expected: value.text(),
      found: String(found.text().prefix(60)))
  }
}

/// The largest sizes that are read, far above those of any model: with them the bytes of every
/// tensor, and of all together, fit into 63 bits.
private enum Limit {
  static let width = 1 << 20
  static let vocabulary = 1 << 24
  static let blocks = 1024
  static let patch = 256
  /// Channels, frames of a patch, patches of a merged token along one side.
  static let few = 16
}

/// A member that is left out has the value that transformers' `Qwen2VLConfig` gives it: releases
/// before 4.50 write of `vision_config` only what differs from there.
extension Qwen2VLConfig {
  /// - Parameter place: the file, for messages.
  public init(_ json: JSON, place: String) throws {
    let type = json["model_type"]?.asString ?? "nothing"
    guard type == "qwen2_vl" else {
      throw Failure(
        .badData, "unsupported model type", at: place, expected: "qwen2_vl", found: type,
        advice: "This program distils Qwen2-VL models only")
    }
    let root = Section(json: json, place: place)
    let vision =
      try root.section("vision_config") ?? Section(json: [:], place: "\(place), vision_config")
    let text = try root.section("text_config") ?? root
    for section in [root, text] where section.json["quantization_config"]?.asObject != nil {
      throw Failure(
        .badData, "the weights are quantized", at: section.place, expected: "F32, F16 or BF16",
        found: "quantization_config", advice: "Fetch the model without quantization")
    }
    try text.require("hidden_act", "silu")
    try text.require("use_sliding_window", false)
    for kind in text.json["layer_types"]?.asArray ?? [] where kind != "full_attention" {
      throw Failure(
        .badData, "unsupported layer type", at: text.place, expected: "full_attention",
        found: kind.text())
    }
    try vision.require("hidden_act", "quick_gelu")
    let turn = try vision.section("rope_parameters")?.number("rope_theta", or: 10_000)
    if let turn, turn != 10_000 {
      throw Failure(
        .badData, "unsupported \"rope_theta\"", at: "\(place), vision_config", expected: "10000",
        found: "\(turn)")
    }

    self.init(
      text: try Qwen2VLConfig.text(text, root: root), vision: try Qwen2VLConfig.vision(vision),
      imageTokenID: try root.token("image_token_id", or: 151_655),
      videoTokenID: try root.token("video_token_id", or: 151_656),
      visionStartTokenID: try root.token("vision_start_token_id", or: 151_652),
      visionEndTokenID: try root.token("vision_end_token_id", or: 151_653),
      bosTokenID: (text.json["bos_token_id"] ?? json["bos_token_id"])?.asInt,
      eosTokenID: try text.token(
        "eos_token_id", or: root.token("eos_token_id", or: 151_645)),
      dtype: Qwen2VLConfig.elementType(
        json["dtype"]?.asString ?? json["torch_dtype"]?.asString
          ?? text.json["dtype"]?.asString))
    try check(place: place)
  }

  private static func text(_ section: Section, root: Section) throws -> Text {
    let rope = try section.section("rope_parameters") ?? section.section("rope_scaling")
    var sections = [16, 24, 24]
    if let given = rope?.json["mrope_section"], given != .null {
      sections = given.asArray?.compactMap(\.asInt) ?? []
      guard sections.count == 3, given.asArray?.count == 3,
        sections.allSatisfy({ (0...(1 << 16)).contains($0) })
      else {
        throw Failure(
          .badData, "bad \"mrope_section\"", at: rope?.place, expected: "three whole numbers",
          found: String(given.text().prefix(60)))
      }
    }
    let kind = (rope?.json["rope_type"] ?? rope?.json["type"])?.asString ?? "mrope"
    guard kind == "mrope" || kind == "default" else {
      throw Failure(
        .badData, "unsupported rotary embedding", at: section.place, expected: "mrope",
        found: kind)
    }
    let theta = try section.number("rope_theta", or: 1_000_000)
    let ropeTheta = try rope?.number("rope_theta", or: theta) ?? theta
    guard ropeTheta == theta || section.json["rope_theta"] == nil else {
      throw Failure(
        .badData, "two values for \"rope_theta\"", at: section.place, expected: "\(theta)",
        found: "\(ropeTheta) inside the rotary embedding's parameters")
    }
    let heads = try section.size("num_attention_heads", or: 64, atMost: Limit.width)
    // Of a null there are as many as heads; left out, there are 8.
    let keyValueHeads = section.json["num_key_value_heads"] == .null ? heads : 8
    // Releases 4.52 to 4.57 say it in text_config where it holds.
    let tied = try root.flag("tie_word_embeddings") ?? false
    let textTied = try section.flag("tie_word_embeddings") ?? false
    return Text(
      hiddenSize: try section.size("hidden_size", or: 8192, atMost: Limit.width),
      layers: try section.size("num_hidden_layers", or: 80, atMost: Limit.blocks), heads: heads,
      keyValueHeads: try section.size(
        "num_key_value_heads", or: keyValueHeads, atMost: Limit.width),
      intermediateSize: try section.size("intermediate_size", or: 29_568, atMost: Limit.vocabulary),
      vocabularySize: try section.size("vocab_size", or: 152_064, atMost: Limit.vocabulary),
      ropeTheta: ropeTheta, mropeSection: sections,
      rmsNormEpsilon: Float(try section.number("rms_norm_eps", or: 1e-5)),
      tieWordEmbeddings: tied || textTied,
      maxPositions: try section.size(
        "max_position_embeddings", or: 32768, atMost: Limit.vocabulary))
  }

  private static func vision(_ section: Section) throws -> Vision {
    Vision(
      depth: try section.size("depth", or: 32, atMost: Limit.blocks),
      embedDimension: try section.size("embed_dim", or: 1280, atMost: Limit.width),
      heads: try section.size("num_heads", or: 16, atMost: Limit.width),
      mlpRatio: try section.number("mlp_ratio", or: 4),
      patchSize: try section.size("patch_size", or: 14, atMost: Limit.patch),
      temporalPatchSize: try section.size("temporal_patch_size", or: 2, atMost: Limit.few),
      spatialMergeSize: try section.size("spatial_merge_size", or: 2, atMost: Limit.few),
      inChannels: try section.size("in_channels", "in_chans", or: 3, atMost: Limit.few),
      hiddenSize: try section.size("hidden_size", or: 3584, atMost: Limit.width))
  }

  private static func elementType(_ name: String?) -> ElementType? {
    switch name {
    case "bfloat16": .bfloat16
    case "float16": .float16
    case "float32": .float32
    default: nil
    }
  }

  /// Throws 65 when numbers do not fit together.
  private func check(place: String) throws {
    func require(_ holds: Bool, _ what: String, _ expected: String, _ found: String) throws {
      if !holds {
        throw Failure(.badData, what, at: place, expected: expected, found: found)
      }
    }
    try require(
      text.hiddenSize % text.heads == 0 && text.headDimension % 2 == 0,
      "the width does not divide into heads", "an even number for each of \(text.heads) heads",
      "hidden_size \(text.hiddenSize)")
    try require(
      text.heads % text.keyValueHeads == 0, "heads do not share key/value heads evenly",
      "a divisor of \(text.heads)", "num_key_value_heads \(text.keyValueHeads)")
    try require(
      text.mropeSection.reduce(0, +) * 2 == text.headDimension,
      "mrope_section does not cover a head", "a sum of \(text.headDimension / 2)",
      "\(text.mropeSection)")
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
    let ids = [imageTokenID, videoTokenID, visionStartTokenID, visionEndTokenID, eosTokenID]
    try require(
      ids.allSatisfy { $0 < text.vocabularySize }, "a special token lies outside the vocabulary",
      "ids below \(text.vocabularySize)", "\(ids.max() ?? 0)")
  }
}
