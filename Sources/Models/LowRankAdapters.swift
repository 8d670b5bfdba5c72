import Checkpoints
import Failures
import Kernels
import Tensors

/// LoRA over a model's decoder blocks: the start of the adapters, their merging into the weights, and
/// their names in PEFT's files. The projections that get one: `DecoderBlock.projections`.
public enum LowRankAdapters {
  private static func projections(of model: VisionLanguageModel) -> [Linear] {
    model.language.blocks.flatMap(\.projections)
  }

  /// Adds fresh trainable adapters to every decoder block: A uniform in ±1/√in as PEFT starts it, B
  /// zero, so that the model says at first what it said before.
  public static func attach(
    to model: VisionLanguageModel, rank: Int, alpha: Float, uniform: () -> Double
  ) {
    for projection in projections(of: model) {
      let weight = projection.weight
      let bound = 1 / Float(weight.columns).squareRoot()
      let down = (0..<rank * weight.columns).map { _ in (Float(uniform()) * 2 - 1) * bound }
      attach(
        to: projection, down: down, up: [Float](repeating: 0, count: weight.shape[0] * rank),
        rank: rank, alpha: alpha, trainable: true)
    }
  }

  private static func attach(
    to projection: Linear, down: [Float], up: [Float], rank: Int, alpha: Float, trainable: Bool
  ) {
    let weight = projection.weight
    projection.adapter = LowRankAdapter(
      down: Parameter(
        projection.name + ".lora_A.weight", shape: [rank, weight.columns], values: down,
        trainable: trainable),
      up: Parameter(
        projection.name + ".lora_B.weight", shape: [weight.shape[0], rank], values: up,
        trainable: trainable),
      scale: alpha / Float(rank))
  }

  /// The adapters' parameters, in the order of the blocks and of their projections.
  public static func parameters(of model: VisionLanguageModel) -> [Parameter] {
    projections(of: model).flatMap { projection in
      projection.adapter.map { [$0.down, $0.up] } ?? []
    }
  }

  /// The modules that PEFT is to adapt: the projections' bare names, or where another part of the
  /// model has modules of such a name, a regular expression that fits the decoder blocks' alone.
  public static func targetModules(of model: VisionLanguageModel) -> PeftTargets {
    let blocks = model.language.blocks
    let prefix = model.config.tensorNames.text
    // self_attn.q_proj, …, mlp.down_proj
    let targets = (blocks.first?.projections ?? []).map {
      String($0.name.dropFirst(prefix.count + "layers.0.".count))
    }
    func last(_ name: String) -> String { name.split(separator: ".").last.map(String.init) ?? "" }
    let bare = targets.map(last)
    let own = Set(projections(of: model).map(\.name))
    let isAmbiguous = model.parameters.contains { parameter in
      guard parameter.name.hasSuffix(".weight") else { return false }
      let module = String(parameter.name.dropLast(".weight".count))
      return bare.contains(last(module)) && !own.contains(module)
    }
    guard isAmbiguous else { return .names(bare) }
    let choice = targets.map { $0.replacing(".", with: "\\.") }.joined(separator: "|")
    return .pattern(
      TensorNames.peftText.replacing(".", with: "\\.") + "layers\\.\\d+\\.(\(choice))")
  }

  /// `target_modules` of PEFT's configuration.
  public enum PeftTargets: Sendable, Equatable {
    case names([String])
    /// Fits a module's whole name.
    case pattern(String)
  }

  /// Adds adapters read from PEFT's file: `tensor` gives the numbers of a PEFT name with their
  /// shape, or nil. Throws 65 when one is missing or does not fit its weight.
  public static func attach(
    to model: VisionLanguageModel, rank: Int, alpha: Float, place: String,
    tensor: (String) throws -> (shape: [Int], values: [Float])?
  ) throws {
    var found = 0
    let names = model.config.tensorNames
    for projection in projections(of: model) {
      let name = projection.name, weight = projection.weight
      let down = try tensor(names.peft(name + ".lora_A.weight"))
      let up = try tensor(names.peft(name + ".lora_B.weight"))
      guard let down, let up else { continue }
      let expected = [[rank, weight.columns], [weight.shape[0], rank]]
      guard down.shape == expected[0], up.shape == expected[1] else {
        throw Failure(
          .badData, "the adapter of \(name) does not fit the model", at: place,
          expected: "A \(expected[0]), B \(expected[1])",
          found: "A \(down.shape), B \(up.shape)")
      }
      attach(
        to: projection, down: down.values, up: up.values, rank: rank, alpha: alpha,
        trainable: false)
      found += 1
    }
    if found == 0 {
      throw Failure(.badData, "no adapter for any weight of the model", at: place)
    }
  }

  /// W + scale · B A in place of every adapted weight W, and no adapter any more. The weights are
  /// in memory of their own afterwards.
  public static func merge(into model: VisionLanguageModel) {
    for projection in projections(of: model) {
      guard let adapter = projection.adapter else { continue }
      let weight = projection.weight
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
    detach(from: model)
  }

  /// Takes the adapters away; the weights are what they were.
  public static func detach(from model: VisionLanguageModel) {
    for projection in projections(of: model) { projection.adapter = nil }
  }
}
