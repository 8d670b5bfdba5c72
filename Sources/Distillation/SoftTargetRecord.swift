import Artifacts
import Failures
import Kernels

/// What a teacher says at the supervised positions of one sample, layer by layer: a record of the
/// `targets` artifact (DESIGN.md, "Artifacts").
public struct SoftTargetRecord: Sendable, Equatable {
  public var index: Int
  /// The position that predicts [s].
  public var positions: [Int32]
  /// The token predicted [s].
  public var labels: [Int32]
  public var layers: [TargetLayer: SoftTarget]

  public init(
    index: Int, positions: [Int32], labels: [Int32], layers: [TargetLayer: SoftTarget]
  ) {
    self.index = index
    self.positions = positions
    self.labels = labels
    self.layers = layers
  }

  // MARK: Writing

  /// The stored form.
  /// - Parameters:
  ///   - width: the student's width d, the second axis of `projected.K`.
  ///   - precision: of `projected.K`, float16 or bfloat16.
  public func record(width: Int, precision: ElementType) -> Record {
    let s = positions.count
    var tensors = [
      "positions": RawTensor(int32: positions, shape: [s]),
      "labels": RawTensor(int32: labels, shape: [s]),
    ]
    for (layer, target) in layers {
      tensors["entropy.\(layer)"] = RawTensor(float32: target.entropy, shape: [s])
      switch target {
      case .exact(let projected, _):
        tensors["projected.\(layer)"] = RawTensor(projected, as: precision, shape: [s, width])
      case .largest(let largest):
        let shape = [s, largest.k]
        tensors["indices.\(layer)"] = RawTensor(int32: largest.indices, shape: shape)
        tensors["probabilities.\(layer)"] = RawTensor(
          largest.probabilities, as: .float16, shape: shape)
        tensors["tail.\(layer)"] = RawTensor(float32: largest.tail, shape: [s])
      }
    }
    return Record(index: index, tensors: tensors)
  }

  // MARK: Reading

  /// Reads the layers asked for.
  /// - Throws: `Failure(.badData)` naming the tensor that is missing or does not fit.
  public init(_ record: Record, layers wanted: [TargetLayer], width: Int, place: String) throws {
    let fields = Fields(record: record, place: place)
    let labels = try fields.integers("labels", [nil]).values
    let s = labels.count
    index = record.index
    self.labels = labels
    positions = try fields.integers("positions", [s]).values
    layers = [:]
    for layer in wanted {
      let entropy = try fields.floats("entropy.\(layer)", [s]).values
      if record.tensors["projected.\(layer)"] != nil {
        layers[layer] = .exact(
          projected: try fields.floats("projected.\(layer)", [s, width]).values, entropy: entropy)
        continue
      }
      let indices = try fields.integers("indices.\(layer)", [s, nil])
      let k = indices.shape[1]
      layers[layer] = .largest(
        LanguageHead.Largest(
          k: k, indices: indices.values,
          probabilities: try fields.floats("probabilities.\(layer)", [s, k]).values,
          tail: try fields.floats("tail.\(layer)", [s]).values, entropy: entropy))
    }
  }

  private struct Fields {
    let record: Record
    let place: String

    func floats(_ name: String, _ shape: [Int?]) throws -> (values: [Float], shape: [Int]) {
      let tensor = try tensor(name, shape)
      let values = try tensor.floats()
      guard values.allSatisfy(\.isFinite) else {
        throw Failure(
          .badData, "a number that is not finite", at: "\(place), tensor \(name)",
          advice: "Run vlsi-target again")
      }
      return (values, tensor.shape)
    }

    func integers(_ name: String, _ shape: [Int?]) throws -> (values: [Int32], shape: [Int]) {
      let tensor = try tensor(name, shape)
      return (try tensor.int32s(), tensor.shape)
    }

    /// nil in `shape` stands for any size.
    private func tensor(_ name: String, _ shape: [Int?]) throws -> RawTensor {
      guard let tensor = record.tensors[name] else {
        throw Failure(
          .badData, "a tensor is missing", at: "\(place), tensor \(name)",
          found: record.tensors.keys.sorted().joined(separator: ", "))
      }
      guard tensor.shape.count == shape.count,
        zip(tensor.shape, shape).allSatisfy({ $1 == nil || $0 == $1 })
      else {
        let expected = shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
        throw Failure(
          .badData, "a tensor has another shape", at: "\(place), tensor \(name)",
          expected: "[\(expected)]", found: "\(tensor.shape)")
      }
      return tensor
    }
  }
}

/// Reads the `targets` artifact.
public final class TargetReader {
  public let artifact: ArtifactReader
  /// The teacher's target layers, ascending.
  public let layers: [Int]
  /// The student's width d.
  public let width: Int
  /// The tokens that teacher and student share: the student's logits are cut to them.
  public let sharedVocabulary: Int

  /// - Throws: `Failure` 66 when the artifact is missing, 65 when it is not finished or of another
  ///   kind.
  public init(directory: String) throws {
    artifact = try ArtifactReader(directory: directory, kind: .targets)
    let fields = JSONFields(.object(artifact.manifest.facts), place: directory + "/manifest.json")
    width = try fields.int("width")
    sharedVocabulary = try fields.int("shared_vocabulary")
    layers = (fields.json["layers"]?.asArray ?? []).compactMap(\.asInt).sorted()
  }

  /// What the teacher says about sample `index`, all its layers unless `layers` names fewer.
  /// - Throws: `Failure(.badData)` naming record and tensor.
  public func targets(_ index: Int, layers wanted: [TargetLayer]? = nil) throws
    -> SoftTargetRecord
  {
    try SoftTargetRecord(
      artifact.record(index), layers: wanted ?? TargetLayer.all(layers), width: width,
      place: artifact.place(of: index))
  }
}
