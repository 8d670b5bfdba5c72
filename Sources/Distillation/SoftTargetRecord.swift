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
  /// The vectors themselves, in the form `vectors`.
  public var vectors: [TargetLayer: TeacherVectors]

  public init(
    index: Int, positions: [Int32], labels: [Int32], layers: [TargetLayer: SoftTarget],
    vectors: [TargetLayer: TeacherVectors] = [:]
  ) {
    self.index = index
    self.positions = positions
    self.labels = labels
    self.layers = layers
    self.vectors = vectors
  }

  /// The stored form.
  /// - Parameters:
  ///   - width: the student's width d, the second axis of `projected.K`.
  ///   - precision: of `projected.K` and `vector.K`, float16 or bfloat16.
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
    for (layer, said) in vectors {
      tensors["vector.\(layer)"] = RawTensor(said.values, as: precision, shape: [s, said.width])
      tensors["logsumexp.\(layer)"] = RawTensor(float32: said.logSumExp, shape: [s])
    }
    return Record(index: index, tensors: tensors)
  }
}

/// A record of the `targets` artifact, decoded layer by layer as asked for: of the teacher's vectors
/// a step needs those of few layers.
public struct StoredTargets: Sendable {
  public let index: Int
  /// The position that predicts [s].
  public let positions: [Int32]
  /// The token predicted [s].
  public let labels: [Int32]
  private let fields: RecordFields
  fileprivate static let advice = "Run vlsi-target again"
  private let width: Int
  private let vocabulary: Int?

  /// - Parameters:
  ///   - width: the student's width d.
  ///   - vocabulary: the tokens that teacher and student share; nil where that is not known.
  /// - Throws: `Failure(.badData)` naming the tensor that is missing or does not fit.
  public init(_ record: Record, width: Int, vocabulary: Int? = nil, place: String) throws {
    fields = RecordFields(record: record, place: place)
    self.width = width
    self.vocabulary = vocabulary
    index = record.index
    labels = try fields.integers("labels", [nil]).values
    positions = try fields.integers("positions", [labels.count]).values
    // A label may lie beyond the tokens that are shared: it is compared with the sample's.
    try SupervisedPositions.check(positions, labels, vocabulary: nil, place: place)
  }

  /// What the layer says, in the form that is stored.
  /// - Throws: `Failure(.badData)` naming the tensor that is missing or does not fit.
  public func soft(_ layer: TargetLayer) throws -> SoftTarget {
    let s = labels.count
    let entropy = try fields.floats("entropy.\(layer)", [s]).values
    if fields.record.tensors["projected.\(layer)"] != nil {
      return .exact(
        projected: try fields.floats("projected.\(layer)", [s, width]).values, entropy: entropy)
    }
    let indices = try fields.integers("indices.\(layer)", [s, nil])
    let k = indices.shape[1]
    let largest = LanguageHead.Largest(
      k: k, indices: indices.values,
      probabilities: try fields.floats("probabilities.\(layer)", [s, k]).values,
      tail: try fields.floats("tail.\(layer)", [s]).values, entropy: entropy)
    try check(largest, layer)
    return .largest(largest)
  }

  /// Tokens once each, and probabilities that with the tail make up the whole.
  private func check(_ largest: LanguageHead.Largest, _ layer: TargetLayer) throws {
    let (k, most) = (largest.k, vocabulary ?? Int(Int32.max))
    func refuse(_ name: String, _ row: Int, _ problem: String, _ expected: String, _ found: String)
      -> Failure
    {
      fields.failure(
        "\(name).\(layer)", "row \(row): \(problem)", expected: expected, found: found,
        advice: StoredTargets.advice)
    }
    for (row, tail) in largest.tail.enumerated() {
      let entries = row * k..<(row + 1) * k
      let tokens = largest.indices[entries]
      if let token = tokens.first(where: { !(0..<most).contains(Int($0)) }) {
        throw refuse("indices", row, "no token of the vocabulary", "0 to \(most - 1)", "\(token)")
      }
      guard Set(tokens).count == k else {
        throw refuse("indices", row, "a token twice", "\(k) tokens", "\(Set(tokens).count)")
      }
      let probabilities = largest.probabilities[entries]
      if let p = probabilities.first(where: { !(0...1).contains($0) }) {
        throw refuse("probabilities", row, "no probability", "0 to 1", "\(p)")
      }
      guard (0...1).contains(tail) else {
        throw refuse("tail", row, "no probability", "0 to 1", "\(tail)")
      }
      // Float16 rounds each to a part in 2048.
      let mass = probabilities.reduce(tail, +)
      guard abs(mass - 1) < 0.01 else {
        throw refuse(
          "probabilities", row, "with the tail they are not the whole", "a sum of 1", "\(mass)")
      }
    }
  }

  /// The layer's vectors.
  /// - Throws: `Failure(.badData)` naming the tensor that is missing or does not fit.
  public func vectors(_ layer: TargetLayer) throws -> TeacherVectors {
    let vectors = try fields.floats("vector.\(layer)", [labels.count, nil])
    return TeacherVectors(
      width: vectors.shape[1], values: vectors.values,
      logSumExp: try fields.floats("logsumexp.\(layer)", [labels.count]).values)
  }
}

extension RecordFields {
  /// Throws 65 as `tensor` does, and for a number that is not finite.
  fileprivate func floats(
    _ name: String, _ shape: [Int?]
  ) throws -> (values: [Float], shape: [Int]) {
    let tensor = try tensor(name, shape)
    let values = try tensor.floats()
    guard tensor.firstNonFinite == nil else {
      throw failure(name, "a number that is not finite", advice: StoredTargets.advice)
    }
    return (values, tensor.shape)
  }
}

/// Reads the `targets` artifact.
public final class TargetReader {
  public let artifact: ArtifactReader
  /// The teacher's target layers, ascending.
  public let layers: [Int]
  /// The student's width d.
  public let width: Int
  /// The teacher's width d; nil in targets of earlier versions.
  public let teacherWidth: Int?
  /// The tokens that teacher and student share: the student's logits are cut to them.
  public let sharedVocabulary: Int
  /// Of the distributions: the logits were divided by it.
  public let temperature: Float
  /// Whether the teacher's vectors are stored, from which every logit can be made again.
  public let hasVectors: Bool

  /// - Throws: `Failure` 66 when the artifact is missing, 65 when it is not finished or of another
  ///   kind.
  public init(directory: String) throws {
    artifact = try ArtifactReader(directory: directory, kind: .targets)
    let fields = JSONFields(.object(artifact.manifest.facts), place: directory + "/manifest.json")
    width = try fields.int("width")
    teacherWidth = fields.json["teacher_width"]?.asInt
    sharedVocabulary = try fields.int("shared_vocabulary")
    layers = (fields.json["layers"]?.asArray ?? []).compactMap(\.asInt).sorted()
    temperature = Float(fields.json["temperature"]?.asDouble ?? 1)
    hasVectors = fields.json["form"]?.asString == "vectors"
    guard temperature.isFinite, temperature > 0 else {
      throw Failure(
        .badData, "the targets' temperature cannot be", at: directory + "/manifest.json",
        expected: "more than 0", found: "\(temperature)", advice: "Run vlsi-target again")
    }
  }

  /// What the teacher says about sample `index`.
  /// - Throws: `Failure(.badData)` naming the record when it is missing or damaged.
  public func targets(_ index: Int) throws -> StoredTargets {
    try StoredTargets(
      artifact.record(index), width: width, vocabulary: sharedVocabulary,
      place: artifact.place(of: index))
  }
}
