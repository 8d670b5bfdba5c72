import Kernels
import Tensors

/// Where a module of a model takes its weights from, by their names within it: asking for one
/// declares it, so that a module names each of its tensors once.
public struct WeightScope {
  /// What stands before every name, point included.
  public let prefix: String
  private let declare: (_ name: String, _ shape: [Int]) -> Parameter

  public init(
    prefix: String = "", _ declare: @escaping (_ name: String, _ shape: [Int]) -> Parameter
  ) {
    self.prefix = prefix
    self.declare = declare
  }

  /// The weights of the module `name` within this one.
  public func scope(_ name: String) -> WeightScope {
    WeightScope(prefix: prefix + name + ".", declare)
  }

  public func parameter(_ name: String, _ shape: [Int]) -> Parameter {
    declare(prefix + name, shape)
  }

  /// `NAME.weight` [out, in], and `NAME.bias` [out] where it has one.
  public func linear(_ name: String, _ out: Int, _ width: Int, bias: Bool) -> Linear {
    Linear(
      name: prefix + name, weight: parameter(name + ".weight", [out, width]),
      bias: bias ? parameter(name + ".bias", [out]) : nil)
  }

  /// `NAME.weight` [width].
  public func rmsNorm(_ name: String, _ width: Int, epsilon: Float) -> Norm {
    Norm(weight: parameter(name + ".weight", [width]), bias: nil, epsilon: epsilon)
  }

  /// `NAME.weight` and `NAME.bias` [width].
  public func layerNorm(_ name: String, _ width: Int, epsilon: Float = 1e-6) -> Norm {
    Norm(
      weight: parameter(name + ".weight", [width]), bias: parameter(name + ".bias", [width]),
      epsilon: epsilon)
  }
}

/// y = x Wᵀ (+ b), plus an adapter's low-rank product where there is one.
public final class Linear {
  /// Without `.weight`.
  public let name: String
  public let weight: Parameter
  public let bias: Parameter?
  public var adapter: LowRankAdapter?

  public init(name: String, weight: Parameter, bias: Parameter? = nil) {
    self.name = name
    self.weight = weight
    self.bias = bias
  }

  public func callAsFunction(_ tape: Tape, _ x: Tensor) -> Tensor {
    let y = tape.linear(x, weight, bias: bias)
    guard let adapter else { return y }
    let low = tape.linear(x, adapter.down)
    return tape.add(y, tape.linear(low, adapter.up), alpha: adapter.scale)
  }
}

/// LoRA (Hu et al. 2021) on one weight W [out, in]: W + scale · B A.
public struct LowRankAdapter {
  /// A [rank, in], `lora_A` in PEFT.
  public let down: Parameter
  /// B [out, rank], `lora_B` in PEFT.
  public let up: Parameter
  /// alpha / rank.
  public let scale: Float

  public init(down: Parameter, up: Parameter, scale: Float) {
    self.down = down
    self.up = up
    self.scale = scale
  }
}

/// A layer norm, or an RMS norm where it has no bias, over the columns.
public struct Norm {
  public let weight: Parameter
  public let bias: Parameter?
  public let epsilon: Float

  public init(weight: Parameter, bias: Parameter?, epsilon: Float) {
    self.weight = weight
    self.bias = bias
    self.epsilon = epsilon
  }

  public func callAsFunction(_ tape: Tape, _ x: Tensor) -> Tensor {
    guard let bias else { return tape.rmsNorm(x, weight, epsilon: epsilon) }
    return tape.layerNorm(x, weight, bias: bias, epsilon: epsilon)
  }

  /// The same within stretches of columns as wide as the weight: by head.
  func byHead(_ tape: Tape, _ x: Tensor) -> Tensor {
    self(tape, x.reshaped([x.count / weight.count, weight.count])).reshaped(x.shape)
  }
}

/// What a feed-forward network computes between its two sides.
public enum Activation: Sendable {
  /// x · sigmoid(1.702 x).
  case quickGELU
  /// x Φ(x).
  case gelu
  /// GELU by the hyperbolic tangent (torch's `approximate="tanh"`).
  case geluTanh

  func callAsFunction(_ tape: Tape, _ x: Tensor) -> Tensor {
    switch self {
    case .quickGELU: tape.quickGELU(x)
    case .gelu: tape.gelu(x)
    case .geluTanh: tape.geluTanh(x)
    }
  }
}

/// A block's feed-forward network.
public enum FeedForward {
  /// W₂ f(W₁ x).
  case plain(Linear, Activation, Linear)
  /// D (silu(G x) ⊙ U x).
  case gated(gate: Linear, up: Linear, down: Linear)

  /// `mlp.gate_proj`, `mlp.up_proj` and `mlp.down_proj` of a block of width `width`.
  static func gated(_ weights: WeightScope, _ width: Int, inner: Int, bias: Bool) -> FeedForward {
    .gated(
      gate: weights.linear("mlp.gate_proj", inner, width, bias: bias),
      up: weights.linear("mlp.up_proj", inner, width, bias: bias),
      down: weights.linear("mlp.down_proj", width, inner, bias: bias))
  }

  var projections: [Linear] {
    switch self {
    case .plain(let first, _, let second): [first, second]
    case .gated(let gate, let up, let down): [gate, up, down]
    }
  }

  func callAsFunction(_ tape: Tape, _ x: Tensor) -> Tensor {
    switch self {
    case .plain(let first, let activation, let second):
      second(tape, activation(tape, first(tape, x)))
    case .gated(let gate, let up, let down):
      down(tape, tape.gatedSiLU(gate(tape, x), up(tape, x)))
    }
  }
}
