import Checkpoints
import Failures
import Kernels
import Tensors

/// LoRA over a model's decoder blocks: which weights have one, their start, their merging into the
/// weights, and their names in PEFT's files.
public enum LowRankAdapters {
  /// The projections that get an adapter (METHOD.md, step 2).
  public static let targets = [
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
  ]

  /// Adds fresh trainable adapters to every decoder block: A uniform in ±1/√in as PEFT starts it, B
  /// zero, so that the model says at first what it said before.
  public static func attach(
    to model: Qwen2VL, rank: Int, alpha: Float, uniform: () -> Double
  ) {
    for layer in 0..<model.config.text.layers {
      for target in targets {
        let name = "model.layers.\(layer).\(target)"
        guard let weight = model.weights.parameter(name + ".weight") else { continue }
        let bound = 1 / Float(weight.columns).squareRoot()
        let down = (0..<rank * weight.columns).map { _ in (Float(uniform()) * 2 - 1) * bound }
        attach(
          to: model, name, down: down, up: [Float](repeating: 0, count: weight.shape[0] * rank),
          rank: rank, alpha: alpha, trainable: true)
      }
    }
  }

  private static func attach(
    to model: Qwen2VL, _ name: String, down: [Float], up: [Float], rank: Int, alpha: Float,
    trainable: Bool
  ) {
    guard let weight = model.weights.parameter(name + ".weight") else { return }
    model.weights.adapters[name + ".weight"] = LowRankAdapter(
      down: Parameter(
        name + ".lora_A.weight", shape: [rank, weight.columns], values: down, trainable: trainable),
      up: Parameter(
        name + ".lora_B.weight", shape: [weight.shape[0], rank], values: up, trainable: trainable),
      scale: alpha / Float(rank))
  }

  /// The adapters' parameters, in the order of the blocks and of `targets`.
  public static func parameters(of model: Qwen2VL) -> [Parameter] {
    (0..<model.config.text.layers).flatMap { layer in
      targets.flatMap { target -> [Parameter] in
        guard let adapter = model.weights.adapters["model.layers.\(layer).\(target).weight"]
        else { return [] }
        return [adapter.down, adapter.up]
      }
    }
  }

  /// The name that PEFT gives a parameter of an adapter on transformers' model.
  public static func peftName(_ name: String) -> String {
    "base_model.model.model.language_model." + name.dropFirst("model.".count)
  }

  /// Adds adapters read from PEFT's file: `tensor` gives the numbers of a PEFT name with their
  /// shape, or nil. Throws 65 when one is missing or does not fit its weight.
  public static func attach(
    to model: Qwen2VL, rank: Int, alpha: Float, place: String,
    tensor: (String) throws -> (shape: [Int], values: [Float])?
  ) throws {
    var found = 0
    for layer in 0..<model.config.text.layers {
      for target in targets {
        let name = "model.layers.\(layer).\(target)"
        guard let weight = model.weights.parameter(name + ".weight") else { continue }
        let down = try tensor(peftName(name + ".lora_A.weight"))
        let up = try tensor(peftName(name + ".lora_B.weight"))
        guard let down, let up else { continue }
        let expected = [[rank, weight.columns], [weight.shape[0], rank]]
        guard down.shape == expected[0], up.shape == expected[1] else {
          throw Failure(
            .badData, "the adapter of \(name) does not fit the model", at: place,
            expected: "A \(expected[0]), B \(expected[1])",
            found: "A \(down.shape), B \(up.shape)")
        }
        attach(
          to: model, name, down: down.values, up: up.values, rank: rank, alpha: alpha,
          trainable: false)
        found += 1
      }
    }
    if found == 0 {
      throw Failure(.badData, "no adapter for any weight of the model", at: place)
    }
  }

  /// W + scale · B A in place of every adapted weight W, and no adapter any more. The weights are
  /// in memory of their own afterwards.
  public static func merge(into model: Qwen2VL) {
    for (name, adapter) in model.weights.adapters {
      guard let weight = model.weights.parameter(name) else { continue }
      let learning = weight.trainable
      weight.train()
      if let values = weight.mutableValues {
        gemm(
          weight.shape[0], weight.columns, adapter.down.shape[0], alpha: adapter.scale,
          a: adapter.up.floats, lda: adapter.down.shape[0], b: adapter.down.floats,
          ldb: weight.columns, beta: 1, c: values, ldc: weight.columns)
      }
      if !learning { weight.freeze() }
    }
    model.weights.adapters = [:]
  }
}
