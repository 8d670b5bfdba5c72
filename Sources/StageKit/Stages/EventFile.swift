import Artifacts
import CTensorBoard
import Failures
import Foundation

/// The numbers of `metrics.jsonl` once more, for TensorBoard: an event file beside it, in the format of
/// its `tf.Event` records (TFRecord: length, masked CRC-32C of the length, bytes, their masked CRC-32C).
final class EventFile {
  /// What the name of such a file begins with, here as everywhere.
  static let prefix = ArtifactWriter.eventPrefix

  private let handle: FileHandle

  /// Makes a new file in the folder in place of those that are there; TensorBoard takes what they had
  /// shown for void.
  /// - Throws: 73
  init(directory: String) throws {
    for name in (try? Files.list(directory)) ?? [] where name.hasPrefix(EventFile.prefix) {
      try Files.remove(Files.join(directory, name))
    }
    let name = "\(EventFile.prefix)\(Int(Date().timeIntervalSince1970)).\(getpid()).vlsi"
    let path = Files.join(directory, name)
    guard FileManager.default.createFile(atPath: path, contents: nil),
      let file = FileHandle(forWritingAtPath: path)
    else {
      throw Failure(
        .cannotCreate, "cannot be opened for writing", at: path,
        advice: "Check the folder's rights.")
    }
    handle = file
    let now = Date().timeIntervalSince1970
    "brain.Event:2".withCString { version in
      write(time: now, step: 0) {
        $0.what_case = TENSORBOARD__EVENT__WHAT_FILE_VERSION
        $0.file_version = UnsafeMutablePointer(mutating: version)
      }
    }
    var start = Tensorboard__SessionLog()
    tensorboard__session_log__init(&start)
    start.status = TENSORBOARD__SESSION_LOG__SESSION_STATUS__START
    withUnsafeMutablePointer(to: &start) { start in
      write(time: now, step: 0) {
        $0.what_case = TENSORBOARD__EVENT__WHAT_SESSION_LOG
        $0.session_log = start
      }
    }
  }

  /// A line of metrics: its numbers, and those in its lists under `key/place`. One without a step shows
  /// nothing. A line of a layer has curves of its own.
  func append(line: String) {
    guard let json = try? JSON(parsing: line, place: "metrics.jsonl"),
      let step = json["step"]?.asInt, let members = json.asObject
    else { return }
    let layer = json["layer"].map { " of layer \($0.asString ?? $0.text())" } ?? ""
    var scalars: [(tag: String, value: Double)] = []
    for (key, value) in members.sorted(by: { $0.key < $1.key })
    where !["step", "layer", "time"].contains(key) {
      if let number = value.asDouble { scalars.append((key + layer, number)) }
      for (place, item) in (value.asArray ?? []).enumerated() {
        if let number = item.asDouble { scalars.append(("\(key)\(layer)/\(place)", number)) }
      }
    }
    if !scalars.isEmpty {
      write(scalars, time: json["time"]?.asDouble ?? 0, step: step)
    }
  }

  func close() { try? handle.close() }

  private func write(_ scalars: [(tag: String, value: Double)], time: Double, step: Int) {
    let tags = scalars.map { strdup($0.tag) }
    defer { for tag in tags { free(tag) } }
    var values = zip(scalars, tags).map { scalar, tag in
      var value = Tensorboard__Summary__Value()
      tensorboard__summary__value__init(&value)
      value.tag = tag
      value.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_SIMPLE_VALUE
      value.simple_value = Float(scalar.value)
      return value
    }
    values.withUnsafeMutableBufferPointer { values in
      guard let first = values.baseAddress else { return }
      var places: [UnsafeMutablePointer<Tensorboard__Summary__Value>?] = values.indices.map {
        first + $0
      }
      places.withUnsafeMutableBufferPointer { places in
        var summary = Tensorboard__Summary()
        tensorboard__summary__init(&summary)
        summary.n_value = places.count
        summary.value = places.baseAddress
        withUnsafeMutablePointer(to: &summary) { summary in
          write(time: time, step: step) {
            $0.what_case = TENSORBOARD__EVENT__WHAT_SUMMARY
            $0.summary = summary
          }
        }
      }
    }
  }

  /// What cannot be written is left out: curves are a view of the metrics, which say so.
  private func write(time: Double, step: Int, _ fill: (inout Tensorboard__Event) -> Void) {
    var event = Tensorboard__Event()
    tensorboard__event__init(&event)
    event.wall_time = time
    event.step = Int64(step)
    fill(&event)
    var bytes = [UInt8](repeating: 0, count: tensorboard__event__get_packed_size(&event))
    bytes.removeLast(bytes.count - tensorboard__event__pack(&event, &bytes))
    try? handle.write(contentsOf: Data(EventFile.framed(bytes)))
  }

  /// A record of a TFRecord file.
  private static func framed(_ bytes: [UInt8]) -> [UInt8] {
    func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    let length = littleEndian(UInt64(bytes.count))
    return length + littleEndian(masked(length)) + bytes + littleEndian(masked(bytes))
  }

  private static let table: [UInt32] = (0..<256).map { index in
    var value = UInt32(index)
    for _ in 0..<8 { value = value & 1 == 1 ? 0x82F6_3B78 ^ (value >> 1) : value >> 1 }
    return value
  }

  /// CRC-32C (Castagnoli), turned and moved as TFRecord wants it.
  private static func masked(_ bytes: [UInt8]) -> UInt32 {
    var sum = ~UInt32(0)
    for byte in bytes {
      let place = UInt8(truncatingIfNeeded: sum) ^ byte
      sum = table[Int(place)] ^ (sum >> 8)
    }
    sum = ~sum
    let turned: UInt32 = (sum >> 15) | (sum << 17)
    return turned &+ 0xA282_EAD8
  }
}
