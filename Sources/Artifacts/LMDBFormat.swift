import CLMDB

/// LMDB's file format, version 1, as far as checking a shard needs it: one table, keys of any
/// length, values inline or on overflow pages.
///
/// liblmdb writes the shards and reads their records. It trusts what it maps, though: a damaged
/// page can end the process. So `LMDBReader` walks the tree by ordinary reads before liblmdb may
/// touch a file.
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
  /// A page that was being written.
  static let dirty: UInt16 = 0x10
  /// The node's data is the number of an overflow page.
  static let bigData: UInt16 = 0x01

  /// Of a table: its keys are integers, as the free list's are.
  static let integerKey: UInt16 = 0x08
  /// Of an environment: it wants the map at one address.
  static let fixedMap: UInt16 = 0x01

  static let magic: UInt32 = 0xBEEF_C0DE
  static let version: UInt32 = 1
  static let noPage = UInt64.max

  /// What an error code of liblmdb means.
  static func reason(_ code: Int32) -> String { String(cString: mdb_strerror(code)) }

  static func key(_ index: Int) -> [UInt8] {
    withUnsafeBytes(of: UInt64(index).bigEndian) { Array($0) }
  }
}
