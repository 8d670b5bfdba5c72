import Artifacts
import Failures
import Glibc
import Kernels

/// The weights of a checkpoint's folder, in one safetensors file or in several with an index:
/// mapped, not read. No model: which names and shapes there should be, the caller knows.
public struct WeightFiles: Sendable {
  public let directory: String
  /// The files that hold them.
  public let files: [String]
  /// The names of all weights, as people count.
  public let names: [String]
  private let tensors: [String: MappedTensor]

  /// - Parameter rename: the name under which a stored tensor is known from here on: releases of
  ///   transformers differ in them.
  /// - Throws: `Failure`, 66 when there are no weights, 65 when they are not sound or two tensors
  ///   come to one name.
  public init(directory: String, rename: (String) -> String = { $0 }) throws {
    self.directory = directory
    let (files, found) = try WeightFiles.map(directory)
    var tensors: [String: MappedTensor] = [:]
    for tensor in found {
      let name = rename(tensor.name)
      if let other = tensors.updateValue(tensor, forKey: name) {
        throw Failure(
          .badData, "tensor \(name) comes twice", at: tensor.file,
          found: "\(other.name) in \(other.file) and \(tensor.name)")
      }
    }
    self.files = files
    self.tensors = tensors
    names = tensors.keys.sorted(by: naturallyPrecedes)
  }

  private static func map(
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

  /// A weight as it lies there, nil when there is none.
  public subscript(_ name: String) -> MappedTensor? { tensors[name] }

  /// A weight. Throws 65 naming it and both shapes when it is missing, has another shape or holds no
  /// floats.
  public func tensor(_ name: String, shape: [Int]) throws -> MappedTensor {
    guard let tensor = tensors[name] else {
      throw Failure(
        .badData, "tensor \(name) is missing", at: directory, expected: "shape \(shape)",
        found: "no such tensor")
    }
    try tensor.requireShape(shape)
    return tensor
  }

  /// Adds names, types, shapes and content to a digest. Tensors up to 1 MiB go in whole; of a larger
  /// one sixteen evenly spaced blocks of 64 KiB do, so that 15 GB take a second. That tells models
  /// and training states apart; it does not find a damaged byte.
  /// - Parameter some: of these tensors alone
  public func update(_ digest: inout Digest, names some: [String]? = nil) {
    for name in some ?? names {
      guard let tensor = tensors[name] else { continue }
      digest.update("\n\(name) \(tensor.type.rawValue) \(tensor.shape)\n")
      withExtendedLifetime(tensor.owner) { WeightFiles.sample(tensor.bytes, into: &digest) }
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
    MappedBytes.advise(bytes, MADV_RANDOM)
    defer { MappedBytes.advise(bytes, MADV_NORMAL) }
    for sample in samples { MappedBytes.advise(sample, MADV_WILLNEED) }
    for sample in samples { digest.update(sample) }
  }
}
