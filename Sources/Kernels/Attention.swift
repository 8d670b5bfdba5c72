/// Who sees whom in a packed sequence. Rows of one sample lie together; a block's rows see the
/// prefix rows and the rows of their own block: up to themselves when causal, all of them otherwise.
/// An ordinary sample is one block without prefix; questions that share an image are blocks behind
/// the same prefix. A head of a sample is worked on by one thread.
public struct AttentionLayout: Sendable, Equatable {
  public struct Block: Sendable, Equatable {
    public var rows: Range<Int>
    public var prefix: Range<Int>

    public init(rows: Range<Int>, prefix: Range<Int> = 0..<0) {
      self.rows = rows
      self.prefix = prefix
    }
  }

  public var samples: [[Block]]
  public var causal: Bool

  public init(samples: [[Block]], causal: Bool) {
    self.samples = samples
    self.causal = causal
  }
}

/// The shape of an attention: `heads` query heads in groups that share one of `keyValueHeads`.
public struct AttentionHeads: Sendable {
  public var heads: Int
  public var keyValueHeads: Int
  public var size: Int

  public init(heads: Int, keyValueHeads: Int, size: Int) {
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.size = size
  }

  var group: Int { heads / keyValueHeads }
  var scale: Float { 1 / Float(size).squareRoot() }
}

extension AttentionLayout {
  /// Rows of a block whose scores are in memory at a time: they stay in the cache, and causal rows
  /// skip most of the keys that they cannot see.
  public static let rowsAtOnce = 128

  /// The most scores that a thread holds at a time for a block of so many rows that see so many keys
  /// before their own.
  public static func scores(rows: Int, prefix: Int = 0) -> Int {
    let (product, overflow) = min(rows, rowsAtOnce).multipliedReportingOverflow(by: rows + prefix)
    return overflow ? .max : product
  }
}

/// Some rows of a block with the keys that they see.
private struct Stretch {
  let rows: Range<Int>
  /// Stretches of keys: the first column of their scores, and the packed rows.
  let keys: [(column: Int, rows: Range<Int>)]
  /// The keys that the first row sees, and how many more each row does than the one before.
  let visible: Int, growth: Int
  /// All keys.
  var width: Int { keys.reduce(0) { $0 + $1.rows.count } }

  /// A block's stretches, in order.
  static func all(_ block: AttentionLayout.Block, causal: Bool) -> [Stretch] {
    let own = block.rows, prefix = block.prefix
    return stride(from: own.lowerBound, to: own.upperBound, by: AttentionLayout.rowsAtOnce).map {
      start in
      let end = min(start + AttentionLayout.rowsAtOnce, own.upperBound)
      let keys = [
        (column: 0, rows: prefix),
        (column: prefix.count, rows: own.lowerBound..<(causal ? end : own.upperBound)),
      ]
      return Stretch(
        rows: start..<end, keys: keys.filter { !$0.rows.isEmpty },
        visible: prefix.count + (causal ? start + 1 - own.lowerBound : own.count),
        growth: causal ? 1 : 0)
    }
  }

  /// Fills `scores` [rows, width] with the softmax of q kᵀ · scale. In float32 always: what rounding
  /// takes from q and k, the softmax multiplies.
  func probabilities(
    _ heads: AttentionHeads, q: UnsafePointer<Float>, k: UnsafePointer<Float>,
    scores: UnsafeMutablePointer<Float>
  ) {
    let qStride = heads.heads * heads.size, kStride = heads.keyValueHeads * heads.size
    let width = width
    for part in keys {
      gemmSerial(
        rows.count, part.rows.count, heads.size, alpha: heads.scale,
        a: q + rows.lowerBound * qStride, lda: qStride, b: k + part.rows.lowerBound * kStride,
        ldb: kStride, transposeB: true, c: scores + part.column, ldc: width)
    }
    for i in 0..<rows.count {
      let row = scores + i * width, seen = visible + i * growth
      let inverse = 1 / exponentiate(row, minus: maximum(row, seen), seen)
      for j in 0..<seen { row[j] *= inverse }
      for j in seen..<width { row[j] = 0 }
    }
  }
}

extension AttentionLayout {
  /// All rows of the packed sequence that anything looks at.
  fileprivate var rowCount: Int {
    samples.joined().reduce(0) { max($0, $1.rows.upperBound, $1.prefix.upperBound) }
  }
}

extension [AttentionLayout.Block] {
  /// The most scores of any of them that are in memory at a time.
  fileprivate var scores: Int {
    reduce(0) { most, block in
      Swift.max(
        most, AttentionLayout.scores(rows: block.rows.count, prefix: block.prefix.count))
    }
  }
}

/// Scaled dot-product attention with grouped key/value heads over a packed sequence.
/// q and out are [rows, heads · size], k and v [rows, keyValueHeads · size].
public func attention(
  q: UnsafePointer<Float>, k: UnsafePointer<Float>, v: UnsafePointer<Float>,
  layout: AttentionLayout, heads: AttentionHeads, into out: UnsafeMutablePointer<Float>
) {
  let qStride = heads.heads * heads.size, kStride = heads.keyValueHeads * heads.size
  let multiplier = Multiplier.current, rows = layout.rowCount
  let v = multiplier.factor(v, rows * kStride)
  parallelTasks(layout.samples.count * heads.heads) { task in
    let sample = layout.samples[task / heads.heads]
    let offset = task % heads.heads * heads.size
    let keyOffset = task % heads.heads / heads.group * heads.size
    let scores = Buffer(count: sample.scores)
    let panel = FactorPanel(multiplier, count: sample.scores)
    defer { withExtendedLifetime(scores) {} }
    for stretch in sample.flatMap({ Stretch.all($0, causal: layout.causal) }) {
      stretch.probabilities(heads, q: q + offset, k: k + keyOffset, scores: scores.pointer)
      let weights = panel.fill(scores.pointer, stretch.rows.count * stretch.width)
      for part in stretch.keys {
        multiplier.product(
          stretch.rows.count, heads.size, part.rows.count, a: weights + part.column,
          lda: stretch.width, b: v + part.rows.lowerBound * kStride + keyOffset, ldb: kStride,
          beta: part.column == 0 ? 0 : 1, c: out + stretch.rows.lowerBound * qStride + offset,
          ldc: qStride)
      }
    }
  }
}

/// Adds the gradients of `attention`. The probabilities are computed again, not kept: they would be
/// the largest tensors of a block.
public func attentionBackward(
  q: UnsafePointer<Float>, k: UnsafePointer<Float>, v: UnsafePointer<Float>,
  layout: AttentionLayout, heads: AttentionHeads, outGradient: UnsafePointer<Float>,
  qGradient: UnsafeMutablePointer<Float>, kGradient: UnsafeMutablePointer<Float>,
  vGradient: UnsafeMutablePointer<Float>
) {
  let qStride = heads.heads * heads.size, kStride = heads.keyValueHeads * heads.size
  let multiplier = Multiplier.current, rows = layout.rowCount
  let factors = (
    q: multiplier.factor(q, rows * qStride), k: multiplier.factor(k, rows * kStride)
  )
  let v = multiplier.factor(v, rows * kStride)
  let outGradient = multiplier.factor(outGradient, rows * qStride)
  // The heads of a group add to the same keys.
  parallelTasks(layout.samples.count * heads.keyValueHeads) { task in
    let sample = layout.samples[task / heads.keyValueHeads]
    let keyHead = task % heads.keyValueHeads
    let buffers = (Buffer(count: sample.scores), Buffer(count: sample.scores))
    defer { withExtendedLifetime(buffers) {} }
    let scores = buffers.0.pointer, gradients = buffers.1.pointer
    let panels = (
      FactorPanel(multiplier, count: sample.scores), FactorPanel(multiplier, count: sample.scores)
    )
    let stretches = sample.flatMap { Stretch.all($0, causal: layout.causal) }
    for head in keyHead * heads.group..<(keyHead + 1) * heads.group {
      let offset = head * heads.size, keyOffset = keyHead * heads.size
      for stretch in stretches {
        let n = stretch.rows.count, width = stretch.width
        let rowStart = stretch.rows.lowerBound * qStride + offset
        stretch.probabilities(heads, q: q + offset, k: k + keyOffset, scores: scores)
        let weights = panels.0.fill(scores, n * width)
        for part in stretch.keys {
          let keyStart = part.rows.lowerBound * kStride + keyOffset
          multiplier.product(
            part.rows.count, heads.size, n, a: weights + part.column, lda: width, transposeA: true,
            b: outGradient + rowStart, ldb: qStride, beta: 1, c: vGradient + keyStart, ldc: kStride)
          multiplier.product(
            n, part.rows.count, heads.size, a: outGradient + rowStart, lda: qStride,
            b: v + keyStart, ldb: kStride, transposeB: true, c: gradients + part.column, ldc: width)
        }
        for i in 0..<n {
          let probability = scores + i * width, gradient = gradients + i * width
          let seen = stretch.visible + i * stretch.growth
          let mean = dot(probability, gradient, seen)
          for j in 0..<seen {
            gradient[j] = probability[j] * (gradient[j] - mean) * heads.scale
          }
          for j in seen..<width { gradient[j] = 0 }
        }
        let slopes = panels.1.fill(gradients, n * width)
        for part in stretch.keys {
          let keyStart = part.rows.lowerBound * kStride + keyOffset
          multiplier.product(
            n, heads.size, part.rows.count, a: slopes + part.column, lda: width,
            b: factors.k + keyStart, ldb: kStride, beta: 1, c: qGradient + rowStart, ldc: qStride)
          multiplier.product(
            part.rows.count, heads.size, n, a: slopes + part.column, lda: width,
            transposeA: true, b: factors.q + rowStart, ldb: qStride, beta: 1,
            c: kGradient + keyStart,
            ldc: kStride)
        }
      }
    }
  }
}

/// The keys and values that one sequence has so far, [length, keyValueHeads · size] each: those of
/// a beginning, which other sequences may share, and its own behind them, the new rows' included.
public struct CachedKeys: @unchecked Sendable {
  public struct Stretch: @unchecked Sendable {
    public var keys: UnsafePointer<Float>
    public var values: UnsafePointer<Float>
    public var length: Int

    public init(keys: UnsafePointer<Float>, values: UnsafePointer<Float>, length: Int) {
      self.keys = keys
      self.values = values
      self.length = length
    }
  }

  /// Nil for a sequence that shares nothing.
  public var beginning: Stretch?
  public var own: Stretch
  /// The sequence's new rows: the last so many of its own. Each sees what stands before it and itself.
  public var rows: Int

  public init(beginning: Stretch?, own: Stretch, rows: Int = 1) {
    self.beginning = beginning
    self.own = own
    self.rows = rows
  }

  var length: Int { (beginning?.length ?? 0) + own.length }
}

/// Attention of new rows over the caches of their sequences. q and out are [rows, heads · size],
/// sequence by sequence.
public func cachedAttention(
  q: UnsafePointer<Float>, caches: [CachedKeys], heads: AttentionHeads,
  into out: UnsafeMutablePointer<Float>
) {
  let stride = heads.keyValueHeads * heads.size, width = heads.heads * heads.size
  // Some rows of a sequence, for the heads of one group.
  var pieces: [(cache: CachedKeys, row: Int, rows: Range<Int>, keyHead: Int)] = []
  var first = 0
  for cache in caches {
    for start in Swift.stride(from: 0, to: cache.rows, by: AttentionLayout.rowsAtOnce) {
      let rows = start..<min(start + AttentionLayout.rowsAtOnce, cache.rows)
      for head in 0..<heads.keyValueHeads { pieces.append((cache, first + start, rows, head)) }
    }
    first += cache.rows
  }
  let largest = pieces.reduce(1) { max($0, $1.cache.length * max(heads.group, $1.rows.count)) }
  // Two products of this many multiplications a task.
  let grain = max(1, (1 << 16) / (largest * heads.size))
  parallelFor(pieces.count, grain: grain) { range in
    let buffer = Buffer(count: largest)
    defer { withExtendedLifetime(buffer) {} }
    let scores = buffer.pointer
    for (cache, first, rows, keyHead) in pieces[range] {
      let length = cache.length, keyOffset = keyHead * heads.size
      let offset = first * width + keyOffset * heads.group
      let known = cache.beginning?.length ?? 0
      let stretches = [cache.beginning.map { ($0, 0) }, (cache.own, known)].compactMap(\.self)
      // Of one row the heads lie below each other, as the rows of one head do.
      func attend(_ offset: Int, count: Int, lda: Int, visible: Int, growth: Int) {
        for (stretch, column) in stretches {
          gemmSerial(
            count, stretch.length, heads.size, alpha: heads.scale,
            a: q + offset, lda: lda, b: stretch.keys + keyOffset, ldb: stride,
            transposeB: true, c: scores + column, ldc: length)
        }
        for i in 0..<count {
          let row = scores + i * length, seen = visible + i * growth
          let inverse = 1 / exponentiate(row, minus: maximum(row, seen), seen)
          for j in 0..<seen { row[j] *= inverse }
          for j in seen..<length { row[j] = 0 }
        }
        for (stretch, column) in stretches {
          gemmSerial(
            count, heads.size, stretch.length, a: scores + column, lda: length,
            b: stretch.values + keyOffset, ldb: stride, beta: column == 0 ? 0 : 1,
            c: out + offset, ldc: lda)
        }
      }
      let visible = length - cache.rows + rows.lowerBound + 1
      if rows.count == 1 {
        attend(offset, count: heads.group, lda: heads.size, visible: visible, growth: 0)
      } else {
        for head in 0..<heads.group {
          attend(
            offset + head * heads.size, count: rows.count, lda: width, visible: visible, growth: 1)
        }
      }
    }
  }
}
