import CLMDB
import Failures
import Glibc

/// Writes a shard through liblmdb: one table, keys in ascending order, under a temporary name until
/// `commit`. The same entries give the same bytes: liblmdb clears what it does not fill of a page. They
/// are written by ordinary writes, since a map that is written through (`MDB_WRITEMAP`) is not to be
/// had on every network file system.
final class LMDBWriter {
  private let path: String
  private let temporary: String
  private var environment: OpaquePointer?
  private var waiting: [(key: [UInt8], value: Block)] = []
  private var waitingBytes = 0
  private var lastKey: [UInt8] = []
  private var mapSize = 16 * LMDB.pageSize

  /// Entries are handed over in transactions of about this many bytes.
  static let transactionBytes = 8 << 20

  /// Throws 73 when the file cannot be created.
  init(_ path: String) throws {
    self.path = path
    temporary = OutputFile.temporary(path)
    unlink(temporary)
    let flags = UInt32(MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC)
    guard mdb_env_create(&environment) == 0,
      mdb_env_set_mapsize(environment, mapSize) == 0
    else { throw Failure(.software, "liblmdb has no memory", at: path) }
    let code = mdb_env_open(environment, temporary, flags, 0o666)
    guard code == 0 else {
      throw Files.uncreated(
        path, "cannot create the file", code: code, reason: LMDB.reason(code),
        advice: "Give an output that you may write to")
    }
  }

  deinit {
    guard let environment else { return }
    mdb_env_close(environment)
    unlink(temporary)
  }

  /// Throws 70 for a key out of order, 74 when writing fails.
  func append(key: [UInt8], value: Block) throws {
    guard lastKey.isEmpty || lastKey.lexicographicallyPrecedes(key) else {
      throw Failure(.software, "keys of a shard must ascend", at: path)
    }
    guard value.count < 1 << 32 else {
      throw Failure(.badData, "a record larger than 4 GiB", at: path)
    }
    lastKey = key
    waiting.append((key, value))
    waitingBytes += value.count + 2 * LMDB.pageSize
    if waitingBytes >= LMDBWriter.transactionBytes { try flush() }
  }

  /// Hands the waiting entries to liblmdb. The map grows by what they need at most: its size is
  /// written into the file, and readers map as much.
  private func flush() throws {
    mapSize += waitingBytes / LMDB.pageSize * LMDB.pageSize + 16 * LMDB.pageSize
    try check(mdb_env_set_mapsize(environment, mapSize))
    var transaction: OpaquePointer?
    try check(mdb_txn_begin(environment, nil, 0, &transaction))
    do {
      var table: MDB_dbi = 0
      try check(mdb_dbi_open(transaction, nil, 0, &table))
      for entry in waiting {
        try check(
          entry.key.withUnsafeBytes { key in
            entry.value.withBytes { value in
              // liblmdb only reads them.
              var key = MDB_val(
                mv_size: key.count, mv_data: UnsafeMutableRawPointer(mutating: key.baseAddress))
              var value = MDB_val(
                mv_size: value.count, mv_data: UnsafeMutableRawPointer(mutating: value.baseAddress))
              return mdb_put(transaction, table, &key, &value, UInt32(MDB_APPEND))
            }
          })
      }
    } catch {
      mdb_txn_abort(transaction)
      throw error
    }
    try check(mdb_txn_commit(transaction))
    waiting = []
    waitingBytes = 0
  }

  /// Makes the shard last and gives it its name; returns its size and the digest of its bytes.
  /// Throws 74.
  func commit() throws -> (bytes: Int, checksum: String) {
    try flush()
    var info = MDB_envinfo()
    var status = MDB_stat()
    try check(mdb_env_info(environment, &info))
    try check(mdb_env_stat(environment, &status))
    try check(mdb_env_sync(environment, 1))
    let size = (info.me_last_pgno + 1) * Int(status.ms_psize)
    let checksum = try digest(size)
    mdb_env_close(environment)
    environment = nil
    let descriptor = open(temporary, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0, ftruncate(descriptor, off_t(size)) == 0, fsync(descriptor) == 0,
      close(descriptor) == 0, rename(temporary, path) == 0
    else {
      let failure = Failure(.ioFailed, "writing failed: \(Files.reason)", at: path)
      unlink(temporary)
      throw failure
    }
    Files.synchronize(Files.parent(of: path))
    return (size, checksum)
  }

  /// The digest of the file's first `size` bytes, which the page cache still holds and nobody else
  /// writes: a map of them saves a copy.
  private func digest(_ size: Int) throws -> String {
    let descriptor = open(temporary, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unwritten(errno) }
    defer { close(descriptor) }
    let map = mmap(nil, size, PROT_READ, MAP_SHARED | MAP_POPULATE, descriptor, 0)
    guard let map, map != MAP_FAILED else { throw unwritten(errno) }
    defer { munmap(map, size) }
    return Fingerprint.bytes(UnsafeRawBufferPointer(start: map, count: size))
  }

  private func check(_ code: Int32) throws {
    if code != 0 { throw unwritten(code) }
  }

  private func unwritten(_ code: Int32) -> Failure {
    Failure(
      .ioFailed, "writing failed: \(LMDB.reason(code))", at: path,
      advice: Files.adviceOnRoom(code))
  }
}
