import Artifacts
import Failures
import Glibc
import Kernels
import Synchronization

/// A Hugging Face checkpoint of Qwen2-VL: its config and its weights, mapped, not read.
///
/// Weights come under the hub's names (`visual.*`, `model.*`, `lm_head.weight`) or under those of
/// newer releases (`model.visual.*`, `model.language_model.*`); here they have the hub's.
public final class Checkpoint: Sendable {
  public let directory: String
  public let config: Qwen2VLConfig
  /// The names of all weights, as people count.
  public let names: [String]
  /// The files that hold them.
  public let files: [String]

  private let tensors: [String: MappedTensor]
  private let cachedFingerprint = Mutex<String?>(nil)

  /// Throws 66 when folder, config or weights are missing, 65 when they are not sound: see
  /// `checkComplete`, which is left to the caller where `complete` is false.
  public init(directory: String, complete: Bool = true) throws {
    self.directory = directory
    // One that a stage wrote has checksums; one that is to be looked at may be damaged.
    if complete, Files.exists(Files.join(directory, Manifest.fileName)) {
      try ArtifactReader.checkFiles(ArtifactReader.manifest(in: directory), in: directory)
    }
    config = try Qwen2VLConfig(directory: directory)
    let (files, found) = try Checkpoint.mapWeights(directory)
    var tensors: [String: MappedTensor] = [:]
    for tensor in found {
      let name = Checkpoint.canonicalName(tensor.name)
      if let other = tensors.updateValue(tensor, forKey: name) {
        throw Failure(
          .badData, "tensor \(name) comes twice", at: tensor.file,
          found: "\(other.name) in \(other.file) and \(tensor.name)")
      }
    }
    self.files = files
    self.tensors = tensors
    names = tensors.keys.sorted(by: naturallyPrecedes)
    if complete { try checkComplete() }
  }

  /// The hub's name of a weight.
  static func canonicalName(_ name: String) -> String {
    for (prefix, canonical) in [
      ("model.visual.", "visual."), ("model.language_model.", "model."),
    ] where name.hasPrefix(prefix) {
      return canonical + name.dropFirst(prefix.count)
    }
    return name
  }

  private static func mapWeights(
    _ directory: String
  ) throws -> (files: [String], tensors: [MappedTensor]) {
    let single = Files.join(directory, "model.safetensors")
    let index = Files.join(directory, "model.safetensors.index.json")
    if Files.exists(single) {
      let file = try readSafetensorsFile(single)
      return (["model.safetensors"], Array(file.tensors.values))
    }
    guard Files.exists(index) else { throw CheckpointFolder.noWeights(directory) }
    let json = try JSON(file: index, limit: 1 << 28)
    guard let map = json["weight_map"]?.asObject, !map.isEmpty else {
      throw Failure(.badData, "no \"weight_map\"", at: index)
    }
    var opened: [String: SafetensorsFile] = [:]
    for (name, value) in map.sorted(by: { $0.key < $1.key }) {
      guard let fileName = value.asString, !fileName.contains("/"), !fileName.hasPrefix(".") else {
        throw Failure(
          .badData, "bad file for tensor \(name)", at: index, expected: "a file's name",
          found: value.text())
      }
      let path = Files.join(directory, fileName)
      guard Files.exists(path) else {
        throw Failure(
          .badData, "the index names a file that is not there, for tensor \(name)", at: index,
          expected: fileName, found: "no such file", advice: "Fetch the missing file")
      }
      let file = try opened[fileName] ?? readSafetensorsFile(path)
      opened[fileName] = file
      guard file.tensors[name] != nil else {
        throw Failure(
          .badData, "the index places tensor \(name) in a file that lacks it", at: path)
      }
    }
    for (fileName, file) in opened.sorted(by: { $0.key < $1.key }) {
      for name in file.names where map[name] != .string(fileName) {
        let shape = file.tensors[name]?.shape ?? []
        throw Failure(
          .badData, "tensor \(name) of shape \(shape) is in a file where the index has none",
          at: file.path, expected: map[name].map { "it in \($0.text())" } ?? "no such tensor")
      }
    }
    return (opened.keys.sorted(), opened.values.flatMap { Array($0.tensors.values) })
  }

  // MARK: Tensors

  /// A weight by the hub's name. Throws 65 naming it and both shapes when it is missing, has
  /// another shape or holds no floats. Where head and embedding are tied, `lm_head.weight` is the
  /// embedding.
  public func tensor(_ name: String, shape: [Int]) throws -> MappedTensor {
    var wanted = name
    if name == "lm_head.weight", config.text.tieWordEmbeddings {
      wanted = "model.embed_tokens.weight"
    }
    guard let tensor = tensors[wanted] else {
      throw Failure(
        .badData, "tensor \(name) is missing", at: directory, expected: "shape \(shape)",
        found: "no such tensor")
    }
    try tensor.requireShape(shape)
    return tensor
  }

  /// A weight as it lies there, nil when there is none.
  public subscript(_ name: String) -> MappedTensor? { tensors[name] }

  /// Throws 65 naming the first tensor that is missing, mis-shaped, wrongly typed or not the
  /// model's, by the config.
  public func checkComplete() throws {
    for (name, shape) in config.tensorShapes { _ = try tensor(name, shape: shape) }
    var known = Set(config.tensorShapes.map(\.name))
    // A tied head may be stored all the same; the embedding is what counts.
    if config.text.tieWordEmbeddings { known.insert("lm_head.weight") }
    let extra = names.filter { !known.contains($0) }
    if let first = extra.first, let tensor = tensors[first] {
      throw Failure(
        .badData, "tensor \(first) is not part of the model", at: tensor.file,
        expected: "no such tensor", found: "shape \(tensor.shape)",
        advice: extra.count > 1 ? "There are \(extra.count) such tensors" : nil)
    }
  }

  // MARK: Fingerprint

  /// A digest of the config and the weights, the same for the same model however it is cut into
  /// files or named. Tensors up to 1 MiB go in whole; of a larger one sixteen evenly spaced blocks
  /// of 64 KiB do, so that 15 GB take a second. That tells models and training states apart; it
  /// does not find a damaged byte.
  public var fingerprint: String {
    cachedFingerprint.withLock { cached in
      if let cached { return cached }
      var digest = Digest()
      digest.update(config.fingerprintText)
      for name in names {
        guard let tensor = tensors[name] else { continue }
        digest.update("\n\(name) \(tensor.type.rawValue) \(tensor.shape)\n")
        withExtendedLifetime(tensor.owner) { Checkpoint.sample(tensor.bytes, into: &digest) }
      }
      let value = digest.value
      cached = value
      return value
    }
  }

  private static func sample(_ bytes: UnsafeRawBufferPointer, into digest: inout Digest) {
    let block = 1 << 16
    let blocks = 16
    guard bytes.count > block * blocks else { return digest.update(bytes) }
    let samples = (0..<blocks).map { number in
      let start = (bytes.count - block) / (blocks - 1) * number
      return UnsafeRawBufferPointer(rebasing: bytes[start..<start + block])
    }
    // Otherwise the system reads megabytes around each block: the whole checkpoint.
    advise(bytes, MADV_RANDOM)
    defer { advise(bytes, MADV_NORMAL) }
    for sample in samples { advise(sample, MADV_WILLNEED) }
    for sample in samples { digest.update(sample) }
  }

  /// Tells the system how these mapped bytes will be read.
  private static func advise(_ bytes: UnsafeRawBufferPointer, _ advice: Int32) {
    guard let start = bytes.baseAddress else { return }
    let offset = Int(bitPattern: start) % Int(getpagesize())
    madvise(UnsafeMutableRawPointer(mutating: start - offset), bytes.count + offset, advice)
  }
}
