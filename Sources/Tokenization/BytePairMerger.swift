/// Merges the byte pairs of one word, lowest rank first, leftmost among equals.
///
/// Holds the scratch memory and the cache of words already merged; one thread at a time.
struct BytePairMerger {
  /// The cache is emptied when it holds this many words.
  private static let cachedWords = 1 << 15
  private static let longestCachedWord = 64
  /// Up to this length the next merge is found by scanning; above, by a heap.
  private static let longestScan = 48

  private var cache = ByteTable(capacity: cachedWords)
  /// Ids of the cached words end to end, each list behind its length.
  private var cachedIDs: [Int32] = []
  private var symbols: [Int32] = []
  private var ranks: [UInt32] = []
  private var merged: [Int32] = []

  /// Appends the ids of one word.
  mutating func append(
    _ word: UnsafeBufferPointer<UInt8>, _ model: BytePairModel, to ids: inout [Int32]
  ) {
    if word.count == 1 {
      if case let id = model.byteIDs[Int(word[0])], id >= 0 { ids.append(id) }
      return
    }
    if let place = cache.value(of: word) {
      let start = Int(place)
      let count = Int(cachedIDs[start])
      for index in start + 1..<start + 1 + count { ids.append(cachedIDs[index]) }
      return
    }
    let start = ids.count
    if model.ignoresMerges, let id = model.words.value(of: word) {
      ids.append(id)
    } else if word.count <= BytePairMerger.longestScan {
      mergeByScan(word, model, to: &ids)
    } else {
      mergeByHeap(word, model, to: &ids)
    }
    guard word.count <= BytePairMerger.longestCachedWord else { return }
    if cache.count >= BytePairMerger.cachedWords {
      cache.removeAll()
      cachedIDs.removeAll(keepingCapacity: true)
    }
    cache.insert(word, Int32(cachedIDs.count))
    cachedIDs.append(Int32(ids.count - start))
    cachedIDs.append(contentsOf: ids[start...])
  }

  private mutating func load(_ word: UnsafeBufferPointer<UInt8>, _ model: BytePairModel) {
    symbols.removeAll(keepingCapacity: true)
    for byte in word {
      // A byte that the vocabulary lacks is dropped, as the tokenizers library does.
      if case let id = model.byteIDs[Int(byte)], id >= 0 { symbols.append(id) }
    }
  }

  /// Finds each next merge by looking at all pairs: fastest for words as they are in text.
  mutating func mergeByScan(
    _ word: UnsafeBufferPointer<UInt8>, _ model: BytePairModel, to ids: inout [Int32]
  ) {
    load(word, model)
    ranks.removeAll(keepingCapacity: true)
    merged.removeAll(keepingCapacity: true)
    for index in symbols.indices.dropLast() {
      let found = model.merges.find(symbols[index], symbols[index + 1])
      ranks.append(found.rank)
      merged.append(found.merged)
    }
    while true {
      var best = 0
      var lowest = MergeTable.none
      for index in ranks.indices where ranks[index] < lowest {
        lowest = ranks[index]
        best = index
      }
      if lowest == MergeTable.none { break }
      symbols[best] = merged[best]
      symbols.remove(at: best + 1)
      ranks.remove(at: best)
      merged.remove(at: best)
      if best < ranks.count { update(best, model) }
      if best > 0 { update(best - 1, model) }
    }
    ids.append(contentsOf: symbols)
  }

  private mutating func update(_ index: Int, _ model: BytePairModel) {
    let found = model.merges.find(symbols[index], symbols[index + 1])
    ranks[index] = found.rank
    merged[index] = found.merged
  }

  /// The same merges in n log n, for words of any length: a heap of pairs over a linked list.
  mutating func mergeByHeap(
    _ word: UnsafeBufferPointer<UInt8>, _ model: BytePairModel, to ids: inout [Int32]
  ) {
    load(word, model)
    guard !symbols.isEmpty else { return }
    let end = symbols.count
    var next = (1...end).map { Int32($0) }
    var previous = (-1..<end - 1).map { Int32($0) }
    var heap = PairHeap()
    func push(_ left: Int, _ symbols: [Int32], _ next: [Int32], _ heap: inout PairHeap) {
      let right = Int(next[left])
      guard right < end else { return }
      let found = model.merges.find(symbols[left], symbols[right])
      guard found.rank != MergeTable.none else { return }
      heap.push(
        .init(
          rank: found.rank, position: UInt32(left), merged: found.merged,
          left: symbols[left], right: symbols[right]))
    }
    for left in 0..<end { push(left, symbols, next, &heap) }
    while let pair = heap.pop() {
      let left = Int(pair.position)
      let right = Int(next[left])
      // Stale where either side has merged into something else meanwhile.
      guard symbols[left] == pair.left, right < end, symbols[right] == pair.right else { continue }
      symbols[left] = pair.merged
      symbols[right] = -1
      next[left] = next[right]
      if Int(next[left]) < end { previous[Int(next[left])] = Int32(left) }
      if previous[left] >= 0 { push(Int(previous[left]), symbols, next, &heap) }
      push(left, symbols, next, &heap)
    }
    var position = 0
    while position < end {
      ids.append(symbols[position])
      position = Int(next[position])
    }
  }
}

/// A binary heap of candidate merges, lowest rank first, then leftmost.
private struct PairHeap {
  struct Pair {
    var rank: UInt32
    var position: UInt32
    var merged: Int32
    var left: Int32
    var right: Int32

    func precedes(_ other: Pair) -> Bool {
      rank != other.rank ? rank < other.rank : position < other.position
    }
  }

  private var pairs: [Pair] = []

  mutating func push(_ pair: Pair) {
    pairs.append(pair)
    var child = pairs.count - 1
    while child > 0, case let parent = (child - 1) / 2, pairs[child].precedes(pairs[parent]) {
      pairs.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> Pair? {
    guard let first = pairs.first, let last = pairs.popLast() else { return nil }
    if pairs.isEmpty { return first }
    pairs[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < pairs.count && pairs[child].precedes(pairs[least]) {
        least = child
      }
      if least == parent { return first }
      pairs.swapAt(parent, least)
      parent = least
    }
  }
}
