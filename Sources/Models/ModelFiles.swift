import Artifacts
import Checkpoints
import Failures
import Tensors
import Tokenization

extension VisionLanguageModel {
  /// Writes the model as a Hugging Face checkpoint: the hub's names, every tensor in the type that
  /// it has in the checkpoint `base`, whose config stays but for what is different and whose
  /// tokenizer and processor files are carried over, its chat template also as
  /// `chat_template.jinja`. Returns the names of the files. Throws 65, 73
  /// or 74.
  public func save(to directory: String, base: Checkpoint) throws -> [String] {
    let text = try Files.read(Files.join(base.directory, "config.json"))
    let chat = try ChatForm(directory: base.directory, dialect: type(of: config).chat)
    return try CheckpointWriter.write(
      to: directory, config: config, over: text, tensors: outputs(base), carry: base.directory,
      chatTemplate: chat.template)
  }

  /// Refuses at start what `save` would have no room for. Throws 73.
  public func requireSpace(to directory: String, base: Checkpoint) throws {
    try CheckpointWriter.requireSpace(for: outputs(base), at: directory)
  }

  private func outputs(_ base: Checkpoint) -> [OutputTensor] {
    parameters.map { parameter in
      // What did not learn goes over as it lies in the base.
      if parameter.mutableValues == nil, let tensor = base[parameter.name] {
        return OutputTensor(tensor)
      }
      return OutputTensor(
        name: parameter.name, type: base[parameter.name]?.type ?? .float32, shape: parameter.shape
      ) { parameter.floats }
    }
  }
}

extension CheckpointWriter {
  /// Writes a checkpoint: config.json names the element type that most of the weights have.
  /// - Parameter base: the text of a config.json whose other members are kept: see
  ///   `ModelConfig.hubJSON`.
  @discardableResult
  public static func write(
    to directory: String, config: any ModelConfig, over base: [UInt8]? = nil,
    tensors: [OutputTensor], shardLimit: Int = CheckpointWriter.shardLimit,
    carry: String? = nil, chatTemplate: String? = nil
  ) throws -> [String] {
    var config = config
    config.dtype = commonType(tensors)
    return try write(
      to: directory, config: config.hubJSON(over: base), tensors: tensors, shardLimit: shardLimit,
      carry: carry, chatTemplate: chatTemplate)
  }
}
