import CLMDB
import Failures
import Glibc

/// A sound shard, opened read-only through liblmdb: `MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK`, so
/// that read-only and network file systems work. Only for files that `LMDBReader` walked.
///
/// One thread at a time may look a value up; what was found stays readable for as long as the shard.
final class MappedShard: @unchecked Sendable {
  private let path: String
  private var environment: OpaquePointer?
  private var transaction: OpaquePointer?
  private var table: MDB_dbi = 0

  /// Throws 65 when liblmdb refuses the file, 74 when the system has no room to map it.
  init(_ path: String) throws {
    self.path = path
    try check(mdb_env_create(&environment))
    let flags = UInt32(MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS)
    try check(mdb_env_open(environment, path, flags, 0o644))
    // Nobody writes a finished shard: one transaction serves all reads.
    try check(mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &transaction))
    try check(mdb_dbi_open(transaction, nil, 0, &table))
  }

  deinit {
    if let transaction { mdb_txn_abort(transaction) }
    if let environment { mdb_env_close(environment) }
  }

  /// Stored bytes as they lie in the file, which stays mapped for them.
  struct Value: @unchecked Sendable {
    fileprivate let shard: MappedShard
    fileprivate let bytes: UnsafeRawBufferPointer

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
      defer { withExtendedLifetime(shard) {} }
      return try body(bytes)
    }
  }

  /// The stored bytes of sample `index`. Throws 65, 74.
  func value(of index: Int) throws -> Value {
    var key = LMDB.key(index)
    var value = MDB_val()
    try check(
      key.withUnsafeMutableBytes { bytes in
        var key = MDB_val(mv_size: bytes.count, mv_data: bytes.baseAddress)
        return mdb_get(transaction, table, &key, &value)
      })
    return Value(
      shard: self, bytes: UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size))
  }

  private func check(_ code: Int32) throws {
    guard code != 0 else { return }
    // Codes of the system are positive, and say nothing about the file.
    if code > 0 {
      throw Failure(
        .ioFailed, "the shard cannot be mapped: \(LMDB.reason(code))", at: path,
        advice: code == ENOMEM ? "Raise `ulimit -v`" : nil)
    }
    throw Failure(
      .badData, "liblmdb cannot read the shard: \(LMDB.reason(code))", at: path,
      advice: CheckedFiles.advice)
  }
}

/// The shards of an artifact that are mapped at present: a bounded number, for an artifact may have
/// more shards than a process may have open files.
struct OpenShards: @unchecked Sendable {
  private static let most = 64
  private var shards: [Int: MappedShard] = [:]
  private var order: [Int] = []

  mutating func shard(_ number: Int, _ path: String) throws -> MappedShard {
    if let known = shards[number] { return known }
    let opened = try MappedShard(path)
    if order.count == OpenShards.most { shards[order.removeFirst()] = nil }
    shards[number] = opened
    order.append(number)
    return opened
  }
}
