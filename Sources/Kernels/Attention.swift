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
/// a prompt, which other sequences may share, and its own behind them.
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

  public var prompt: Stretch
  public var own: Stretch

  public init(prompt: Stretch, own: Stretch) {
    self.prompt = prompt
    self.own = own
  }

  var length: Int { prompt.length + own.length }
}

/// Attention of one new row for each sequence over that sequence's cache, the row's own key and
/// value included. q and out are [sequences, heads · size].
public func cachedAttention(
  q: UnsafePointer<Float>, caches: [CachedKeys], heads: AttentionHeads,
  into out: UnsafeMutablePointer<Float>
) {
  let stride = heads.keyValueHeads * heads.size
  let longest = caches.reduce(1) { max($0, $1.length) }
  // Two products of this many multiplications a task.
  let grain = max(1, (1 << 16) / (heads.group * longest * heads.size))
  parallelFor(caches.count * heads.keyValueHeads, grain: grain) { range in
    let buffer = Buffer(count: heads.group * longest)
    defer { withExtendedLifetime(buffer) {} }
    let scores = buffer.pointer
    for task in range {
      let cache = caches[task / heads.keyValueHeads]
      let length = cache.length
      let keyOffset = task % heads.keyValueHeads * heads.size
      let offset =
        task / heads.keyValueHeads * heads.heads * heads.size + keyOffset * heads.group
      let stretches = [(cache.prompt, 0), (cache.own, cache.prompt.length)]
      for (stretch, column) in stretches {
        gemmSerial(
          heads.group, stretch.length, heads.size, alpha: heads.scale,
          a: q + offset, lda: heads.size, b: stretch.keys + keyOffset, ldb: stride,
          transposeB: true, c: scores + column, ldc: length)
      }
      for head in 0..<heads.group {
        let row = scores + head * length
        let inverse = 1 / exponentiate(row, minus: maximum(row, length), length)
        for j in 0..<length { row[j] *= inverse }
      }
      for (stretch, column) in stretches {
        gemmSerial(
          heads.group, heads.size, stretch.length, a: scores + column, lda: length,
          b: stretch.values + keyOffset, ldb: stride, beta: column == 0 ? 0 : 1,
          c: out + offset, ldc: heads.size)
      }
    }
  }
}
