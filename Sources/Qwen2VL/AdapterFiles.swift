import Artifacts
import Checkpoints
import Failures
import Tensors

/// An adapter as PEFT stores it: `adapter_config.json` and `adapter_model.safetensors`.
public enum AdapterFiles {
  public static let configuration = "adapter_config.json"
  public static let weights = "adapter_model.safetensors"

  /// PEFT's configuration of an adapter on `base`.
  public static func configuration(rank: Int, alpha: Double, base: String) -> [UInt8] {
    let modules = LowRankAdapters.targets.compactMap { target in
      target.split(separator: ".").last.map { JSON.string(String($0)) }
    }
    let json: JSON = [
      "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": .string(base),
      "r": .int(rank), "lora_alpha": .number(alpha), "lora_dropout": 0.0, "bias": "none",
      "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true,
      "use_rslora": false, "use_dora": false, "modules_to_save": nil,
      "target_modules": .array(modules),
    ]
    return Array(json.text(pretty: true).utf8)
  }

  /// The adapters of a model as a safetensors file, float32.
  public static func weights(of model: Qwen2VL) -> [UInt8] {
    Safetensors.encode(
      LowRankAdapters.parameters(of: model).map { parameter in
        (
          LowRankAdapters.peftName(parameter.name),
          RawTensor(float32: parameter.array, shape: parameter.shape)
        )
      }, metadata: ["format": "pt"])
  }

  /// Adds the adapter in `directory` to a model, frozen. Throws 65 or 66.
  public static func attach(_ directory: String, to model: Qwen2VL) throws {
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
}
