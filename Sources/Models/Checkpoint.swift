import Artifacts
import Checkpoints
import Failures
import Synchronization

/// A Hugging Face checkpoint of a known family: its config and its weights, mapped, not read.
///
/// Weights come under the hub's names or under those that newer releases of transformers write;
/// here they have the hub's.
public final class Checkpoint: Sendable {
  public let directory: String
  public let config: any ModelConfig
  private let weights: WeightFiles
  private let cachedFingerprint = Mutex<String?>(nil)

  /// The names of all weights, as people count.
  public var names: [String] { weights.names }
  /// The files that hold them.
  public var files: [String] { weights.files }

  /// Throws 66 when folder, config or weights are missing, 65 when they are not sound: see
  /// `checkComplete`, which is left to the caller where `complete` is false.
  public init(directory: String, complete: Bool = true) throws {
    self.directory = directory
    // One that a stage wrote has checksums; one that is to be looked at may be damaged.
    if complete, Files.exists(Files.join(directory, Manifest.fileName)) {
      try ArtifactReader.checkFiles(ArtifactReader.manifest(in: directory), in: directory)
    }
    config = try ModelFamilies.config(directory: directory)
    weights = try WeightFiles(directory: directory, rename: type(of: config).names.canonical)
    if complete { try checkComplete() }
  }

  /// A weight by the hub's name. Throws 65 naming it and both shapes when it is missing, has
  /// another shape or holds no floats. Where head and embedding are tied, the head is the embedding.
  public func tensor(_ name: String, shape: [Int]) throws -> MappedTensor {
    let names = type(of: config).names
    let isTied = config.text.tieWordEmbeddings && name == names.head
    return try weights.tensor(isTied ? names.embedding : name, shape: shape)
  }

  /// A weight as it lies there, nil when there is none.
  public subscript(_ name: String) -> MappedTensor? { weights[name] }

  /// Bytes of the decoder blocks' weights.
  public var blockBytes: Int {
    let prefix = config.tensorNames.text + "layers."
    return names.filter { $0.hasPrefix(prefix) }.reduce(0) { $0 + (weights[$1]?.byteCount ?? 0) }
  }

  /// Throws 65 naming the first tensor that is missing, mis-shaped, wrongly typed or not the
  /// model's, by the config.
  public func checkComplete() throws {
    let shapes = config.tensorShapes
    for (name, shape) in shapes { _ = try tensor(name, shape: shape) }
    var known = Set(shapes.map(\.name))
    // A tied head may be stored all the same; the embedding is what counts.
    if config.text.tieWordEmbeddings { known.insert(type(of: config).names.head) }
    let extra = names.filter { !known.contains($0) }
    if let first = extra.first, let tensor = weights[first] {
      throw Failure(
        .badData, "tensor \(first) is not part of the model", at: tensor.file,
        expected: "no such tensor", found: "shape \(tensor.shape)",
        advice: extra.count > 1 ? "There are \(extra.count) such tensors" : nil)
    }
  }

  /// A digest of some weights with their names; see `WeightFiles.update`.
  public func fingerprint(of names: [String]) -> String {
    var digest = Digest()
    weights.update(&digest, names: names)
    return digest.value
  }

  /// A digest of the config and the weights, the same for the same model however it is cut into
  /// files or named: see `WeightFiles.update`.
  public var fingerprint: String {
    cachedFingerprint.withLock { cached in
      if let cached { return cached }
      var digest = Digest()
      digest.update(config.fingerprintText)
      weights.update(&digest)
      let value = digest.value
      cached = value
      return value
    }
  }
}
