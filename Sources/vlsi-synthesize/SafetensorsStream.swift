import Failures
import Foundation

/// Writes a model's safetensors, in shards of at most `shardLimit` bytes with the hub's names and
/// index, a tensor's piece at a time.
struct SafetensorsStream {
  static let shardLimit = 5_000_000_000

  struct Tensor {
    var name: String
    var shape: [Int]
    var bytes: Int
  }

  let directory: String
  /// The safetensors name of the element type: `F32`, `BF16`.
  let type: String

  /// - Parameter pieces: calls its argument with a tensor's bytes, in order.
  func write(
    _ tensors: [Tensor], pieces: (_ tensor: Int, _ emit: ([UInt8]) throws -> Void) throws -> Void
  ) throws {
    var shards: [[Int]] = [[]]
    var size = 0
    for (index, tensor) in tensors.enumerated() {
      if size > 0, size + tensor.bytes > Self.shardLimit {
        shards.append([])
        size = 0
      }
      shards[shards.count - 1].append(index)
      size += tensor.bytes
    }
    func number(_ value: Int) -> String {
      String(repeating: "0", count: max(0, 5 - String(value).count)) + String(value)
    }
    let names = shards.indices.map { shard in
      shards.count == 1
        ? "model.safetensors"
        : "model-\(number(shard + 1))-of-\(number(shards.count)).safetensors"
    }
    for (name, members) in zip(names, shards) {
      try writeShard("\(directory)/\(name)", members.map { ($0, tensors[$0]) }, pieces)
    }
    guard shards.count > 1 else { return }
    let total = tensors.reduce(0) { $0 + $1.bytes }
    let map = zip(names, shards).flatMap { name, members in
      members.map { "    \"\(tensors[$0].name)\": \"\(name)\"" }
    }
    try write(
      "{\n  \"metadata\": {\"total_size\": \(total)},\n  \"weight_map\": {\n"
        + map.joined(separator: ",\n") + "\n  }\n}\n",
      to: "model.safetensors.index.json")
  }

  /// Writes a text file of the checkpoint.
  func write(_ text: String, to name: String) throws {
    do {
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
    } catch {
      throw failure("\(directory)/\(name)", error)
    }
  }

  private func writeShard(
    _ path: String, _ tensors: [(index: Int, tensor: Tensor)],
    _ pieces: (_ tensor: Int, _ emit: ([UInt8]) throws -> Void) throws -> Void
  ) throws {
    var offset = 0
    var entries = ["\"__metadata__\":{\"format\":\"pt\"}"]
    for (_, tensor) in tensors {
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      entries.append(
        "\"\(tensor.name)\":{\"dtype\":\"\(type)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(offset + tensor.bytes)]}")
      offset += tensor.bytes
    }
    var header = Array("{\(entries.joined(separator: ","))}".utf8)
    while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
    let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    do {
      try Data(length + header).write(to: URL(fileURLWithPath: path))
      let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
      defer { try? file.close() }
      try file.seekToEnd()
      for (index, _) in tensors {
        try pieces(index) { try file.write(contentsOf: Data($0)) }
      }
      try file.synchronize()
    } catch let failure as Failure {
      throw failure
    } catch {
      throw failure(path, error)
    }
  }

  private func failure(_ path: String, _ error: any Error) -> Failure {
    Failure(
      .ioFailed, "cannot be written", at: path, found: error.localizedDescription,
      advice: "Is the disk full?")
  }
}
