import Failures
import Kernels

/// The header of a safetensors file or blob, checked: no size overflows, no tensor reaches
/// outside the data or into another, and no byte is left over.
/// Format: github.com/huggingface/safetensors, "Format".
public struct SafetensorsHeader: Sendable {
  public struct Entry: Sendable {
    public let name: String
    public let type: ElementType
    public let shape: [Int]
    /// Bytes, counted from the end of the header.
    public let range: Range<Int>
  }

  /// The tensors in the order of their data.
  public let entries: [Entry]
  public let metadata: [String: String]
  /// The first byte after the header.
  public let dataStart: Int

  static let largest = 100_000_000

  /// - Parameters:
  ///   - bytes: at least the length word and the header.
  ///   - total: bytes of the whole file or blob.
  ///   - place: the file, for messages.
  /// Throws 65 naming the tensor.
  public init(parsing bytes: UnsafeRawBufferPointer, total: Int, place: String) throws {
    let length = try SafetensorsHeader.length(bytes, total: total, place: place)
    guard bytes.count >= 8 + length else {
      throw Failure(
        .badData, "the header is cut off", at: place, expected: "\(8 + length) bytes",
        found: "\(bytes.count)")
    }
    let header = try JSON(
      parsing: UnsafeRawBufferPointer(rebasing: bytes[8..<(8 + length)]),
      place: "\(place), safetensors header", rejectDuplicates: true)
    guard let members = header.asObject else {
      throw Failure(
        .badData, "the safetensors header is not an object", at: place, found: header.kind)
    }
    dataStart = 8 + length
    var metadata: [String: String] = [:]
    var entries: [Entry] = []
    for (name, value) in members {
      if name == "__metadata__" {
        for (key, text) in value.asObject ?? [:] { metadata[key] = text.asString }
      } else {
        entries.append(try SafetensorsHeader.entry(name, value, place: place))
      }
    }
    self.metadata = metadata
    self.entries = entries.sorted {
      ($0.range.lowerBound, $0.range.upperBound, $0.name)
        < ($1.range.lowerBound, $1.range.upperBound, $1.name)
    }
    try checkCoverage(bytes: total - dataStart, place: place)
  }

  /// The length of the header, from the first 8 bytes. Throws 65.
  public static func length(
    _ bytes: UnsafeRawBufferPointer, total: Int, place: String
  ) throws -> Int {
    guard bytes.count >= 8, total >= 8 else {
      throw Failure(
        .badData, "not a safetensors file: too short", at: place, expected: "at least 8 bytes",
        found: "\(total)")
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(largest), Int(length) <= total - 8 else {
      throw Failure(
        .badData, "not a safetensors file, or one cut off: its header does not fit in it",
        at: place, expected: "a header of at most \(min(largest, total - 8)) bytes",
        found: "\(length)")
    }
    return Int(length)
  }

  private static func entry(_ name: String, _ value: JSON, place: String) throws -> Entry {
    let place = "\(place), tensor \(name)"
    guard let dtype = value["dtype"]?.asString, let dimensions = value["shape"]?.asArray,
      let offsets = value["data_offsets"]?.asArray
    else {
      throw Failure(
        .badData, "incomplete entry in the safetensors header", at: place,
        expected: "dtype, shape and data_offsets")
    }
    guard let type = ElementType(rawValue: dtype) else {
      throw Failure(
        .badData, "unsupported element type", at: place,
        expected: "one of " + ElementType.allCases.map(\.rawValue).joined(separator: ", "),
        found: dtype)
    }
    // Bytes, axes of no extent left out: so that no product of some of the axes overflows either.
    var extent = type.size
    var shape: [Int] = []
    for dimension in dimensions {
      guard case .int(let size) = dimension, size >= 0 else {
        throw Failure(.badData, "bad shape", at: place, found: value["shape"]?.text())
      }
      let (product, overflow) = extent.multipliedReportingOverflow(by: max(1, size))
      guard !overflow else {
        throw Failure(.badData, "the shape is too large", at: place, found: value["shape"]?.text())
      }
      extent = product
      shape.append(size)
    }
    let bytes = shape.contains(0) ? 0 : extent
    guard offsets.count == 2, case .int(let start) = offsets[0], case .int(let end) = offsets[1],
      0 <= start, start <= end
    else {
      throw Failure(
        .badData, "bad data_offsets", at: place, expected: "[start, end]",
        found: value["data_offsets"]?.text())
    }
    guard end - start == bytes else {
      throw Failure(
        .badData, "the shape and the data do not fit together", at: place,
        expected: "\(bytes) bytes for \(shape) of \(dtype)", found: "\(end - start)")
    }
    return Entry(name: name, type: type, shape: shape, range: start..<end)
  }

  private func checkCoverage(bytes: Int, place: String) throws {
    var end = 0
    for entry in entries {
      guard entry.range.upperBound <= bytes else {
        throw Failure(
          .badData, "the file is cut off", at: "\(place), tensor \(entry.name)",
          expected: "\(entry.range.upperBound) bytes after the header", found: "\(bytes)",
          advice: "Fetch or write the file again")
      }
      guard entry.range.lowerBound == end else {
        throw Failure(
          .badData, entry.range.lowerBound < end ? "tensors overlap" : "unused bytes",
          at: "\(place), tensor \(entry.name)", expected: "data from byte \(end)",
          found: "\(entry.range.lowerBound)")
      }
      end = entry.range.upperBound
    }
    guard end == bytes else {
      throw Failure(
        .badData, "bytes after the last tensor", at: place, expected: "\(dataStart + end) bytes",
        found: "\(dataStart + bytes)")
    }
  }

  /// The header's bytes, length word included, padded to 8, for tensors laid one after another in
  /// the order given.
  public static func encode(
    _ tensors: [(name: String, type: ElementType, shape: [Int])], metadata: [String: String] = [:]
  ) -> [UInt8] {
    var members: [String] = []
    if !metadata.isEmpty {
      let text = JSON.object(metadata.mapValues { JSON.string($0) }).text()
      members.append("\"__metadata__\":\(text)")
    }
    var offset = 0
    for tensor in tensors {
      let end = offset + tensor.shape.reduce(tensor.type.size, *)
      let entry: JSON = [
        "dtype": .string(tensor.type.rawValue),
        "shape": .array(tensor.shape.map { .int($0) }),
        "data_offsets": [.int(offset), .int(end)],
      ]
      members.append("\(JSON.string(tensor.name).text()):\(entry.text())")
      offset = end
    }
    var text = Array("{\(members.joined(separator: ","))}".utf8)
    text += [UInt8](repeating: 32, count: (8 - text.count % 8) % 8)
    return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) } + text
  }
}
