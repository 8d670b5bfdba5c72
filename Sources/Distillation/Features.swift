import Artifacts
import Failures
import Kernels
import Tensors

/// Which output of a backbone: a target layer by its number, counted from 1, or the last layer
/// behind the final norm.
public enum TargetLayer: Hashable, Sendable, CustomStringConvertible {
  case layer(Int)
  case last

  /// As tensors are named: `hidden.6`, `hidden.last`.
  public var description: String {
    switch self {
    case .layer(let number): String(number)
    case .last: "last"
    }
  }

  /// The target layers, shallow to deep, and the last one.
  public static func all(_ layers: [Int]) -> [TargetLayer] { layers.map { .layer($0) } + [.last] }
}

/// One sample's hidden states at its s supervised positions.
public struct Features: Sendable {
  public let index: Int
  /// The position that predicts [s].
  public let positions: [Int32]
  /// The token predicted [s].
  public let labels: [Int32]
  /// [s, d] each
  let hidden: [TargetLayer: RawTensor]

  public var count: Int { labels.count }

  /// Writes the hidden states of the supervised positions `rows` to `target` [rows, d].
  public func copy(
    _ layer: TargetLayer, rows: Range<Int>, to target: UnsafeMutablePointer<Float>
  ) {
    guard let tensor = hidden[layer], let width = tensor.shape.last else { return }
    precondition(rows.lowerBound >= 0 && rows.upperBound <= count)
    tensor.bytes.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress {
        widen(
          base + rows.lowerBound * width * tensor.type.size, tensor.type, rows.count * width,
          to: target)
      }
    }
  }

  /// Bytes of the hidden states.
  public var byteCount: Int { hidden.values.reduce(0) { $0 + $1.bytes.count } }
}

/// Reads the `features` artifact, checked.
public final class FeatureReader {
  public let artifact: ArtifactReader
  /// The target layers, ascending.
  public let layers: [Int]
  /// The backbone's width d.
  public let width: Int
  /// The samples whose hidden states it holds: all of its records, or a share of them where it holds
  /// visual embeddings too.
  public let indices: [Int]
  /// What the labels are tokens of; nil in features that do not tell.
  private let vocabulary: Int?

  /// - Throws: `Failure` 66 when the artifact is missing, 65 when it is not finished or of another
  ///   kind.
  public init(directory: String) throws {
    artifact = try ArtifactReader(directory: directory, kind: .features)
    let fields = JSONFields(.object(artifact.manifest.facts), place: directory + "/manifest.json")
    width = try fields.int("width")
    vocabulary = fields.json["vocabulary"]?.asInt
    layers = (fields.json["layers"]?.asArray ?? []).compactMap(\.asInt).sorted()
    let share = FeatureShare(artifact.manifest.settings)
    indices =
      artifact.manifest.settings["store_visual"]?.asBool == true
      ? share.of(artifact.indices) : artifact.indices
  }

  /// The features of sample `index`.
  /// - Throws: `Failure(.badData)` naming record and tensor when it is damaged or does not fit.
  public func features(_ index: Int) throws -> Features {
    let record = try artifact.record(index)
    let place = artifact.place(of: index)
    let labels = try record.tensor("labels").int32s()
    let positions = try record.tensor("positions").int32s()
    try SupervisedPositions.check(positions, labels, vocabulary: vocabulary, place: place)
    var hidden: [TargetLayer: RawTensor] = [:]
    for layer in TargetLayer.all(layers) {
      let tensor = try record.tensor("hidden.\(layer)")
      guard tensor.shape == [labels.count, width],
        [.bfloat16, .float16, .float32].contains(tensor.type)
      else {
        throw Failure(
          .badData, "the hidden states have another shape or type",
          at: "\(place), tensor hidden.\(layer)", expected: "[\(labels.count), \(width)] of floats",
          found: "\(tensor.shape) of \(tensor.type.rawValue)")
      }
      hidden[layer] = tensor
    }
    return Features(index: index, positions: positions, labels: labels, hidden: hidden)
  }
}
