import Failures
import Kernels

/// What is stored about one sample: named tensors and text.
public struct Record: Sendable, Equatable {
  /// The sample's index in the data set.
  public var index: Int
  public var tensors: [String: RawTensor]
  public var metadata: [String: String]

  /// The metadata key that repeats the record's own index, so that a record found under a wrong
  /// key is noticed.
  static let sampleKey = "sample"

  public init(index: Int, tensors: [String: RawTensor], metadata: [String: String] = [:]) {
    self.index = index
    self.tensors = tensors
    self.metadata = metadata
  }

  /// A tensor that must be there. Throws 65 naming it.
  public func tensor(_ name: String) throws -> RawTensor {
    guard let tensor = tensors[name] else {
      throw Failure(
        .badData, "no tensor \(name)", at: "record \(index)",
        found: tensors.keys.sorted(by: naturallyPrecedes).joined(separator: ", "))
    }
    return tensor
  }

  /// The stored form: one zstd frame of one safetensors blob. It depends on the content alone:
  /// tensors stand by falling element size, then by name, so that each is aligned.
  /// Throws 65 for a value that is not finite, before it is stored.
  func encoded(level: Int32) throws -> Block {
    try requireFinite(
      at: "record \(index)",
      advice: "Finished shards are kept. Look at the stage's inputs with vlsi-dump --verify")
    let ordered = tensors.sorted {
      $0.value.type.size == $1.value.type.size
        ? naturallyPrecedes($0.key, $1.key) : $0.value.type.size > $1.value.type.size
    }
    var metadata = metadata
    metadata[Record.sampleKey] = String(index)
    return try Safetensors.encodeBlock(ordered.map { ($0.key, $0.value) }, metadata: metadata)
      .withBytes { try Zstandard.compress($0, level: level) }
  }

  /// Throws 65 for a damaged one or one of another sample.
  init(index: Int, encoded: UnsafeRawBufferPointer, place: String) throws {
    let blob = try Zstandard.decompress(encoded, place: place) { head, total in
      // Before memory for the whole is asked for.
      _ = try SafetensorsHeader(parsing: head, total: total, place: place)
    }
    var (tensors, metadata) = try blob.withBytes { try Safetensors.decode($0, place: place) }
    let written = metadata.removeValue(forKey: Record.sampleKey)
    guard written == nil || written == String(index) else {
      throw Failure(
        .badData, "the record lies under a wrong key", at: place, expected: "sample \(index)",
        found: "sample \(written ?? "")")
    }
    self.init(index: index, tensors: tensors, metadata: metadata)
  }
}
