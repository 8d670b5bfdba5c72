import Models

/// How a tensor starts.
enum Start: Sendable {
  /// Normal with mean 0 and the size's standard deviation.
  case normal
  case zeros
  case ones
}

extension ModelSize {
  /// The standard deviation of random weights: transformers' `initializer_range`, which suits widths
  /// of thousands; at a width of 128 it leaves attention uniform for long, PyTorch's own start of
  /// 1 / √(3 d) does not.
  var deviation: Float { isTiny ? 0.05 : 0.02 }

  /// Bytes of one file: the hub's own checkpoints are cut at 4 GB.
  static let shardLimit = 4_000_000_000

  /// Every tensor of a model under the hub's names, in the order of the hub's files.
  static func tensors(
    _ config: any ModelConfig
  ) -> [(name: String, shape: [Int], start: Start)] {
    var list = config.tensorShapes
    // There the gate follows the projection beside it, which decides where files are cut.
    for gate in list.indices.filter({ list[$0].name.hasSuffix("mlp.gate_proj.weight") }) {
      list.swapAt(gate, gate + 1)
    }
    return list.map { name, shape in
      // One axis and no bias: a norm.
      let isNorm = shape.count == 1 && name.hasSuffix(".weight")
      let start: Start = name.hasSuffix(".bias") ? .zeros : isNorm ? .ones : .normal
      return (name, shape, start)
    }
  }

  /// The size of that name, as the command line has it.
  static func named(_ name: String) -> ModelSize? { ModelFamilies.sizes.first { $0.name == name } }
}
