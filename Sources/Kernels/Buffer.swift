import Glibc

/// A block of float32 numbers. Freed blocks are kept for the next request of their size class:
/// training asks for the same sizes again and again, and fresh pages from the system cost more
/// than the arithmetic on small tensors.
public final class Buffer: @unchecked Sendable {
  public let pointer: UnsafeMutablePointer<Float>
  /// Numbers that the owner asked for; the block may be larger.
  public let count: Int
  private let capacity: Int

  /// A block of `count` numbers of unspecified value.
  public init(count: Int) {
    self.count = count
    (pointer, capacity) = BufferPool.take(BufferPool.sizeClass(count))
  }

  /// A block of `count` zeros.
  public convenience init(zeros count: Int) {
    self.init(count: count)
    memset(pointer, 0, count * 4)
  }

  public convenience init(_ values: [Float]) {
    self.init(count: values.count)
    values.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { pointer.update(from: base, count: values.count) }
    }
  }

  deinit { BufferPool.give(pointer, capacity, wanted: BufferPool.sizeClass(count)) }

  public var array: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

  public func copy() -> Buffer {
    let other = Buffer(count: count)
    memcpy(other.pointer, pointer, count * 4)
    return other
  }
}

/// The free blocks by size class. Bounded: what is larger than `largest`, or beyond `limit` bytes in
/// all, goes back to the system, so that a large model takes little more than what it uses; and so does
/// what has stood by longest when blocks in use and standing by would come to more than `slack` of what
/// was ever needed at a time, so that a long run takes no more than a short one.
public enum BufferPool {
  /// Bytes of all free blocks that are kept. Set before the first kernel runs, by what the machine has.
  nonisolated(unsafe) public static var limit = 256 << 20
  /// Bytes of the largest block that is kept.
  public static var largest: Int { limit / 4 }
  /// From here on a block has pages of its own, which the system takes back whole; on the heap it
  /// would leave holes.
  private static let ownPages = 1 << 17
  /// From here on these are asked to be large ones: fewer are faster to come by.
  private static let hugePage = 2 << 20
  /// What blocks may come to of those that are needed, a ratio.
  private static let slack = (5, 4)

  private struct State: @unchecked Sendable {
    /// By size class, those that were given back last at the end.
    var free: [Int: [(pointer: UnsafeMutablePointer<Float>, unit: Int)]] = [:]
    var bytes = 0
    var fresh = 0
    /// Bytes in use; what was asked for of them; and the most that was at a time.
    var used = 0
    var wanted = 0
    var top = 0
    /// Units of work so far, and the most bytes in use in this one and in those before it.
    var unit = 0
    var peak = 0
    var peaks: [Int] = []

    mutating func use(_ capacity: Int, wanted: Int) {
      used += capacity * 4
      self.wanted += wanted * 4
      peak = max(peak, used)
      top = max(top, self.wanted)
    }

    /// Takes blocks out, longest unused first, until no more than so many bytes are in use and
    /// standing by.
    mutating func surplus(over most: Int) -> [Block] {
      var old: [Block] = []
      while used + bytes > most {
        // The first of a size is its oldest.
        let oldest = free.lazy.compactMap { capacity, blocks in
          blocks.first.map { (unit: $0.unit, capacity: capacity) }
        }.min { $0.unit < $1.unit }
        guard let capacity = oldest?.capacity, let block = free[capacity]?.removeFirst() else {
          break
        }
        bytes -= capacity * 4
        old.append((block.pointer, capacity))
      }
      return old
    }
  }
  private typealias Block = (pointer: UnsafeMutablePointer<Float>, capacity: Int)
  private static let state = Guarded(State())

  /// The blocks so far that the system had to give, because none of their size was free: a training
  /// in its stride asks for few.
  public static var freshBlocks: Int { state.withLock { $0.fresh } }

  /// Sizes are rounded up to eighths of a power of two, so that packed batches of varying length share
  /// their blocks; those of blocks with pages of their own to quarters, since what nobody touches of them
  /// takes no memory.
  static func sizeClass(_ count: Int) -> Int {
    if count <= 64 { return 64 }
    let top = Int.bitWidth - (count - 1).leadingZeroBitCount
    let step = 1 << max(3, top - (count * 4 > ownPages ? 3 : 4))
    return (count + step - 1) / step * step
  }

  /// A block of a size class, or of the next one where only that has a free one.
  static func take(
    _ capacity: Int
  ) -> (pointer: UnsafeMutablePointer<Float>, capacity: Int) {
    let (found, old) = state.withLock { state -> (Block?, [Block]) in
      var candidate = capacity
      for _ in 0..<2 {
        if let block = state.free[candidate]?.popLast() {
          state.bytes -= candidate * 4
          state.use(candidate, wanted: capacity)
          return ((block.pointer, candidate), [])
        }
        candidate = sizeClass(candidate + 1)
      }
      state.fresh += 1
      state.use(capacity, wanted: capacity)
      return (nil, state.surplus(over: state.top / slack.1 * slack.0))
    }
    release(old)
    return found
      ?? (allocate(capacity * 4).bindMemory(to: Float.self, capacity: capacity), capacity)
  }

  static func give(_ pointer: UnsafeMutablePointer<Float>, _ capacity: Int, wanted: Int) {
    let keep = state.withLock { state -> Bool in
      state.used -= capacity * 4
      state.wanted -= wanted * 4
      guard capacity * 4 <= largest, state.bytes + capacity * 4 <= limit else { return false }
      state.free[capacity, default: []].append((pointer, state.unit))
      state.bytes += capacity * 4
      return true
    }
    if !keep { deallocate(UnsafeMutableRawPointer(pointer), capacity * 4) }
  }

  /// How many units of work count for what the blocks are held to.
  private static let memory = 32

  /// Says that a unit of work, a pass or a step, has ended. What was needed once and is not any more goes
  /// back to the system: blocks are held to `slack` of what the last units used at most.
  public static func endUnit() {
    release(
      state.withLock { state in
        state.unit += 1
        state.peaks = state.peaks.suffix(memory - 1) + [state.peak]
        state.peak = state.used
        return state.surplus(over: (state.peaks.max() ?? 0) / slack.1 * slack.0)
      })
  }

  private static func release(_ blocks: [Block]) {
    for block in blocks {
      deallocate(UnsafeMutableRawPointer(block.pointer), block.capacity * 4)
    }
  }

  private static func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
    guard bytes >= ownPages else { return .allocate(byteCount: bytes, alignment: 64) }
    let pages = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let pages, pages != MAP_FAILED else {
      // No caller could go on; plans refuse beforehand what cannot fit.
      let text = "error: the system has no memory left for \(bytes) bytes\n"
      _ = write(STDERR_FILENO, text, text.utf8.count)
      exit(70)
    }
    if bytes >= hugePage { madvise(pages, bytes, MADV_HUGEPAGE) }
    return pages
  }

  private static func deallocate(_ pointer: UnsafeMutableRawPointer, _ bytes: Int) {
    if bytes >= ownPages { munmap(pointer, bytes) } else { pointer.deallocate() }
  }
}
