import Artifacts
import Failures
import Kernels

/// Members of one object of the config, looked up under several names.
struct ConfigSection {
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

  /// A list of whole numbers.
  func numbers(_ name: String, or standard: [Int], atMost limit: Int) throws -> [Int] {
    guard let value = find([name]) else { return standard }
    let numbers = (value.asArray ?? []).compactMap(\.asInt)
    guard let list = value.asArray, list.count == numbers.count,
      numbers.allSatisfy({ (0...limit).contains($0) })
    else { throw bad([name], "whole numbers from 0 to \(limit)") }
    return numbers
  }

  /// The object under a name, nil where there is none or a null. Throws 65 for anything else.
  func section(_ name: String) throws -> ConfigSection? {
    guard let value = find([name]) else { return nil }
    guard value.asObject != nil else { throw bad([name], "an object") }
    return ConfigSection(json: value, place: "\(place), \(name)")
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
enum ConfigLimit {
  static let width = 1 << 20
  static let vocabulary = 1 << 24
  static let blocks = 1024
  static let patch = 256
  /// Channels, frames of a patch, patches of a merged token along one side.
  static let few = 16
  /// Entries of a list.
  static let list = 1 << 16
}

/// What is the same in the configs of all families.
extension ConfigSection {
  /// Opens a whole config.json: the language model's section is the whole where it is flat.
  static func open(
    _ json: JSON, place: String
  ) throws -> (root: ConfigSection, text: ConfigSection, vision: ConfigSection) {
    let root = ConfigSection(json: json, place: place)
    let vision =
      try root.section("vision_config")
      ?? ConfigSection(json: [:], place: "\(place), vision_config")
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
    let turn = try vision.section("rope_parameters")?.number("rope_theta", or: 10_000)
    if let turn, turn != 10_000 {
      throw Failure(
        .badData, "unsupported \"rope_theta\"", at: "\(place), vision_config", expected: "10000",
        found: "\(turn)")
    }
    return (root, text, vision)
  }

  static func elementType(
    _ root: ConfigSection, _ text: ConfigSection
  ) -> ElementType? {
    let name =
      root.json["dtype"]?.asString ?? root.json["torch_dtype"]?.asString
      ?? text.json["dtype"]?.asString
    return ElementType.configNames.first { $0.value == name }?.key
  }

  /// Throws 65 with what was expected and found, unless `holds`.
  static func require(
    _ holds: Bool, _ what: String, at place: String, _ expected: String, _ found: String
  ) throws {
    if !holds { throw Failure(.badData, what, at: place, expected: expected, found: found) }
  }
}

extension ElementType {
  /// As config.json names them.
  static let configNames: [ElementType: String] = [
    .bfloat16: "bfloat16", .float16: "float16", .float32: "float32",
  ]
}

extension TextConfig {
  /// What transformers' config class of a family has where a member is left out: releases before 4.50
  /// write only what differs.
  struct Defaults {
    var hiddenSize: Int
    var layers: Int
    var heads: Int
    var keyValueHeads: Int
    var intermediateSize: Int
    var vocabularySize: Int
    var ropeTheta: Double
    /// Empty for a family without M-RoPE.
    var mropeSection: [Int]
    var rmsNormEpsilon: Double
    var maxPositions: Int
    /// Nil where the heads share the width.
    var headDimension: Int?
    /// Whether the text's own word on tied embeddings counts too.
    var readsTextTie = true

    /// Those of `Qwen2Config`, without M-RoPE.
    static let qwen2 = Defaults(
      hiddenSize: 4096, layers: 32, heads: 32, keyValueHeads: 32, intermediateSize: 22_016,
      vocabularySize: 151_936, ropeTheta: 10_000, mropeSection: [], rmsNormEpsilon: 1e-6,
      maxPositions: 32_768)
  }

  /// Throws 65 when a number is out of range or two do not fit together.
  init(_ section: ConfigSection, root: ConfigSection, _ defaults: Defaults) throws {
    let rope = try section.section("rope_parameters") ?? section.section("rope_scaling")
    var sections = defaults.mropeSection
    if !sections.isEmpty, let given = rope?.json["mrope_section"], given != .null {
      sections = given.asArray?.compactMap(\.asInt) ?? []
      guard sections.count == 3, given.asArray?.count == 3,
        sections.allSatisfy({ (0...(1 << 16)).contains($0) })
      else {
        throw Failure(
          .badData, "bad \"mrope_section\"", at: rope?.place, expected: "three whole numbers",
          found: String(given.text().prefix(60)))
      }
    }
    let standard = sections.isEmpty ? "default" : "mrope"
    let kind = (rope?.json["rope_type"] ?? rope?.json["type"])?.asString ?? standard
    guard kind == standard || kind == "default" else {
      throw Failure(
        .badData, "unsupported rotary embedding", at: section.place, expected: standard,
        found: kind)
    }
    let theta = try section.number("rope_theta", or: defaults.ropeTheta)
    let ropeTheta = try rope?.number("rope_theta", or: theta) ?? theta
    guard ropeTheta == theta || section.json["rope_theta"] == nil else {
      throw Failure(
        .badData, "two values for \"rope_theta\"", at: section.place, expected: "\(theta)",
        found: "\(ropeTheta) inside the rotary embedding's parameters")
    }
    let hidden = try section.size(
      "hidden_size", or: defaults.hiddenSize, atMost: ConfigLimit.width)
    let heads = try section.size(
      "num_attention_heads", or: defaults.heads, atMost: ConfigLimit.width)
    // Of a null there are as many as heads; left out, the family's number.
    let keyValueHeads =
      section.json["num_key_value_heads"] == .null ? heads : defaults.keyValueHeads
    var headDimension: Int?
    if let own = defaults.headDimension {
      headDimension = try section.size("head_dim", or: own, atMost: ConfigLimit.width)
    }
    // Releases 4.52 to 4.57 say it in text_config where it holds.
    let tied = try root.flag("tie_word_embeddings") ?? false
    let textTied = try section.flag("tie_word_embeddings") ?? false
    self.init(
      hiddenSize: hidden,
      layers: try section.size(
        "num_hidden_layers", or: defaults.layers, atMost: ConfigLimit.blocks),
      heads: heads,
      keyValueHeads: try section.size(
        "num_key_value_heads", or: keyValueHeads, atMost: ConfigLimit.width),
      intermediateSize: try section.size(
        "intermediate_size", or: defaults.intermediateSize, atMost: ConfigLimit.vocabulary),
      vocabularySize: try section.size(
        "vocab_size", or: defaults.vocabularySize, atMost: ConfigLimit.vocabulary),
      ropeTheta: ropeTheta, mropeSection: sections,
      rmsNormEpsilon: Float(try section.number("rms_norm_eps", or: defaults.rmsNormEpsilon)),
      tieWordEmbeddings: tied || (defaults.readsTextTie && textTied),
      maxPositions: try section.size(
        "max_position_embeddings", or: defaults.maxPositions, atMost: ConfigLimit.vocabulary),
      headDimension: headDimension)
    try check(place: root.place, sharesWidth: headDimension == nil)
  }

  private func check(place: String, sharesWidth: Bool) throws {
    func require(_ holds: Bool, _ what: String, _ expected: String, _ found: String) throws {
      try ConfigSection.require(holds, what, at: place, expected, found)
    }
    try require(
      (!sharesWidth || hiddenSize % heads == 0) && headDimension % 2 == 0,
      "the width does not divide into heads", "an even number for each of \(heads) heads",
      sharesWidth ? "hidden_size \(hiddenSize)" : "head_dim \(headDimension)")
    try require(
      heads % keyValueHeads == 0, "heads do not share key/value heads evenly",
      "a divisor of \(heads)", "num_key_value_heads \(keyValueHeads)")
    try require(
      mropeSection.isEmpty || mropeSection.reduce(0, +) * 2 == headDimension,
      "mrope_section does not cover a head", "a sum of \(headDimension / 2)",
      "\(mropeSection)")
    try require(
      querySize <= ConfigLimit.vocabulary, "the heads are too wide together",
      "at most \(ConfigLimit.vocabulary)", "\(querySize)")
  }

  /// Throws 65 for a special token outside the vocabulary.
  func checkTokens(_ ids: [Int], place: String) throws {
    try ConfigSection.require(
      ids.allSatisfy { $0 < vocabularySize }, "a special token lies outside the vocabulary",
      at: place, "ids below \(vocabularySize)", "\(ids.max() ?? 0)")
  }

  /// The members of config.json, rotary embedding aside.
  var members: [String: JSON] {
    [
      "attention_dropout": 0.0, "hidden_act": "silu", "initializer_range": 0.02,
      "hidden_size": .int(hiddenSize), "num_hidden_layers": .int(layers),
      "num_attention_heads": .int(heads), "num_key_value_heads": .int(keyValueHeads),
      "intermediate_size": .int(intermediateSize), "vocab_size": .int(vocabularySize),
      "max_position_embeddings": .int(maxPositions), "use_cache": true,
      "rms_norm_eps": .number(TextConfig.shortest(rmsNormEpsilon)),
      "rope_theta": .number(ropeTheta),
    ]
  }

  /// The double that prints as the float does: 1e-06, not 9.999999974752427e-07.
  static func shortest(_ value: Float) -> Double { Double("\(value)") ?? Double(value) }
}
