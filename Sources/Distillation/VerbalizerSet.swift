import Artifacts
import Checkpoints
import Failures
import Kernels
import Tensors

/// The trained verb-FFNs of one backbone: the artifact `verbalizers`, one file
/// `verbalizers.safetensors` with `layers.K.gate.weight`, `.up.weight`, `.down.weight` [d, d] and,
/// where the input is normalised, `.norm.weight` [d].
public final class VerbalizerSet {
  public static let fileName = "verbalizers.safetensors"

  /// The backbone's width d.
  public let width: Int
  public let form: VerbalizerForm
  /// By target layer, ascending.
  public let all: [Verbalizer]

  /// The target layers, ascending.
  public var layers: [Int] { all.map(\.layer) }

  public subscript(_ layer: Int) -> Verbalizer? { all.first { $0.layer == layer } }

  public init(_ all: [Verbalizer], width: Int, form: VerbalizerForm) {
    self.all = all.sorted { $0.layer < $1.layer }
    self.width = width
    self.form = form
  }

  /// Untrained ones. Numbers depend on the seed and each layer's number alone.
  /// - Parameter finalNorm: the weight of the backbone's final norm [d].
  public convenience init(
    layers: [Int], finalNorm: [Float], form: VerbalizerForm, seed: UInt64
  ) {
    self.init(
      layers.map {
        Verbalizer(
          layer: $0, width: finalNorm.count, form: form, finalNorm: finalNorm, seed: seed)
      }, width: finalNorm.count, form: form)
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
    try writeSafetensorsFile(
      path, tensors,
      metadata: [
        "format": "verb-ffn", "width": String(width), "residual": String(form.residual),
        "input_norm": String(form.inputNorm), "rms_norm_epsilon": String(form.epsilon),
      ])
  }

  /// Maps a file that `write` wrote; its weights are frozen and stay on disk until touched.
  /// - Throws: `Failure(.badData)` naming the tensor that is missing, has another shape or does not
  ///   belong there.
  public convenience init(_ file: SafetensorsFile) throws {
    func fact<Value>(_ key: String, _ parse: (String) -> Value?) throws -> Value {
      guard let text = file.metadata[key], let value = parse(text) else {
        throw Failure(
          .badData, "the metadata of the verbalizers lack \"\(key)\"", at: file.path,
          found: file.metadata[key], advice: "Run vlsi-verbalize again")
      }
      return value
    }
    let width = try fact("width") { Int($0) }
    let form = VerbalizerForm(
      inputNorm: try fact("input_norm") { Bool($0) }, residual: try fact("residual") { Bool($0) },
      epsilon: try fact("rms_norm_epsilon") { Float($0) })
    func parameter(_ layer: Int, _ part: Verbalizer.Part) throws -> Parameter {
      let shape = part == .norm ? [width] : [width, width]
      let tensor = try file.tensor(Verbalizer.name(layer, part), shape: shape)
      return Parameter(
        tensor.name, shape: shape, mapped: tensor.pointer, type: tensor.type, owner: tensor.owner)
    }
    let layers = Set(
      try file.names.map { name in
        guard let layer = Self.layer(of: name, form) else {
          throw Failure(
            .badData, "a tensor that no verbalizer has", at: "\(file.path), tensor \(name)",
            expected: "layers.K.gate.weight, .up.weight, .down.weight")
        }
        return layer
      })
    try self.init(
      layers.sorted().map { layer in
        Verbalizer(
          layer: layer, gate: try parameter(layer, .gate), up: try parameter(layer, .up),
          down: try parameter(layer, .down),
          norm: form.inputNorm ? try parameter(layer, .norm) : nil, form: form)
      }, width: width, form: form)
  }

  /// The layer K of `layers.K.part.weight`, nil for any other name.
  private static func layer(of name: String, _ form: VerbalizerForm) -> Int? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "layers", let layer = Int(parts[1]), layer > 0,
      let part = Verbalizer.Part(rawValue: String(parts[2])), part != .norm || form.inputNorm,
      Verbalizer.name(layer, part) == name
    else { return nil }
    return layer
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
