import Imaging
import Kernels
import Tensors

/// A block of a vision encoder: attention among the patches of a frame, a tile or a window, and an
/// FFN, each behind a norm and added to its input.
struct EncoderBlock {
  /// Where queries, keys and values come from.
  enum Projections {
    /// One product, side by side.
    case fused(Linear)
    case separate(q: Linear, k: Linear, v: Linear)
  }

  let heads: AttentionHeads
  let attentionNorm: Norm
  let projections: Projections
  let output: Linear
  let feedForwardNorm: Norm
  let feedForward: FeedForward

  /// Cosine and sine [patches, head size / 2]; nil for an encoder that learned its positions.
  typealias Rotation = (cosine: Tensor, sine: Tensor)

  func callAsFunction(
    _ tape: Tape, _ x: Tensor, rotation: Rotation?, layout: AttentionLayout
  ) -> Tensor {
    let x = tape.add(x, attention(tape, x, rotation, layout))
    return tape.add(x, feedForward(tape, feedForwardNorm(tape, x)))
  }

  // Functions of their own: what they hold in between is given back before the next one begins.

  private func attention(
    _ tape: Tape, _ x: Tensor, _ rotation: Rotation?, _ layout: AttentionLayout
  ) -> Tensor {
    let (q, k, v) = projected(tape, x, rotation)
    return output(tape, tape.attention(q, k, v, heads: heads, layout: layout))
  }

  private func projected(
    _ tape: Tape, _ x: Tensor, _ rotation: Rotation?
  ) -> (q: Tensor, k: Tensor, v: Tensor) {
    let normed = attentionNorm(tape, x)
    func rotated(_ y: Tensor) -> Tensor {
      guard let (cosine, sine) = rotation else { return y }
      return tape.rotary(y, heads: heads.heads, cosine: cosine, sine: sine)
    }
    switch projections {
    case .fused(let linear):
      let d = heads.heads * heads.size
      let fused = linear(tape, normed)
      return (
        rotated(tape.columns(fused, 0..<d)), rotated(tape.columns(fused, d..<2 * d)),
        tape.columns(fused, 2 * d..<3 * d)
      )
    case .separate(let q, let k, let v):
      return (rotated(q(tape, normed)), rotated(k(tape, normed)), v(tape, normed))
    }
  }

  /// Runs blocks behind one another.
  /// - layout: who sees whom in block `number`.
  /// - after: called with each block's number and output.
  static func run(
    _ blocks: [EncoderBlock], _ tape: Tape, _ x: Tensor, rotation: Rotation?, checkpointing: Bool,
    layout: (_ number: Int) -> AttentionLayout, after: (_ number: Int, Tensor) -> Void = { _, _ in }
  ) -> Tensor {
    var x = x
    for (number, block) in blocks.enumerated() {
      let layout = layout(number)
      let step: (Tape, Tensor) -> Tensor = { tape, x in
        block(tape, x, rotation: rotation, layout: layout)
      }
      x = checkpointing ? tape.checkpoint(x, step) : step(tape, x)
      after(number, x)
    }
    return x
  }
}

/// The patches of a batch's images, in the order in which they come.
struct PatchOrder {
  /// The row and column of every patch in its image: blocks of merge × merge patches lie together.
  private(set) var row: [Int32] = []
  private(set) var column: [Int32] = []
  /// The patches of every frame or tile.
  private(set) var frames: [Range<Int>] = []

  init(_ grids: [ImageGrid], merge: Int) {
    for grid in grids {
      for _ in 0..<grid.time {
        let start = row.count
        for blockRow in 0..<grid.height / merge {
          for blockColumn in 0..<grid.width / merge {
            for y in 0..<merge {
              for x in 0..<merge {
                row.append(Int32(blockRow * merge + y))
                column.append(Int32(blockColumn * merge + x))
              }
            }
          }
        }
        frames.append(start..<row.count)
      }
    }
  }

  /// Takes the patches in another order, within their frames.
  mutating func rearrange(_ places: [Int]) {
    row = places.map { row[$0] }
    column = places.map { column[$0] }
  }

  /// Every frame for itself.
  var layout: AttentionLayout {
    AttentionLayout(samples: frames.map { [.init(rows: $0)] }, causal: false)
  }

  /// Cosine and sine [patches, head size / 2]: the first half of the frequencies turns with the
  /// patch's row, the second with its column.
  func rotation(headSize: Int) -> EncoderBlock.Rotation {
    let frequencies = rotaryFrequencies(headSize / 4, theta: 10_000)
    return rotaryTables(
      [row, column], turning: [0, 1].flatMap { axis in frequencies.map { (axis, $0) } })
  }
}
