import Artifacts
import Checkpoints
import Failures
import Models
import Kernels
import Tensors

/// The trained verbalizers of one backbone: the artifact `verbalizers`, one file
/// `verbalizers.safetensors` with `layers.K.gate.weight`, `.up.weight`, `.down.weight` [d, d] (the
/// weights of another architecture under their names in `VerbalizerForm`) and, where the input is
/// normalised, `.norm.weight` [d].
public final class VerbalizerSet {
  public static let fileName = "verbalizers.safetensors"

  public let form: VerbalizerForm
  /// By target layer, ascending.
  public let all: [Verbalizer]

  /// The backbone's width d.
  public var width: Int { form.backbone.width }
  /// The target layers, ascending.
  public var layers: [Int] { all.map(\.layer) }

  public subscript(_ layer: Int) -> Verbalizer? { all.first { $0.layer == layer } }

  public init(_ all: [Verbalizer], form: VerbalizerForm) {
    self.all = all.sorted { $0.layer < $1.layer }
    self.form = form
  }

  /// Untrained ones. Numbers depend on the seed and each layer's number alone.
  /// - Parameter finalNorm: the weight of the backbone's final norm [d].
  public convenience init(
    layers: [Int], finalNorm: [Float], form: VerbalizerForm, seed: UInt64
  ) {
    self.init(
      layers.map { Verbalizer(layer: $0, form: form, finalNorm: finalNorm, seed: seed) },
      form: form)
  }

  // MARK: The file

  /// Writes the file, float32. Equal weights give equal bytes.
  /// - Throws: `Failure` 73 or 74.
  public func write(to path: String) throws {
    let tensors = all.flatMap { verbalizer in
      (verbalizer.parameters + [verbalizer.norm].compactMap { $0 }).map { parameter in
        OutputTensor(name: parameter.name, type: .float32, shape: parameter.shape) {
          parameter.floats
        }
      }
    }
    try writeSafetensorsFile(path, tensors, metadata: form.metadata)
  }

  /// Maps a file that `write` wrote; its weights are frozen and stay on disk until touched.
  /// - Throws: `Failure(.badData)` naming the tensor that is missing, has another shape or does not
  ///   belong there.
  public convenience init(_ file: SafetensorsFile) throws {
    let form = try VerbalizerForm(file.metadata, place: file.path)
    let norms =
      form.inputNorm
      ? [VerbalizerForm.Weight(name: Verbalizer.normName, shape: [form.backbone.width])] : []
    let known = Set((form.weights + norms).map(\.name))
    let layers = Set(
      try file.names.map { name in
        guard let (layer, part) = Self.parts(of: name), known.contains(part) else {
          throw Failure(
            .badData, "a tensor that no verbalizer of its kind has",
            at: "\(file.path), tensor \(name)",
            expected: form.weights.map { "layers.K.\($0.name)" }.joined(separator: ", "))
        }
        return layer
      })
    func parameter(_ layer: Int, _ weight: VerbalizerForm.Weight) throws -> Parameter {
      let tensor = try file.tensor(Verbalizer.name(layer, weight.name), shape: weight.shape)
      return Parameter(
        tensor.name, shape: weight.shape, mapped: tensor.pointer, type: tensor.type,
        owner: tensor.owner)
    }
    try self.init(
      layers.sorted().map { layer in
        try Verbalizer(
          layer: layer, form: form, norm: norms.first.map { try parameter(layer, $0) }
        ) { try parameter(layer, $0) }
      }, form: form)
  }

  /// K and the rest of `layers.K.rest`, nil for any other name.
  private static func parts(of name: String) -> (layer: Int, part: String)? {
    let parts = name.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "layers", let layer = Int(parts[1]), layer > 0,
      Verbalizer.name(layer, String(parts[2])) == name
    else { return nil }
    return (layer, String(parts[2]))
  }

  /// Opens the artifact in `directory`.
  /// - Throws: `Failure` 66 when it is missing, 65 when it is no finished verbalizers artifact or
  ///   damaged.
  public convenience init(directory: String) throws {
    try self.init(ArtifactReader(directory: directory, kind: .verbalizers))
  }

  public convenience init(_ artifact: ArtifactReader) throws {
    try self.init(readSafetensorsFile(artifact.path(Self.fileName)))
  }
}

// MARK: Metadata

extension VerbalizerForm {
  /// The form as the file's metadata: of the backbone's numbers, those that the architecture needs.
  var metadata: [String: String] {
    var metadata = [
      "format": architecture.rawValue, "width": String(backbone.width),
      "residual": String(residual), "input_norm": String(inputNorm),
      "rms_norm_epsilon": String(backbone.epsilon),
    ]
    if depth > 1 { metadata["depth"] = String(depth) }
    if architecture == .ffn || architecture == .decoder {
      metadata["intermediate_size"] = String(backbone.intermediate)
    }
    if architecture == .decoder {
      metadata["heads"] = String(backbone.heads)
      metadata["key_value_heads"] = String(backbone.keyValueHeads)
      metadata["rope_theta"] = String(backbone.ropeTheta)
      // What the first family has is not said.
      if backbone.headSize * backbone.heads != backbone.width {
        metadata["head_size"] = String(backbone.headSize)
      }
      if backbone.queryKeyNorms { metadata["query_key_norms"] = "true" }
      if !backbone.attentionBias { metadata["attention_bias"] = "false" }
    }
    return metadata
  }

  /// - Throws: `Failure(.badData)` naming the key that is missing or cannot be.
  init(_ metadata: [String: String], place: String) throws {
    func fact<Value>(_ key: String, _ parse: (String) -> Value?) throws -> Value {
      guard let text = metadata[key], let value = parse(text) else {
        throw Failure(
          .badData, "the metadata of the verbalizers lack a sound \"\(key)\"", at: place,
          found: metadata[key], advice: "Run vlsi-verbalize again")
      }
      return value
    }
    func size(_ key: String, most: Int = 1 << 24) throws -> Int {
      try fact(key) { Int($0).flatMap { (1...most).contains($0) ? $0 : nil } }
    }
    let architecture = try fact("format") { Architecture(rawValue: $0) }
    let isDecoder = architecture == .decoder
    let backbone = DecoderShape(
      width: try size("width"),
      intermediate: isDecoder || architecture == .ffn ? try size("intermediate_size") : 1,
      heads: isDecoder ? try size("heads") : 1,
      keyValueHeads: isDecoder ? try size("key_value_heads") : 1,
      headSize: isDecoder && metadata["head_size"] != nil ? try size("head_size") : nil,
      ropeTheta: isDecoder ? try fact("rope_theta") { Double($0) } : 1,
      epsilon: try fact("rms_norm_epsilon") { Float($0) },
      attentionBias: metadata["attention_bias"] == nil
        ? true : try fact("attention_bias") { Bool($0) },
      queryKeyNorms: metadata["query_key_norms"] == nil
        ? false : try fact("query_key_norms") { Bool($0) })
    let shared = metadata["head_size"] == nil && backbone.width % backbone.heads != 0
    guard !isDecoder || (!shared && backbone.headSize % 2 == 0),
      backbone.heads % backbone.keyValueHeads == 0
    else {
      throw Failure(
        .badData, "the attention of the verbalizers cannot be cut into heads", at: place,
        expected: "an even width of a head, and heads in whole groups",
        found: "width \(backbone.width), \(backbone.heads) heads, "
          + "\(backbone.keyValueHeads) of keys and values")
    }
    self.init(
      architecture: architecture, depth: metadata["depth"] == nil ? 1 : try size("depth", most: 64),
      inputNorm: try fact("input_norm") { Bool($0) }, residual: try fact("residual") { Bool($0) },
      backbone: backbone)
  }
}
