import Artifacts
import Failures
import Kernels

/// A tensor to be written: its bytes are produced piece by piece, when their turn comes.
public struct OutputTensor {
  public let name: String
  public let type: ElementType
  public let shape: [Int]
  /// Hands its bytes, in order, to `write`.
  public let produce: (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

  public var byteCount: Int { shape.reduce(type.size, *) }

  public init(
    name: String, type: ElementType, shape: [Int],
    produce: @escaping (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) {
    self.name = name
    self.type = type
    self.shape = shape
    self.produce = produce
  }

  public init(_ name: String, _ tensor: RawTensor) {
    self.init(name: name, type: tensor.type, shape: tensor.shape) { write in
      try tensor.bytes.withUnsafeBytes { try write($0) }
    }
  }

  public init(_ tensor: MappedTensor, name: String? = nil) {
    self.init(name: name ?? tensor.name, type: tensor.type, shape: tensor.shape) { write in
      try withExtendedLifetime(tensor.owner) { try write(tensor.bytes) }
    }
  }

  /// Float values, rounded to `type` as they are written; `values` must stay alive until then.
  public init(
    name: String, type: ElementType, shape: [Int], values: @escaping () -> UnsafePointer<Float>
  ) {
    self.init(name: name, type: type, shape: shape) { write in
      let count = shape.reduce(1, *)
      let pointer = values()
      let chunk = 1 << 20
      for start in stride(from: 0, to: count, by: chunk) {
        let part = UnsafeBufferPointer(
          start: pointer + start, count: min(chunk, count - start))
        if type == .float32 {
          try write(UnsafeRawBufferPointer(part))
        } else {
          let rounded = RawTensor(part, as: type, shape: [part.count])
          try rounded.bytes.withUnsafeBytes { try write($0) }
        }
      }
    }
  }
}

/// Writes one safetensors file, atomically. Throws 73, 74, 65 naming the tensor that holds a value
/// which is not finite (or is not in the type it is written in), and 70 when a tensor produces more
/// or fewer bytes than its shape says.
public func writeSafetensorsFile(
  _ path: String, _ tensors: [OutputTensor], metadata: [String: String] = ["format": "pt"]
) throws {
  let file = try OutputFile(path)
  try write(tensors, metadata, to: file)
  try file.commit()
}

private func write(
  _ tensors: [OutputTensor], _ metadata: [String: String], to file: OutputFile
) throws {
  try file.write(
    SafetensorsHeader.encode(tensors.map { ($0.name, $0.type, $0.shape) }, metadata: metadata))
  for tensor in tensors {
    let start = file.count
    try tensor.produce { bytes in
      try tensor.requireFinite(bytes, after: file.count - start, file.path)
      try file.write(bytes)
    }
    guard file.count - start == tensor.byteCount else {
      throw Failure(
        .software, "tensor \(tensor.name) produced the wrong number of bytes", at: file.path,
        expected: "\(tensor.byteCount)", found: "\(file.count - start)")
    }
  }
}

/// A checksum over all of a safetensors file, kept in its own metadata: XXH3-128 of the file with
/// zeros in the digits' place. The format has none, and a flipped bit in a weight shows nowhere.
public enum SealedSafetensors {
  private static let key = "checksum"
  private static let blank = String(repeating: "0", count: 32)

  /// As `writeSafetensorsFile`, with the checksum. Throws 73, 74, 70.
  /// - Parameter beforeNaming: called when the file is safe on disk, before it takes its name.
  public static func write(
    _ path: String, _ tensors: [OutputTensor], metadata: [String: String],
    beforeNaming: () throws -> Void = {}
  ) throws {
    var metadata = metadata
    metadata[key] = blank
    let header = SafetensorsHeader.encode(
      tensors.map { ($0.name, $0.type, $0.shape) }, metadata: metadata)
    guard let place = find(header) else {
      throw Failure(.software, "no room for the checksum", at: path)
    }
    let file = try OutputFile(path)
    file.digest = Digest()
    try Checkpoints.write(tensors, metadata, to: file)
    try file.overwrite(Array((file.digest?.value ?? blank).utf8), at: place)
    try file.commit(beforeNaming)
  }

  /// Throws 65 for a file whose bytes are not those that were written, 66 when it is missing.
  public static func check(_ path: String) throws {
    let file = try Mapping(path)
    func damaged(_ found: String?) -> Failure {
      Failure(.badData, "the file is damaged: its checksum is another", at: path, found: found)
    }
    let length = try SafetensorsHeader.length(file.bytes, total: file.bytes.count, place: path)
    let header = Array(file.bytes[..<(8 + length)])
    guard let place = find(header) else { throw damaged("no checksum") }
    let recorded = String(decoding: header[place..<place + 32], as: UTF8.self)
    var digest = Digest()
    var blanked = header
    blanked.replaceSubrange(place..<place + 32, with: Array(blank.utf8))
    blanked.withUnsafeBytes { digest.update($0) }
    digest.update(UnsafeRawBufferPointer(rebasing: file.bytes[(8 + length)...]))
    guard digest.value == recorded else { throw damaged(digest.value) }
  }

  /// Where the digits start.
  private static func find(_ header: [UInt8]) -> Int? {
    let mark = Array("\"\(key)\":\"".utf8)
    guard header.count >= mark.count + 32 else { return nil }
    let last = header.count - mark.count - 32
    return (0...last).first { header[$0..<$0 + mark.count].elementsEqual(mark) }
      .map { $0 + mark.count }
  }
}

extension OutputTensor {
  /// Refuses what is not finite among the bytes that follow the first `done` ones.
  fileprivate func requireFinite(
    _ bytes: UnsafeRawBufferPointer, after done: Int, _ path: String
  ) throws {
    guard let start = bytes.baseAddress,
      let place = firstNonFinite(start, type, bytes.count / type.size)
    else { return }
    throw Failure.notFinite(
      "a value", at: "\(path), tensor \(name)",
      found: "element \(done / type.size + place) of \(shape) in \(type.rawValue)",
      advice: "The training diverged or started from such a weight: look at its inputs with "
        + "vlsi-dump --verify, lower the learning rate, and run the stage again")
  }
}
