import Failures

/// Writes a table in ascending order of keys, from front to back, holding one leaf in memory.
/// The same entries give the same bytes.
final class LMDBWriter {
  private let file: OutputFile
  private var table = LMDBTable()
  private var leaf = LMDBPage(flags: LMDB.leafPage)
  private var leafKey: [UInt8] = []
  private var lastKey: [UInt8] = []
  /// The pages of the level below the branches to come: first key and number.
  private var level: [(key: [UInt8], page: Int)] = []
  private var nextPage = 2

  init(_ path: String) throws {
    file = try OutputFile(path)
    // The two meta pages come last: their place is kept.
    try file.write([UInt8](repeating: 0, count: 2 * LMDB.pageSize))
  }

  /// Throws 70 for a key out of order, 74 when writing fails.
  func append(key: [UInt8], value: [UInt8]) throws {
    guard table.entries == 0 || lastKey.lexicographicallyPrecedes(key) else {
      throw Failure(.software, "keys of a shard must ascend", at: file.path)
    }
    guard value.count < 1 << 32 else {
      throw Failure(.badData, "a record larger than 4 GiB", at: file.path)
    }
    var data = value
    var flags: UInt16 = 0
    if LMDB.nodeHeader + key.count + value.count > LMDB.largestNode {
      data = withUnsafeBytes(of: UInt64(try writeOverflow(value)).littleEndian) { Array($0) }
      flags = LMDB.bigData
    }
    let lo = UInt16(value.count & 0xFFFF)
    let hi = UInt16(value.count >> 16)
    if !leaf.add(lo: lo, hi: hi, flags: flags, key: key, data: data) {
      try writeLeaf()
      _ = leaf.add(lo: lo, hi: hi, flags: flags, key: key, data: data)
      leafKey = key
    }
    if table.entries == 0 { leafKey = key }
    table.entries += 1
    lastKey = key
  }

  /// Writes the tree and gives the file its name.
  func commit() throws {
    if !leaf.isEmpty { try writeLeaf() }
    table.depth = level.isEmpty ? 0 : 1
    while level.count > 1 {
      try writeBranches()
      table.depth += 1
    }
    if let root = level.first { table.root = UInt64(root.page) }
    try file.overwrite(
      meta(0, LMDBTable(), lastPage: 1, transaction: 0)
        + meta(1, table, lastPage: nextPage - 1, transaction: 1), at: 0)
    try file.commit()
  }

  private func write(_ page: inout LMDBPage) throws -> Int {
    try file.write(page.finished(as: nextPage))
    nextPage += 1
    return nextPage - 1
  }

  private func writeOverflow(_ value: [UInt8]) throws -> Int {
    let pages = LMDB.overflowPages(value.count)
    var head = LMDBPage(flags: LMDB.overflowPage)
    head.put(UInt64(nextPage), at: 0)
    head.put(UInt32(pages), at: 12)
    try file.write(Array(head.bytes[..<LMDB.pageHeader]))
    try file.write(value)
    let rest = pages * LMDB.pageSize - LMDB.pageHeader - value.count
    try file.write([UInt8](repeating: 0, count: rest))
    table.overflowPages += pages
    nextPage += pages
    return nextPage - pages
  }

  private func writeLeaf() throws {
    level.append((leafKey, try write(&leaf)))
    leaf = LMDBPage(flags: LMDB.leafPage)
    table.leafPages += 1
  }

  private func writeBranches() throws {
    var above: [(key: [UInt8], page: Int)] = []
    var branch = LMDBPage(flags: LMDB.branchPage)
    var first = level[0].key
    func close() throws {
      above.append((first, try write(&branch)))
      table.branchPages += 1
    }
    for child in level {
      let page = UInt64(child.page)
      func add(_ key: [UInt8]) -> Bool {
        branch.add(
          lo: UInt16(page & 0xFFFF), hi: UInt16(page >> 16 & 0xFFFF), flags: UInt16(page >> 32),
          key: key, data: [])
      }
      // The first key of a branch is not stored: it is below all that follow.
      if !add(branch.isEmpty ? [] : child.key) {
        try close()
        branch = LMDBPage(flags: LMDB.branchPage)
        first = child.key
        _ = add([])
      }
    }
    try close()
    level = above
  }

  private func meta(
    _ number: Int, _ table: LMDBTable, lastPage: Int, transaction: Int
  ) -> [UInt8] {
    var page = LMDBPage(flags: LMDB.metaPage)
    page.put(UInt64(number), at: 0)
    page.put(LMDB.magic, at: 16)
    page.put(LMDB.version, at: 20)
    page.put(UInt64(nextPage * LMDB.pageSize), at: 32)
    // The table of free pages, empty; its first word carries the page size.
    page.put(UInt32(LMDB.pageSize), at: 40)
    page.put(LMDB.integerKeys, at: 44)
    page.put(LMDB.noPage, at: 80)
    page.put(table.flags, at: 92)
    page.put(UInt16(table.depth), at: 94)
    page.put(UInt64(table.branchPages), at: 96)
    page.put(UInt64(table.leafPages), at: 104)
    page.put(UInt64(table.overflowPages), at: 112)
    page.put(UInt64(table.entries), at: 120)
    page.put(table.root, at: 128)
    page.put(UInt64(lastPage), at: 136)
    page.put(UInt64(transaction), at: 144)
    return page.bytes
  }
}
