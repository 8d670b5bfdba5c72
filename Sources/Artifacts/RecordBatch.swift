import Failures
import Kernels

/// The records of a shard on their way into its file. zstd is what writing takes longest for: the
/// records that wait are packed on all threads, while one of them writes those packed before. The file
/// does not depend on how many wait.
struct RecordBatch {
  private let file: LMDBWriter
  private let level: Int32
  private var waiting: [Record] = []
  private var waitingBytes = 0
  private var packed: [(index: Int, block: Block)] = []

  /// Throws 73 when the file cannot be created.
  init(path: String, level: Int32) throws {
    file = try LMDBWriter(path)
    self.level = level
  }

  /// Bytes that the tensors of waiting records may have; more only for a single one.
  private static var most: Int { BufferPool.largest }
  /// How many records wait at most.
  private static var fullest: Int { 2 * Parallelism.threads }

  /// Throws 65 for this record or one before it, 70, 74.
  mutating func append(_ record: Record) throws {
    waiting.append(record)
    waitingBytes += record.tensors.values.reduce(0) { $0 + $1.bytes.count }
    if waiting.count >= Self.fullest || waitingBytes >= Self.most { try pack() }
  }

  /// The most memory that records of so many bytes take here: those that wait, those packed before
  /// them, on each thread one that is being packed, and what liblmdb writes at a time.
  static func memory(record: Int) -> Int {
    let waiting = min(fullest * record, max(most, record))
    return 2 * waiting + 2 * min(Parallelism.threads * record, waiting)
      + max(record, LMDBWriter.transactionBytes)
  }

  private mutating func pack() throws {
    let (records, before) = (waiting, packed)
    (waiting, waitingBytes, packed) = ([], 0, [])
    var blocks = [Result<Block?, any Error>](repeating: .success(nil), count: records.count + 1)
    blocks.withUnsafeMutableBufferPointer { blocks in
      parallelTasks(records.count + 1) { task in
        blocks[task] = Result {
          if task > 0 { return try records[task - 1].encoded(level: level) }
          for (index, block) in before { try file.append(key: LMDB.key(index), value: block) }
          return nil
        }
      }
    }
    // The first failure is that of the earliest record.
    _ = try blocks[0].get()
    for (record, block) in zip(records, blocks.dropFirst()) {
      if let block = try block.get() { packed.append((record.index, block)) }
    }
  }

  /// Makes the shard last and gives it its name; returns its size and the digest of its bytes.
  /// Throws as `append` does.
  mutating func commit() throws -> (bytes: Int, checksum: String) {
    try pack()
    try pack()
    return try file.commit()
  }
}
