/// Who sees whom in a packed sequence. Rows of one sample lie together; a block's rows see the
/// prefix rows and the rows of their own block: up to themselves when causal, all of them otherwise.
/// An ordinary sample is one block without prefix; questions that share an image are blocks behind
/// the same prefix. The blocks of one sample are worked on by one thread, samples by many.
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

/// Fills `scores` [rows of the block, prefix + rows] with the softmax of q kᵀ · scale.
private func probabilities(
  _ block: AttentionLayout.Block, causal: Bool, _ heads: AttentionHeads,
  q: UnsafePointer<Float>, k: UnsafePointer<Float>, scores: UnsafeMutablePointer<Float>
) {
  let n = block.rows.count, p = block.prefix.count, width = p + n
  let qStride = heads.heads * heads.size, kStride = heads.keyValueHeads * heads.size
  let queries = q + block.rows.lowerBound * qStride
  gemmSerial(
    n, p, heads.size, alpha: heads.scale, a: queries, lda: qStride,
    b: k + block.prefix.lowerBound * kStride, ldb: kStride, transposeB: true,
    c: scores, ldc: width)
  gemmSerial(
    n, n, heads.size, alpha: heads.scale, a: queries, lda: qStride,
    b: k + block.rows.lowerBound * kStride, ldb: kStride, transposeB: true,
    c: scores + p, ldc: width)
  for i in 0..<n {
    let row = scores + i * width
    let visible = causal ? p + i + 1 : width
    let total = exponentiate(row, minus: maximum(row, visible), visible)
    let inverse = 1 / total
    for j in 0..<visible { row[j] *= inverse }
    for j in visible..<width { row[j] = 0 }
  }
}

/// Scaled dot-product attention with grouped key/value heads over a packed sequence.
/// q and out are [rows, heads · size], k and v [rows, keyValueHeads · size].
public func attention(
  q: UnsafePointer<Float>, k: UnsafePointer<Float>, v: UnsafePointer<Float>,
  layout: AttentionLayout, heads: AttentionHeads, into out: UnsafeMutablePointer<Float>
) {
  let qStride = heads.heads * heads.size, kStride = heads.keyValueHeads * heads.size
  parallelTasks(layout.samples.count * heads.keyValueHeads) { task in
    let sample = layout.samples[task / heads.keyValueHeads]
    let keyHead = task % heads.keyValueHeads
    let largest = sample.reduce(0) { max($0, $1.rows.count * ($1.rows.count + $1.prefix.count)) }
    let buffer = Buffer(count: largest)
    defer { withExtendedLifetime(buffer) {} }
    let scores = buffer.pointer
    for block in sample {
      let n = block.rows.count, p = block.prefix.count
      for head in keyHead * heads.group..<(keyHead + 1) * heads.group {
        probabilities(
          block, causal: layout.causal, heads, q: q + head * heads.size,
          k: k + keyHead * heads.size, scores: scores)
        let target = out + block.rows.lowerBound * qStride + head * heads.size
        let values = v + keyHead * heads.size
        gemmSerial(
          n, heads.size, n, a: scores + p, lda: p + n,
          b: values + block.rows.lowerBound * kStride, ldb: kStride, c: target, ldc: qStride)
        gemmSerial(
          n, heads.size, p, a: scores, lda: p + n,
          b: values + block.prefix.lowerBound * kStride, ldb: kStride,
          beta: 1, c: target, ldc: qStride)
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
  parallelTasks(layout.samples.count * heads.keyValueHeads) { task in
    let sample = layout.samples[task / heads.keyValueHeads]
    let keyHead = task % heads.keyValueHeads
    let largest = sample.reduce(0) { max($0, $1.rows.count * ($1.rows.count + $1.prefix.count)) }
    let buffers = (Buffer(count: largest), Buffer(count: largest))
    defer { withExtendedLifetime(buffers) {} }
    let scores = buffers.0.pointer, gradients = buffers.1.pointer
    for block in sample {
      let n = block.rows.count, p = block.prefix.count, width = p + n
      // The two stretches of keys: the prefix in the first columns, the block's own after it.
      let stretches = [
        (start: block.prefix.lowerBound, count: p, column: 0),
        (start: block.rows.lowerBound, count: n, column: p),
      ]
      for head in keyHead * heads.group..<(keyHead + 1) * heads.group {
        let offset = head * heads.size, keyOffset = keyHead * heads.size
        probabilities(
          block, causal: layout.causal, heads, q: q + offset, k: k + keyOffset, scores: scores)
        let rowStart = block.rows.lowerBound * qStride + offset
        let d = outGradient + rowStart
        for s in stretches where s.count > 0 {
          let keyStart = s.start * kStride + keyOffset
          gemmSerial(
            s.count, heads.size, n, a: scores + s.column, lda: width, transposeA: true,
            b: d, ldb: qStride, beta: 1, c: vGradient + keyStart, ldc: kStride)
          gemmSerial(
            n, s.count, heads.size, a: d, lda: qStride, b: v + keyStart, ldb: kStride,
            transposeB: true, c: gradients + s.column, ldc: width)
        }
        for i in 0..<n {
          let probability = scores + i * width, gradient = gradients + i * width
          let visible = layout.causal ? p + i + 1 : width
          let mean = dot(probability, gradient, visible)
          for j in 0..<visible {
            gradient[j] = probability[j] * (gradient[j] - mean) * heads.scale
          }
          for j in visible..<width { gradient[j] = 0 }
        }
        for s in stretches where s.count > 0 {
          let keyStart = s.start * kStride + keyOffset
          gemmSerial(
            n, heads.size, s.count, a: gradients + s.column, lda: width,
            b: k + keyStart, ldb: kStride, beta: 1, c: qGradient + rowStart, ldc: qStride)
          gemmSerial(
            s.count, heads.size, n, a: gradients + s.column, lda: width, transposeA: true,
            b: q + rowStart, ldb: qStride, beta: 1, c: kGradient + keyStart, ldc: kStride)
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
