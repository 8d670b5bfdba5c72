import Checkpoints
import Failures
import Tensors

/// The parameters of a model by their names in the hub's checkpoints, in the order in which its
/// modules declared them.
public final class Weights {
  public private(set) var all: [Parameter] = []
  private var byName: [String: Parameter] = [:]

  init() {}

  /// Where modules declare their weights.
  var scope: WeightScope {
    WeightScope { [unowned self] name, shape in
      let parameter = Parameter(declared: name, shape: shape)
      all.append(parameter)
      byName[name] = parameter
      return parameter
    }
  }

  /// Maps every declared tensor. Throws what `Checkpoint.tensor` throws.
  public func map(_ checkpoint: Checkpoint) throws {
    for parameter in all {
      let tensor = try checkpoint.tensor(parameter.name, shape: parameter.shape)
      parameter.map(tensor.pointer, type: tensor.type, owner: tensor.owner)
    }
  }

  public subscript(_ name: String) -> Parameter? { byName[name] }
}
