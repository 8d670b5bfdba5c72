/// A hash table from byte strings to numbers, the bytes laid end to end in one arena.
///
/// Swift's `String` keys would be wrong here, not only slow: strings compare by canonical
/// equivalence, but two tokens are the same only if their bytes are.
struct ByteTable: Sendable {
  private struct Entry: Sendable {
    var start: Int32
    var length: Int32
    var value: Int32
    var hash: UInt32
  }

  private var arena: [UInt8] = []
  private var entries: [Entry] = []
  /// Index into `entries` plus one, 0 where free; a power of two of them.
  private var slots: [Int32]

  init(capacity: Int) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    slots = Array(repeating: 0, count: size)
    entries.reserveCapacity(capacity)
  }

  var count: Int { entries.count }
  var arenaBytes: Int { arena.count }

  mutating func removeAll() {
    arena.removeAll(keepingCapacity: true)
    entries.removeAll(keepingCapacity: true)
    for index in slots.indices { slots[index] = 0 }
  }

  private static func hash(_ key: UnsafeBufferPointer<UInt8>) -> UInt32 {
    var state: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in key { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
    state ^= state >> 29
    return UInt32(truncatingIfNeeded: (state &* 0x9E37_79B9_7F4A_7C15) >> 32)
  }

  func value(of key: UnsafeBufferPointer<UInt8>) -> Int32? {
    let hash = ByteTable.hash(key)
    let mask = slots.count - 1
    var slot = Int(hash) & mask
    while slots[slot] != 0 {
      let entry = entries[Int(slots[slot]) - 1]
      if entry.hash == hash, Int(entry.length) == key.count, matches(entry, key) {
        return entry.value
      }
      slot = (slot + 1) & mask
    }
    return nil
  }

  func value(of key: [UInt8]) -> Int32? {
    key.withUnsafeBufferPointer { value(of: $0) }
  }

  private func matches(_ entry: Entry, _ key: UnsafeBufferPointer<UInt8>) -> Bool {
    let start = Int(entry.start)
    for index in 0..<key.count where arena[start + index] != key[index] { return false }
    return true
  }

  /// Adds a key that is not in the table yet.
  mutating func insert(_ key: UnsafeBufferPointer<UInt8>, _ value: Int32) {
    if entries.count * 2 >= slots.count { grow() }
    let hash = ByteTable.hash(key)
    entries.append(
      Entry(
        start: Int32(arena.count), length: Int32(key.count), value: value, hash: hash))
    arena.append(contentsOf: key)
    place(entries.count)
  }

  mutating func insert(_ key: [UInt8], _ value: Int32) {
    key.withUnsafeBufferPointer { insert($0, value) }
  }

  private mutating func place(_ number: Int) {
    let mask = slots.count - 1
    var slot = Int(entries[number - 1].hash) & mask
    while slots[slot] != 0 { slot = (slot + 1) & mask }
    slots[slot] = Int32(number)
  }

  private mutating func grow() {
    slots = Array(repeating: 0, count: slots.count * 2)
    for number in 0..<entries.count { place(number + 1) }
  }
}

/// The merges: from a pair of token ids to its rank and the id it becomes.
struct MergeTable: Sendable {
  /// Rank of a pair that does not merge.
  static let none = UInt32.max

  private var keys: [UInt64]
  private var values: [(rank: UInt32, merged: Int32)]
  private let shift: UInt64
  private static let free = UInt64.max

  init(capacity: Int) {
    var bits: UInt64 = 4
    while (1 << bits) < capacity * 2 { bits += 1 }
    shift = 64 - bits
    keys = Array(repeating: MergeTable.free, count: 1 << Int(bits))
    values = Array(repeating: (MergeTable.none, 0), count: 1 << Int(bits))
  }

  private func slot(_ key: UInt64) -> Int {
    Int((key &* 0x9E37_79B9_7F4A_7C15) >> shift)
  }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  /// Sets a pair; a pair that stands twice keeps its last rank, as in the `tokenizers` library.
  mutating func set(_ left: Int32, _ right: Int32, rank: UInt32, merged: Int32) {
    let key = MergeTable.key(left, right)
    let mask = keys.count - 1
    var slot = slot(key)
    while keys[slot] != MergeTable.free, keys[slot] != key { slot = (slot + 1) & mask }
    keys[slot] = key
    values[slot] = (rank, merged)
  }

  func find(_ left: Int32, _ right: Int32) -> (rank: UInt32, merged: Int32) {
    let key = MergeTable.key(left, right)
    let mask = keys.count - 1
    var slot = slot(key)
    while keys[slot] != key {
      if keys[slot] == MergeTable.free { return (MergeTable.none, 0) }
      slot = (slot + 1) & mask
    }
    return values[slot]
  }
}
