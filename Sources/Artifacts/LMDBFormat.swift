/// LMDB's file format, version 1, as far as a shard needs it: one table, keys of any length,
/// values inline or on overflow pages.
///
/// We read and write it ourselves. liblmdb leaves bytes of the heap in page headers, so equal
/// records would not give equal files; it maps the file, so a cut-off or damaged one can end the
/// process; and it holds a transaction's pages in memory. liblmdb and its Python binding read
/// these files, and we read theirs: the tests do both.
///
/// A page is `pgno` u64, `pad` u16, `flags` u16, then `lower` and `upper` u16 each (the bounds of
/// free space) or, on an overflow page, the number of pages u32. From byte 16 come the offsets of
/// the nodes u16 each, the nodes fill the page from its end. A node is `lo` u16, `hi` u16,
/// `flags` u16, `ksize` u16, key, data.
enum LMDB {
  static let pageSize = 4096
  static let pageHeader = 16
  static let nodeHeader = 8

  static let branchPage: UInt16 = 0x01
  static let leafPage: UInt16 = 0x02
  static let overflowPage: UInt16 = 0x04
  static let metaPage: UInt16 = 0x08
  /// The node's data is the number of an overflow page.
  static let bigData: UInt16 = 0x01
  /// A table of integer keys: LMDB's table of free pages.
  static let integerKeys: UInt16 = 0x08

  static let magic: UInt32 = 0xBEEF_C0DE
  static let version: UInt32 = 1
  static let noPage = UInt64.max

  /// The largest node that stays in a leaf: two must fit.
  static let largestNode = (((pageSize - pageHeader) / 2) & ~1) - 2

  /// Overflow pages that hold `bytes`.
  static func overflowPages(_ bytes: Int, pageSize: Int = LMDB.pageSize) -> Int {
    (pageHeader - 1 + bytes) / pageSize + 1
  }

  static func key(_ index: Int) -> [UInt8] {
    withUnsafeBytes(of: UInt64(index).bigEndian) { Array($0) }
  }
}

/// A table's counts and root, as they stand in a meta page.
struct LMDBTable {
  var flags: UInt16 = 0
  var depth = 0
  var branchPages = 0
  var leafPages = 0
  var overflowPages = 0
  var entries = 0
  var root = LMDB.noPage
}

/// A page in the making.
struct LMDBPage {
  private(set) var bytes = [UInt8](repeating: 0, count: LMDB.pageSize)
  private var lower = LMDB.pageHeader
  private var upper = LMDB.pageSize

  init(flags: UInt16) { put(flags, at: 10) }

  var isEmpty: Bool { lower == LMDB.pageHeader }

  mutating func put<Word: FixedWidthInteger>(_ word: Word, at offset: Int) {
    withUnsafeBytes(of: word.littleEndian) { source in
      bytes.withUnsafeMutableBytes { $0[offset..<(offset + source.count)].copyBytes(from: source) }
    }
  }

  /// Adds a node behind the others; false when the page is full.
  mutating func add(lo: UInt16, hi: UInt16, flags: UInt16, key: [UInt8], data: [UInt8]) -> Bool {
    let size = (LMDB.nodeHeader + key.count + data.count + 1) & ~1
    guard upper - lower >= size + 2 else { return false }
    upper -= size
    put(lo, at: upper)
    put(hi, at: upper + 2)
    put(flags, at: upper + 4)
    put(UInt16(key.count), at: upper + 6)
    let start = upper + LMDB.nodeHeader
    bytes.replaceSubrange(start..<(start + key.count), with: key)
    bytes.replaceSubrange(
      (start + key.count)..<(start + key.count + data.count), with: data)
    put(UInt16(upper), at: lower)
    lower += 2
    return true
  }

  /// The page's bytes as page `number`.
  mutating func finished(as number: Int) -> [UInt8] {
    put(UInt64(number), at: 0)
    put(UInt16(lower), at: 12)
    put(UInt16(upper), at: 14)
    return bytes
  }
}
