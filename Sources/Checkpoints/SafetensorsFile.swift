import Artifacts
import Failures
import Glibc
import Kernels

/// A file mapped into memory for reading; unmapped when nothing refers to it any more.
final class Mapping: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer

  /// Throws 66 when the file cannot be opened, 74 when it cannot be mapped.
  init(_ path: String) throws {
    // Without O_NONBLOCK a pipe under that name would be waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      throw Failure(.inputMissing, "cannot read: \(String(cString: strerror(errno)))", at: path)
    }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
      throw Failure(.inputMissing, "is not a file", at: path)
    }
    let size = Int(info.st_size)
    if size == 0 {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let start, start != MAP_FAILED else {
      throw Failure(
        .ioFailed, "cannot map: \(String(cString: strerror(errno)))", at: path,
        advice: errno == ENOMEM ? "Raise `ulimit -v`" : nil)
    }
    bytes = UnsafeRawBufferPointer(start: start, count: size)
  }

  deinit {
    if let start = bytes.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: start), bytes.count)
    }
  }
}

/// Bytes of our own, for a tensor that a file holds at an odd place.
private final class AlignedCopy: @unchecked Sendable {
  let bytes: UnsafeMutableRawBufferPointer

  init(_ source: UnsafeRawBufferPointer) {
    bytes = .allocate(byteCount: source.count, alignment: 64)
    bytes.copyMemory(from: source)
  }

  deinit { bytes.deallocate() }
}

/// A tensor that lies in a mapped file, little-endian and row-major.
public struct MappedTensor: @unchecked Sendable {
  public let name: String
  public let type: ElementType
  public let shape: [Int]
  /// Aligned to the element's size.
  public let pointer: UnsafeRawPointer
  public let byteCount: Int
  /// Keeps the bytes alive.
  public let owner: AnyObject
  /// The file, for messages.
  public let file: String

  /// The number of elements.
  public var count: Int { byteCount / type.size }

  public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: pointer, count: byteCount)
  }

  /// A copy in memory.
  public func raw() -> RawTensor {
    withExtendedLifetime(owner) { RawTensor(type: type, shape: shape, bytes: Array(bytes)) }
  }

  /// Rows of the first axis, copied.
  public func rows(_ range: Range<Int>) -> RawTensor {
    let row = shape.dropFirst().reduce(type.size, *)
    precondition(!shape.isEmpty && range.lowerBound >= 0 && range.upperBound <= shape[0])
    return withExtendedLifetime(owner) {
      RawTensor(
        type: type, shape: [range.count] + shape.dropFirst(),
        bytes: Array(bytes[(range.lowerBound * row)..<(range.upperBound * row)]))
    }
  }
}

/// A safetensors file mapped into memory.
public struct SafetensorsFile: Sendable {
  public let path: String
  public let tensors: [String: MappedTensor]
  public let metadata: [String: String]

  /// Names as people count: layers 2 before 10.
  public var names: [String] { tensors.keys.sorted(by: naturallyPrecedes) }

  /// A tensor that must be there with this shape. Throws 65 naming it and both shapes.
  public func tensor(_ name: String, shape: [Int]) throws -> MappedTensor {
    guard let tensor = tensors[name] else {
      throw Failure(
        .badData, "no tensor \(name)", at: path, expected: "\(name) of shape \(shape)",
        found: "no such tensor")
    }
    try tensor.requireShape(shape)
    return tensor
  }
}

extension MappedTensor {
  /// Throws 65 for another shape or a type that holds no floats.
  func requireShape(_ expected: [Int]) throws {
    guard shape == expected else {
      throw Failure(
        .badData, "tensor \(name) has the wrong shape", at: file, expected: "\(expected)",
        found: "\(shape)")
    }
    guard [.float32, .float16, .bfloat16].contains(type) else {
      throw Failure(
        .badData, "tensor \(name) has the wrong element type", at: file,
        expected: "F32, F16 or BF16 of shape \(expected)", found: type.rawValue)
    }
  }
}

/// Maps a safetensors file. Throws 66 when it cannot be opened, 65 when it is not sound or cut
/// off, naming the tensor.
public func readSafetensorsFile(_ path: String) throws -> SafetensorsFile {
  let mapping = try Mapping(path)
  let header: SafetensorsHeader
  do {
    header = try SafetensorsHeader(
      parsing: mapping.bytes, total: mapping.bytes.count, place: path)
  } catch let failure as Failure {
    // A safetensors file is not told that it is one; a damaged length is no Arrow stream.
    let kind = FileKind(prefix: mapping.bytes.prefix(FileKind.prefixLength))
    guard let kind, !["a safetensors file", "an Arrow stream"].contains(kind.name) else {
      throw failure
    }
    throw failure.naming(mapping.bytes.prefix(FileKind.prefixLength))
  }
  var tensors: [String: MappedTensor] = [:]
  for entry in header.entries {
    let start = header.dataStart + entry.range.lowerBound
    let bytes = UnsafeRawBufferPointer(
      rebasing: mapping.bytes[start..<(start + entry.range.count)])
    // A header of odd length, as other writers may leave, puts elements across their boundaries.
    let copy = start % entry.type.size == 0 && bytes.baseAddress != nil ? nil : AlignedCopy(bytes)
    guard let pointer = copy.map({ UnsafeRawPointer($0.bytes.baseAddress) }) ?? bytes.baseAddress
    else { throw Failure(.software, "no memory for tensor \(entry.name)", at: path) }
    tensors[entry.name] = MappedTensor(
      name: entry.name, type: entry.type, shape: entry.shape, pointer: pointer,
      byteCount: bytes.count, owner: copy ?? mapping, file: path)
  }
  return SafetensorsFile(path: path, tensors: tensors, metadata: header.metadata)
}
