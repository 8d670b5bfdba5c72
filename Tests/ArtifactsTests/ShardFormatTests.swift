import CLMDB
import Failures
import Foundation
import TestSupport
import Testing

@testable import Artifacts

/// A shard is an LMDB file: liblmdb reads what we write, we read what liblmdb writes.
@Suite struct ShardFormatTests {
  /// Value sizes around every boundary: empty, inline, the largest inline, one page, many.
  static let sizes = [
    0, 1, 7, 300, 2013, 2014, 2015, 2021, 2022, 2023, 2038, 4079, 4080, 4081, 9000,
  ]

  static func entries(_ count: Int) -> [(key: [UInt8], value: [UInt8])] {
    (0..<count).map { index in
      let size = count > 5000 ? index % 40 : sizes[index % sizes.count]
      return (LMDB.key(index * 3), (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ index) })
    }
  }

  static func write(_ entries: [(key: [UInt8], value: [UInt8])], to path: String) throws {
    let writer = try LMDBWriter(path)
    for entry in entries { try writer.append(key: entry.key, value: Block(entry.value)) }
    _ = try writer.commit()
  }

  /// What liblmdb believes without a look, and may end the process over.
  @Test("Damaged pages, the older meta page too, are refused before liblmdb maps the file")
  func damagedPages() throws {
    let folder = try TemporaryFolder()
    let path = folder("shard.lmdb")
    let entries = Self.entries(40)
    try Self.write(entries, to: path)
    let sound = try Files.read(path)
    var refused = 0, sum = 0
    // Both metas, and of the tree: headers, offsets, and nodes with their flags.
    for place in [0, 1, 2, 3, 4].flatMap({ $0 * LMDB.pageSize..<($0 * LMDB.pageSize + 152) })
      + Array(3 * LMDB.pageSize - 300..<3 * LMDB.pageSize)
    {
      for change: UInt8 in [1, 0x14, 0xFF] {
        var bytes = sound
        bytes[place] ^= change
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        do {
          _ = try LMDBReader.entries(of: path)
          let shard = try MappedShard(path)
          for entry in entries.indices {
            let value = try? shard.value(of: entry * 3)
            sum += value?.withBytes { $0.reduce(0) { $0 + Int($1) } } ?? 0
          }
        } catch let failure as Failure {
          #expect(failure.code == .badData, "byte \(place): \(failure)")
          refused += 1
        }
      }
    }
    #expect(refused > 200 && sum > 0)
  }

  /// All entries of a file, by liblmdb's own cursor.
  static func readWithLibrary(_ path: String) throws -> [(key: [UInt8], value: [UInt8])] {
    var environment: OpaquePointer?
    #expect(mdb_env_create(&environment) == 0)
    defer { mdb_env_close(environment) }
    try #require(
      mdb_env_open(
        environment, path, UInt32(MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK), 0o644) == 0)
    var transaction: OpaquePointer?
    try #require(mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &transaction) == 0)
    defer { mdb_txn_abort(transaction) }
    var table: MDB_dbi = 0
    try #require(mdb_dbi_open(transaction, nil, 0, &table) == 0)
    var cursor: OpaquePointer?
    try #require(mdb_cursor_open(transaction, table, &cursor) == 0)
    defer { mdb_cursor_close(cursor) }
    var found: [(key: [UInt8], value: [UInt8])] = []
    var key = MDB_val()
    var value = MDB_val()
    func bytes(_ value: MDB_val) -> [UInt8] {
      Array(UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size))
    }
    while mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0 {
      found.append((bytes(key), bytes(value)))
    }
    // And by key, which goes through the branches.
    for entry in found {
      var key = entry.key
      let equal = key.withUnsafeMutableBytes { raw in
        var wanted = MDB_val(mv_size: raw.count, mv_data: raw.baseAddress)
        return mdb_get(transaction, table, &wanted, &value) == 0 && bytes(value) == entry.value
      }
      #expect(equal)
    }
    return found
  }

  static func writeWithLibrary(_ entries: [(key: [UInt8], value: [UInt8])], to path: String) throws
  {
    var environment: OpaquePointer?
    #expect(mdb_env_create(&environment) == 0)
    defer { mdb_env_close(environment) }
    mdb_env_set_mapsize(environment, 1 << 28)
    try #require(mdb_env_open(environment, path, UInt32(MDB_NOSUBDIR), 0o644) == 0)
    // In two transactions and out of order, so that pages are split and freed.
    for half in [1, 0] {
      var transaction: OpaquePointer?
      try #require(mdb_txn_begin(environment, nil, 0, &transaction) == 0)
      var table: MDB_dbi = 0
      try #require(mdb_dbi_open(transaction, nil, 0, &table) == 0)
      for (number, entry) in entries.enumerated() where number % 2 == half {
        var (key, value) = entry
        let code = key.withUnsafeMutableBytes { keyBytes in
          value.withUnsafeMutableBytes { valueBytes in
            var key = MDB_val(mv_size: keyBytes.count, mv_data: keyBytes.baseAddress)
            var value = MDB_val(mv_size: valueBytes.count, mv_data: valueBytes.baseAddress)
            return mdb_put(transaction, table, &key, &value, 0)
          }
        }
        try #require(code == 0)
      }
      try #require(mdb_txn_commit(transaction) == 0)
    }
  }

  static func readOurselves(_ path: String) throws -> [(key: [UInt8], value: [UInt8])] {
    let bytes = try Files.read(path)
    return try LMDBReader.entries(of: path).map {
      ($0.key, Array(bytes[$0.offset..<($0.offset + $0.count)]))
    }
  }

  @Test(arguments: [0, 1, 2, 15, 150, 1000, 40_000])
  func `liblmdb reads our shards`(count: Int) throws {
    let folder = try TemporaryFolder()
    let entries = Self.entries(count)
    try Self.write(entries, to: folder("shard.lmdb"))
    for found in [
      try Self.readWithLibrary(folder("shard.lmdb")), try Self.readOurselves(folder("shard.lmdb")),
    ] {
      #expect(found.count == count)
      #expect(zip(found, entries).allSatisfy { $0.key == $1.key && $0.value == $1.value })
    }
  }

  @Test(arguments: [0, 1, 15, 1000, 40_000])
  func `we read liblmdb's files`(count: Int) throws {
    let folder = try TemporaryFolder()
    let entries = Self.entries(count)
    try Self.writeWithLibrary(entries, to: folder("other.lmdb"))
    let found = try Self.readOurselves(folder("other.lmdb"))
    #expect(found.count == count)
    #expect(zip(found, entries).allSatisfy { $0.key == $1.key && $0.value == $1.value })
  }

  @Test func `equal entries give equal bytes`() throws {
    let folder = try TemporaryFolder()
    try Self.write(Self.entries(400), to: folder("a"))
    // Leave other bytes on the heap in between.
    _ = (0..<64).map { [UInt8](repeating: UInt8($0), count: 4096) }
    try Self.write(Self.entries(400), to: folder("b"))
    #expect(try Files.read(folder("a")) == Files.read(folder("b")))
  }

  @Test func `keys out of order are refused and leave nothing`() throws {
    let folder = try TemporaryFolder()
    let found = failure {
      let writer = try LMDBWriter(folder("a"))
      try writer.append(key: LMDB.key(2), value: Block([1]))
      try writer.append(key: LMDB.key(1), value: Block([1]))
    }
    #expect(found?.code == .software)
    #expect(try Files.list(folder.path).isEmpty)
  }

  /// Whatever bytes a file holds, reading ends in entries or in a Failure, never in a trap.
  @Test func `no damage traps`() throws {
    let folder = try TemporaryFolder()
    try Self.write(Self.entries(600), to: folder("a"))
    let sound = try Files.read(folder("a"))
    var noise = Noise(1)
    for round in 0..<600 {
      var bytes = sound
      if round % 5 == 0 {
        bytes.removeLast(Int.random(in: 1...bytes.count, using: &noise))
      } else {
        // The tree's own bytes: the first pages and the last.
        for _ in 0..<(1 + round % 4) {
          let near = Int.random(in: 0..<160, using: &noise)
          let page = Int.random(in: 0..<(bytes.count / 4096), using: &noise) * 4096
          bytes[page + near] = UInt8.random(in: 0...255, using: &noise)
        }
      }
      try Data(bytes).write(to: URL(fileURLWithPath: folder("b")))
      do {
        _ = try Self.readOurselves(folder("b"))
      } catch let failure as Failure {
        #expect(failure.code == .badData)
        #expect(failure.place?.contains("/b") == true)
      }
    }
  }
}
