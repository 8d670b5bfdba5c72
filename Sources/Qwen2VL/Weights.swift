import Checkpoints
import Failures
import Tensors

/// The parameters of a model by their names in the hub's checkpoints, and the low-rank adapters on
/// them.
public final class Weights {
  public private(set) var all: [Parameter] = []
  private var byName: [String: Parameter] = [:]
  /// Low-rank adapters by the name of the weight that they add to.
  public var adapters: [String: LowRankAdapter] = [:]

  /// Maps every tensor of the checkpoint's configuration, or of `config`, the same model with fewer
  /// blocks. Throws what `Checkpoint.tensor` throws.
  public init(_ checkpoint: Checkpoint, config: Qwen2VLConfig? = nil) throws {
    for (name, shape) in (config ?? checkpoint.config).tensorShapes {
      let tensor = try checkpoint.tensor(name, shape: shape)
      let parameter = Parameter(
        name, shape: shape, mapped: tensor.pointer, type: tensor.type, owner: tensor.owner)
      all.append(parameter)
      byName[name] = parameter
    }
  }

  /// The parameter of that name, which the model's own code asks for: a missing one is a bug.
  subscript(_ name: String) -> Parameter {
    guard let parameter = byName[name] else { preconditionFailure("no parameter \(name)") }
    return parameter
  }

  public func parameter(_ name: String) -> Parameter? { byName[name] }

  /// y = x Wᵀ (+ b), plus the adapter's low-rank product where the weight has one.
  func linear(_ tape: Tape, _ x: Tensor, _ name: String, bias: Bool = false) -> Tensor {
    let y = tape.linear(
      x, self[name + ".weight"], bias: bias ? self[name + ".bias"] : nil)
    guard let adapter = adapters[name + ".weight"] else { return y }
    let low = tape.linear(x, adapter.down)
    return tape.add(y, tape.linear(low, adapter.up), alpha: adapter.scale)
  }

  func layerNorm(_ tape: Tape, _ x: Tensor, _ name: String) -> Tensor {
    tape.layerNorm(x, self[name + ".weight"], bias: self[name + ".bias"], epsilon: 1e-6)
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
