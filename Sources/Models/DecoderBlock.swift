import Glibc
import Kernels
import Tensors

/// What a decoder block is made of.
public struct DecoderShape: Sendable, Equatable {
  /// d
  public var width: Int
  /// The width of the FFN's inside.
  public var intermediate: Int
  public var heads: Int
  public var keyValueHeads: Int
  public var headSize: Int
  public var ropeTheta: Double
  /// Of the RMS norms.
  public var epsilon: Float
  public var attentionBias: Bool
  public var queryKeyNorms: Bool

  /// - Parameter headSize: nil where the heads share the width.
  public init(
    width: Int, intermediate: Int, heads: Int, keyValueHeads: Int, headSize: Int? = nil,
    ropeTheta: Double, epsilon: Float, attentionBias: Bool = true, queryKeyNorms: Bool = false
  ) {
    self.width = width
    self.intermediate = intermediate
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headSize = headSize ?? width / heads
    self.ropeTheta = ropeTheta
    self.epsilon = epsilon
    self.attentionBias = attentionBias
    self.queryKeyNorms = queryKeyNorms
  }

  public var attention: AttentionHeads {
    AttentionHeads(heads: heads, keyValueHeads: keyValueHeads, size: headSize)
  }
  public var querySize: Int { heads * headSize }
  public var keyValueSize: Int { keyValueHeads * headSize }
}

/// A decoder block of the language models (transformers' `Qwen2VLDecoderLayer`, `Qwen3VLTextDecoderLayer`):
/// grouped-query attention and a gated FFN, each behind an RMS norm and added to its input.
public struct DecoderBlock {
  /// How the block attends: q [n, heads · size], k and v [n, keyValueHeads · size], all rotated.
  public typealias Attend = (Tape, _ q: Tensor, _ k: Tensor, _ v: Tensor) -> Tensor

  public let shape: DecoderShape
  private let inputNorm: Norm
  private let queries: Linear
  private let keys: Linear
  private let values: Linear
  private let queryNorm: Norm?
  private let keyNorm: Norm?
  private let output: Linear
  private let middleNorm: Norm
  private let feedForward: FeedForward

  /// A block over the weights of its module, `layers.K` of a checkpoint.
  public init(_ shape: DecoderShape, _ weights: WeightScope) {
    self.shape = shape
    let d = shape.width, bias = shape.attentionBias
    inputNorm = weights.rmsNorm("input_layernorm", d, epsilon: shape.epsilon)
    queries = weights.linear("self_attn.q_proj", shape.querySize, d, bias: bias)
    keys = weights.linear("self_attn.k_proj", shape.keyValueSize, d, bias: bias)
    values = weights.linear("self_attn.v_proj", shape.keyValueSize, d, bias: bias)
    func headNorm(_ name: String) -> Norm? {
      shape.queryKeyNorms ? weights.rmsNorm(name, shape.headSize, epsilon: shape.epsilon) : nil
    }
    queryNorm = headNorm("self_attn.q_norm")
    keyNorm = headNorm("self_attn.k_norm")
    output = weights.linear("self_attn.o_proj", d, shape.querySize, bias: false)
    middleNorm = weights.rmsNorm("post_attention_layernorm", d, epsilon: shape.epsilon)
    feedForward = .gated(weights, d, inner: shape.intermediate, bias: false)
  }

  /// The seven projections, which low-rank adapters are for (METHOD.md, step 2).
  public var projections: [Linear] {
    [queries, keys, values, output] + feedForward.projections
  }

  /// The block's output [n, d] for its input [n, d]; cosine and sine are [n, head size / 2].
  public func forward(
    _ tape: Tape, _ x: Tensor, cosine: Tensor, sine: Tensor, attend: Attend
  ) -> Tensor {
    let x = tape.add(x, attention(tape, x, cosine: cosine, sine: sine, attend: attend))
    return tape.add(x, feedForward(tape, middleNorm(tape, x)))
  }

  // A function of its own: what it holds in between is given back before the FFN begins.
  private func attention(
    _ tape: Tape, _ x: Tensor, cosine: Tensor, sine: Tensor, attend: Attend
  ) -> Tensor {
    let normed = inputNorm(tape, x)
    func turned(_ projection: Linear, _ norm: Norm?, _ heads: Int) -> Tensor {
      let y = projection(tape, normed)
      return tape.rotary(
        norm?.byHead(tape, y) ?? y, heads: heads, cosine: cosine, sine: sine)
    }
    let q = turned(queries, queryNorm, shape.heads)
    let k = turned(keys, keyNorm, shape.keyValueHeads)
    let v = values(tape, normed)
    return output(tape, attend(tape, q, k, v))
  }

  /// Cosine and sine [n, head size / 2] of the rotary embedding: the pair j of a head's numbers turns
  /// with the position `positions[axes[j]][n]`, the slower the larger j is.
  public static func rotaryTables(
    positions: [[Int32]], axes: [Int], theta: Double
  ) -> (cosine: Tensor, sine: Tensor) {
    let frequencies = rotaryFrequencies(axes.count, theta: theta)
    return Models.rotaryTables(
      positions, turning: zip(axes, frequencies).map { (axis: $0, frequency: $1) })
  }
}

/// Cosine and sine [n, pairs]: pair j turns with the position along its axis.
func rotaryTables(
  _ positions: [[Int32]], turning pairs: [(axis: Int, frequency: Float)]
) -> (cosine: Tensor, sine: Tensor) {
  let count = positions.first?.count ?? 0
  let cosine = Tensor([count, pairs.count]), sine = Tensor([count, pairs.count])
  parallelFor(count, grain: 64) { rows in
    for i in rows {
      for (j, pair) in pairs.enumerated() {
        let angle = Float(positions[pair.axis][i]) * pair.frequency
        cosine.values[i * pairs.count + j] = cosf(angle)
        sine.values[i * pairs.count + j] = sinf(angle)
      }
    }
  }
  return (cosine, sine)
}

/// theta ^ (-j / count) for j from 0.
func rotaryFrequencies(_ count: Int, theta: Double) -> [Float] {
  (0..<count).map { 1 / powf(Float(theta), Float($0) / Float(count)) }
}
