/// The element types that tensors have on disk, by their safetensors names.
public enum ElementType: String, Sendable, CaseIterable, Codable {
  case float32 = "F32"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int64 = "I64"
  case int32 = "I32"
  case int16 = "I16"
  case int8 = "I8"
  case uint8 = "U8"
  case bool = "BOOL"

  /// Whether it holds float32 numbers, rounded or not.
  public var isFloat: Bool { self == .float32 || self == .float16 || self == .bfloat16 }

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .int64: 8
    case .float32, .int32: 4
    case .float16, .bfloat16, .int16: 2
    case .int8, .uint8, .bool: 1
    }
  }
}
