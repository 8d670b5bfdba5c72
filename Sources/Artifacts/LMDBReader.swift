import Failures
import Glibc

/// Reads a table's entries from a file by ordinary reads: nothing is mapped, no lock is taken, and
/// whatever the bytes are, the worst is a `Failure`.
struct LMDBReader {
  /// Where a value lies in the file.
  struct Place: Sendable {
    let key: [UInt8]
    let offset: Int
    let count: Int
  }

  let path: String
  private let descriptor: Int32
  private let fileSize: Int
  private var pageSize = LMDB.pageSize

  /// All entries of the file at `path`, in ascending order. Throws 66 when it cannot be opened, 65
  /// when it is damaged.
  static func entries(of path: String) throws -> [Place] {
    let descriptor = try Files.open(path)
    defer { close(descriptor) }
    var reader = try LMDBReader(path: path, descriptor: descriptor)
    return try reader.entries()
  }

  private init(path: String, descriptor: Int32) throws {
    self.path = path
    self.descriptor = descriptor
    fileSize = Files.size(path) ?? 0
  }

  private func damaged(_ what: String, page: Int? = nil) -> Failure {
    Failure(
      .badData, "the shard is damaged: \(what)", at: page.map { "\(path), page \($0)" } ?? path,
      advice: CheckedFiles.advice)
  }

  private func word<Word: FixedWidthInteger>(
    _ type: Word.Type, _ bytes: [UInt8], _ offset: Int
  ) throws -> Word {
    guard offset >= 0, offset + MemoryLayout<Word>.size <= bytes.count else {
      throw damaged("a field lies outside its page")
    }
    return bytes.withUnsafeBytes {
      Word(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Word.self))
    }
  }

  private mutating func entries() throws -> [Place] {
    let table = try newestTable()
    if table.root == LMDB.noPage { return [] }
    var places: [Place] = []
    places.reserveCapacity(min(table.entries, fileSize / 8))
    // Every page is visited at most once, so a loop in the tree cannot hold us.
    var budget = fileSize / pageSize + 1
    try walk(table.root, depth: table.depth, &places, &budget)
    guard places.count == table.entries else {
      throw damaged("\(table.entries) entries announced, \(places.count) found")
    }
    for (a, b) in zip(places, places.dropFirst())
    where !a.key.lexicographicallyPrecedes(b.key) {
      throw damaged("keys out of order")
    }
    return places
  }

  private mutating func newestTable() throws -> (root: UInt64, depth: Int, entries: Int) {
    let head = try Files.read(descriptor, offset: 0, count: min(fileSize, 152), path: path)
    guard try word(UInt32.self, head, 16) == LMDB.magic else {
      throw Failure(.badData, "not an LMDB file", at: path)
    }
    guard try word(UInt32.self, head, 20) == LMDB.version else {
      throw Failure(
        .badData, "unknown version of LMDB's format", at: path, expected: "\(LMDB.version)",
        found: "\(try word(UInt32.self, head, 20))")
    }
    pageSize = Int(try word(UInt32.self, head, 40))
    guard pageSize >= 512, pageSize <= 65536, pageSize & (pageSize - 1) == 0,
      fileSize >= 2 * pageSize
    else { throw damaged("no sound meta page") }
    let other = try Files.read(descriptor, offset: pageSize, count: 152, path: path)
    for (number, meta) in [head, other].enumerated() { try checkMeta(meta, page: number) }
    let newest =
      try word(UInt64.self, head, 144) > word(UInt64.self, other, 144) ? head : other
    return (
      try word(UInt64.self, newest, 128), Int(try word(UInt16.self, newest, 94)),
      Int(clamping: try word(UInt64.self, newest, 120))
    )
  }

  /// liblmdb believes both meta pages, the older too: page size, size and place of the map, flags of
  /// the tables.
  private func checkMeta(_ meta: [UInt8], page number: Int) throws {
    let flags = try word(UInt16.self, meta, 44)
    let lastPage = try word(UInt64.self, meta, 136)
    // A record takes two pages of the map at most beside its bytes, and 25 bytes of the file at least.
    let mostMapped = UInt64(fileSize) * 512 + 1 << 30
    guard try word(UInt32.self, meta, 16) == LMDB.magic,
      try word(UInt32.self, meta, 20) == LMDB.version,
      try word(UInt64.self, meta, 24) == 0,
      try word(UInt64.self, meta, 32) <= mostMapped,
      try word(UInt32.self, meta, 40) == UInt32(pageSize),
      flags & LMDB.integerKey != 0, flags & LMDB.fixedMap == 0,
      try word(UInt16.self, meta, 92) == 0,
      lastPage < UInt64(fileSize / pageSize)
    else { throw damaged("no sound meta page", page: number) }
  }

  private func page(_ number: UInt64) throws -> [UInt8] {
    guard number >= 2, number < UInt64(fileSize / pageSize) else {
      throw damaged("page \(number) does not exist")
    }
    return try Files.read(
      descriptor, offset: Int(number) * pageSize, count: pageSize, path: path)
  }

  private func walk(
    _ number: UInt64, depth: Int, _ places: inout [Place], _ budget: inout Int
  ) throws {
    budget -= 1
    let bytes = try page(number)
    let at = Int(number)
    guard budget >= 0, (1...32).contains(depth), try word(UInt64.self, bytes, 0) == number else {
      throw damaged("the tree is broken", page: at)
    }
    let isLeaf = depth == 1
    guard
      try word(UInt16.self, bytes, 10) & ~LMDB.dirty == (isLeaf ? LMDB.leafPage : LMDB.branchPage)
    else { throw damaged("a page of the wrong kind", page: at) }
    let lower = Int(try word(UInt16.self, bytes, 12))
    // liblmdb ends the process over a branch that is none.
    guard lower >= LMDB.pageHeader + (isLeaf ? 0 : 4), lower <= pageSize else {
      throw damaged("bad bounds", page: at)
    }
    for slot in 0..<((lower - LMDB.pageHeader) / 2) {
      let node = Int(try word(UInt16.self, bytes, LMDB.pageHeader + 2 * slot))
      let lo = UInt64(try word(UInt16.self, bytes, node))
      let hi = UInt64(try word(UInt16.self, bytes, node + 2))
      let flags = try word(UInt16.self, bytes, node + 4)
      let start = node + LMDB.nodeHeader
      let keyEnd = start + Int(try word(UInt16.self, bytes, node + 6))
      guard keyEnd <= pageSize else { throw damaged("a key outside its page", page: at) }
      if !isLeaf {
        try walk(lo | hi << 16 | UInt64(flags) << 32, depth: depth - 1, &places, &budget)
        continue
      }
      let count = Int(lo | hi << 16)
      var offset = at * pageSize + keyEnd
      if flags == LMDB.bigData {
        let first = try word(UInt64.self, bytes, keyEnd)
        guard first >= 2, first < UInt64(fileSize / pageSize) else {
          throw damaged("page \(first) does not exist", page: at)
        }
        offset = Int(first) * pageSize + LMDB.pageHeader
      } else if flags != 0 || keyEnd + count > pageSize {
        throw damaged("a value outside its page", page: at)
      }
      guard count <= fileSize - offset else {
        throw damaged("a value outside the file", page: at)
      }
      places.append(Place(key: Array(bytes[start..<keyEnd]), offset: offset, count: count))
    }
  }
}
