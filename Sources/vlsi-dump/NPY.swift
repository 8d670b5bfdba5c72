import Artifacts
import Failures
import Kernels

/// NumPy's file format, version 1.0: numpy.org, "numpy.lib.format".
enum NPY {
  /// bf16, which NumPy has not, becomes float32, exactly.
  static func encode(_ tensor: RawTensor) throws -> [UInt8] {
    let (descriptor, bytes): (String, [UInt8]) =
      switch tensor.type {
      case .bfloat16:
        (
          "<f4", RawTensor(float32: try tensor.floats(), shape: tensor.shape).bytes
        )
      case .float32: ("<f4", tensor.bytes)
      case .float16: ("<f2", tensor.bytes)
      case .int64: ("<i8", tensor.bytes)
      case .int32: ("<i4", tensor.bytes)
      case .int16: ("<i2", tensor.bytes)
      case .int8: ("|i1", tensor.bytes)
      case .uint8: ("|u1", tensor.bytes)
      case .bool: ("|b1", tensor.bytes)
      }
    let shape = tensor.shape.map(String.init).joined(separator: ", ")
    let tuple = tensor.shape.count == 1 ? "(\(shape),)" : "(\(shape))"
    var header = "{'descr': '\(descriptor)', 'fortran_order': False, 'shape': \(tuple), }"
    // Magic, version, length and header together fill a multiple of 64 bytes.
    let used = 10 + header.utf8.count + 1
    header += String(repeating: " ", count: (64 - used % 64) % 64) + "\n"
    let length = UInt16(header.utf8.count)
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)]
      + Array(header.utf8) + bytes
  }
}
