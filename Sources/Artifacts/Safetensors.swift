import Failures
import Kernels

/// Safetensors blobs in memory. Files too large for that: see Checkpoints.
public enum Safetensors {
  /// The tensors in the order given, with text metadata.
  public static func encode(
    _ tensors: [(name: String, tensor: RawTensor)], metadata: [String: String] = [:]
  ) -> [UInt8] {
    encodeBlock(tensors, metadata: metadata).array
  }

  static func encodeBlock(
    _ tensors: [(name: String, tensor: RawTensor)], metadata: [String: String]
  ) -> Block {
    let header = SafetensorsHeader.encode(
      tensors.map { ($0.name, $0.tensor.type, $0.tensor.shape) }, metadata: metadata)
    return Block(capacity: tensors.reduce(header.count) { $0 + $1.tensor.bytes.count }) { out in
      var end = 0
      for bytes in [header] + tensors.map(\.tensor.bytes) {
        UnsafeMutableRawBufferPointer(rebasing: out[end..<end + bytes.count]).copyBytes(from: bytes)
        end += bytes.count
      }
      return end
    }
  }

  /// Throws 65 for a blob that is not sound, naming the tensor.
  public static func decode(
    _ bytes: [UInt8], place: String
  ) throws -> (tensors: [String: RawTensor], metadata: [String: String]) {
    try bytes.withUnsafeBytes { try decode($0, place: place) }
  }

  static func decode(
    _ bytes: UnsafeRawBufferPointer, place: String
  ) throws -> (tensors: [String: RawTensor], metadata: [String: String]) {
    let header = try SafetensorsHeader(parsing: bytes, total: bytes.count, place: place)
    var tensors: [String: RawTensor] = [:]
    for entry in header.entries {
      let start = header.dataStart + entry.range.lowerBound
      tensors[entry.name] = RawTensor(
        type: entry.type, shape: entry.shape,
        bytes: Array(bytes[start..<(start + entry.range.count)]))
    }
    return (tensors, header.metadata)
  }
}

/// The order in which people count: `layers.2` before `layers.10`, numbers before words.
public func naturallyPrecedes(_ a: String, _ b: String) -> Bool {
  let left = a.split(separator: ".", omittingEmptySubsequences: false)
  let right = b.split(separator: ".", omittingEmptySubsequences: false)
  for (x, y) in zip(left, right) where x != y {
    switch (Int(x), Int(y)) {
    case (let m?, let n?) where m != n: return m < n
    case (_?, nil): return true
    case (nil, _?): return false
    default: return x < y
    }
  }
  return left.count == right.count ? a < b : left.count < right.count
}
