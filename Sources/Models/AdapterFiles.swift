import Artifacts
import Checkpoints
import Failures
import Kernels
import Tensors

/// What align leaves behind: an adapter as PEFT stores it, `adapter_config.json` and
/// `adapter_model.safetensors`; or, where whole weights learned, `trained.safetensors` with those
/// weights under the hub's names, float32, which PEFT does not read.
public enum AdapterFiles {
  public static let configuration = "adapter_config.json"
  public static let weights = "adapter_model.safetensors"
  public static let trained = "trained.safetensors"

  /// PEFT's configuration of the adapter of `model`, which came from the folder `base`.
  public static func configuration(
    of model: VisionLanguageModel, rank: Int, alpha: Double, base: String
  ) -> [UInt8] {
    let modules: JSON =
      switch LowRankAdapters.targetModules(of: model) {
      case .names(let names): .array(names.map { .string($0) })
      case .pattern(let pattern): .string(pattern)
      }
    let json: JSON = [
      "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": .string(base),
      "r": .int(rank), "lora_alpha": .number(alpha), "lora_dropout": 0.0, "bias": "none",
      "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true,
      "use_rslora": false, "use_dora": false, "modules_to_save": nil,
      "target_modules": modules,
    ]
    return Array(json.text(pretty: true).utf8)
  }

  /// The adapters of a model as a safetensors file, float32.
  public static func weights(of model: VisionLanguageModel) -> [UInt8] {
    Safetensors.encode(
      LowRankAdapters.parameters(of: model).map { parameter in
        (
          model.config.tensorNames.peft(parameter.name),
          RawTensor(float32: parameter.array, shape: parameter.shape)
        )
      }, metadata: ["format": "pt"])
  }

  /// Writes the weights that learn. Throws 73 or 74.
  public static func writeTrained(_ model: VisionLanguageModel, to path: String) throws {
    try writeSafetensorsFile(
      path,
      model.parameters.filter(\.trainable).map { parameter in
        OutputTensor(name: parameter.name, type: .float32, shape: parameter.shape) {
          parameter.floats
        }
      })
  }

  /// Adds the adapter in `directory` to a model, frozen, or puts the trained weights in place.
  /// Throws 65 or 66.
  public static func attach(_ directory: String, to model: VisionLanguageModel) throws {
    let path = Files.join(directory, trained)
    if Files.exists(path) { return try place(readSafetensorsFile(path), in: model) }
    let place = Files.join(directory, configuration)
    let config = try JSON(parsing: Files.read(place), place: place)
    guard let rank = config["r"]?.asInt, rank > 0, let alpha = config["lora_alpha"]?.asDouble else {
      throw Failure(
        .badData, "not an adapter configuration", at: place, expected: "r and lora_alpha")
    }
    let file = Files.join(directory, weights)
    let (tensors, _) = try Safetensors.decode(try Files.read(file), place: file)
    try LowRankAdapters.attach(to: model, rank: rank, alpha: Float(alpha), place: file) { name in
      try tensors[name].map { ($0.shape, try $0.floats()) }
    }
  }

  /// Puts trained weights in the place of the model's. Throws 65 for one that the model lacks or
  /// that has another shape.
  private static func place(_ file: SafetensorsFile, in model: VisionLanguageModel) throws {
    for name in file.names {
      guard let weight = model.weights[name] else {
        throw Failure(
          .badData, "a trained weight that the model does not have",
          at: "\(file.path), tensor \(name)")
      }
      let tensor = try file.tensor(name, shape: weight.shape)
      weight.train()
      if let values = weight.mutableValues {
        withExtendedLifetime(tensor.owner) {
          widen(tensor.pointer, tensor.type, weight.count, to: values)
        }
      }
      weight.freeze()
    }
  }
}
