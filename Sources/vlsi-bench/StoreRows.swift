import Artifacts
import Failures
import Foundation
import Kernels

/// Records as vlsi-extract writes them.
struct FeatureRecords {
  static let count = 32
  static let perShard = 32
  private static let layers = 7
  private static let width = 1536

  /// The bytes of their numbers.
  static let bytes =
    count * SampleShape.supervised * (2 * width * (layers + 1) + 2 * MemoryLayout<Int32>.size)

  let records: [Record]

  /// Hidden states as models have them: each channel of its own size, a few of them far larger.
  init(count: Int = Self.count) {
    var generator = SplitMix64(seed: 5)
    let sizes = (0..<Self.width).map { channel in
      exp(generator.normal() / 2) * (channel % 200 == 0 ? 30 : 1)
    }
    let names = (1...Self.layers).map { "hidden.\(4 * $0)" } + ["hidden.last"]
    let rows = SampleShape.supervised
    records = (0..<count).map { index in
      func column() -> RawTensor {
        RawTensor(int32: (0..<rows).map { _ in Int32(generator.below(100_000)) }, shape: [rows])
      }
      var tensors = ["positions": column(), "labels": column()]
      for name in names {
        let values = (0..<rows * Self.width).map {
          Float(sizes[$0 % Self.width] * generator.normal())
        }
        tensors[name] = RawTensor(values, as: .bfloat16, shape: [rows, Self.width])
      }
      return Record(index: index, tensors: tensors)
    }
  }

  /// The numbers of some records behind each other.
  static func content(records count: Int) -> [UInt8] {
    FeatureRecords(count: count).records.flatMap { record in
      record.tensors.sorted { $0.key < $1.key }.flatMap(\.value.bytes)
    }
  }

  /// Writes them as an artifact.
  func write(to folder: String) throws {
    let writer = try ArtifactWriter(
      directory: folder, kind: .features, settings: [:], samplesPerShard: Self.perShard)
    for (shard, indices) in writer.unfinishedShards(of: records.map(\.index)) {
      try writer.writeShard(shard) { append in for index in indices { try append(records[index]) } }
    }
    try writer.finish()
  }
}

/// A folder that goes with its owner, in memory where the system has a place for that: how fast the
/// disk is, is not asked here.
final class ScratchFolder {
  let path: String

  init() throws {
    let base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NSTemporaryDirectory()
    path = Files.join(base, "vlsi-bench-\(UUID().uuidString)")
    try Files.makeDirectory(path)
  }

  deinit { try? Files.removeTree(path) }

  func callAsFunction(_ name: String) -> String { Files.join(path, name) }
}

/// The store: records through `ArtifactWriter` and `ArtifactReader`, which zstd alone bounds.
enum StoreRows {
  static var all: [Row] {
    [write, read("store-read", shuffled: false), read("store-random", shuffled: true), open]
  }

  private static let shape =
    "\(FeatureRecords.count) records of \(FeatureRecords.bytes / FeatureRecords.count / 1024) KiB"
  private static var megabytes: (Double) -> (value: Double, unit: String) {
    Work.rate(Double(FeatureRecords.bytes), "MB/s", each: 1e6)
  }

  private static var write: Row {
    Row(name: "store-write", shape: shape) {
      let records = FeatureRecords()
      let scratch = try ScratchFolder()
      return Work(
        needs: [.compress: Double(FeatureRecords.bytes)], rate: megabytes,
        facts: {
          let folder = scratch("features")
          let stored = try Files.list(folder).reduce(0.0) {
            $0 + Double(Files.size(Files.join(folder, $1)) ?? 0)
          }
          return [
            "bytes_a_record": stored / Double(FeatureRecords.count),
            "stored_share": stored / Double(FeatureRecords.bytes),
          ]
        }
      ) {
        try Files.removeTree(scratch("features"))
        return try seconds { try records.write(to: scratch("features")) }
      }
    }
  }

  private static func read(_ name: String, shuffled: Bool) -> Row {
    Row(name: name, shape: shape) {
      let scratch = try ScratchFolder()
      try FeatureRecords().write(to: scratch.path)
      var generator = SplitMix64(seed: 6)
      var order = Array(0..<FeatureRecords.count)
      if shuffled { order.shuffle(using: &generator) }
      return Work(
        needs: [.decompress: Double(FeatureRecords.bytes)], rate: megabytes
      ) {
        try seconds {
          let reader = try ArtifactReader(directory: scratch.path, kind: .features)
          for index in order { _ = try reader.record(index) }
        }
      }
    }
  }

  /// What a stage waits for before the first record of a large artifact.
  private static var open: Row {
    let shards = 1000
    return Row(name: "store-open", shape: "\(shards) shards of one small record") {
      let scratch = try ScratchFolder()
      let writer = try ArtifactWriter(
        directory: scratch.path, kind: .features, settings: [:], samplesPerShard: 1)
      for index in 0..<shards {
        let label = RawTensor(int32: [Int32(index)], shape: [1])
        try writer.writeShard(index) { try $0(Record(index: index, tensors: ["labels": label])) }
      }
      try writer.finish()
      return Work(needs: [:], rate: Work.rate(Double(shards), "shards/s")) {
        try seconds { _ = try ArtifactReader(directory: scratch.path, kind: .features) }
      }
    }
  }
}
