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
      let chunk = 1 << 18
      for start in stride(from: 0, to: count, by: chunk) {
        let part = UnsafeBufferPointer(
          start: pointer + start, count: min(chunk, count - start))
        if type == .float32 {
          try write(UnsafeRawBufferPointer(part))
        } else {
          let rounded = RawTensor(Array(part), as: type, shape: [part.count])
          try rounded.bytes.withUnsafeBytes { try write($0) }
        }
      }
    }
  }
}

/// Writes one safetensors file, atomically. Throws 73, 74, and 70 when a tensor produces more or
/// fewer bytes than its shape says.
public func writeSafetensorsFile(
  _ path: String, _ tensors: [OutputTensor], metadata: [String: String] = ["format": "pt"]
) throws {
  let file = try OutputFile(path)
  try file.write(
    SafetensorsHeader.encode(tensors.map { ($0.name, $0.type, $0.shape) }, metadata: metadata))
  for tensor in tensors {
    let start = file.count
    try tensor.produce { try file.write($0) }
    guard file.count - start == tensor.byteCount else {
      throw Failure(
        .software, "tensor \(tensor.name) produced the wrong number of bytes", at: path,
        expected: "\(tensor.byteCount)", found: "\(file.count - start)")
    }
  }
  try file.commit()
}
