import Artifacts
import Failures
import Kernels

/// Writes a checkpoint that transformers loads: config, weights under the hub's names in one file
/// or several with an index, and the tokenizer's and image processor's files of the model that it
/// came from. Never holds more than a piece of one tensor.
public enum CheckpointWriter {
  /// What a checkpoint carries besides config, weights and model card.
  public static let companions = [
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
    "special_tokens_map.json", "added_tokens.json", "preprocessor_config.json",
    "processor_config.json", "video_preprocessor_config.json", "generation_config.json",
    "chat_template.json", "chat_template.jinja", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE",
  ]

  /// Bytes of tensors in one file, unless a single one is larger.
  public static let shardLimit = 5_000_000_000
  private static let index = "model.safetensors.index.json"

  /// - Parameters:
  ///   - config: the bytes of config.json.
  ///   - tensors: in the order in which they are to be written.
  ///   - carry: the folder whose companions are copied, byte for byte.
  ///   - chatTemplate: what becomes `chat_template.jinja`, where transformers' processor looks,
  ///     unless it is among the companions.
  /// Returns the names of the files written. Throws 73, also where the disk has too little room,
  /// or 74.
  @discardableResult
  public static func write(
    to directory: String, config: [UInt8], tensors: [OutputTensor],
    shardLimit: Int = CheckpointWriter.shardLimit,
    carry: String? = nil, chatTemplate: String? = nil
  ) throws -> [String] {
    try requireSpace(for: tensors, at: directory)
    try Files.makeDirectory(directory)
    try removeWeights(in: directory)
    let groups = cut(tensors, limit: shardLimit)
    var written: [String] = []
    var map: [String: JSON] = [:]
    for (number, group) in groups.enumerated() {
      let name =
        groups.count == 1
        ? "model.safetensors"
        : "model-\(digits(number + 1))-of-\(digits(groups.count)).safetensors"
      try writeSafetensorsFile(Files.join(directory, name), group)
      for tensor in group { map[tensor.name] = .string(name) }
      written.append(name)
    }
    if groups.count > 1 {
      let json: JSON = [
        "metadata": ["total_size": .int(tensors.reduce(0) { $0 + $1.byteCount })],
        "weight_map": .object(map),
      ]
      try writeAtomically(json.text(pretty: true), to: Files.join(directory, index))
      written.append(index)
    }
    if let carry {
      for name in companions where Files.isFile(Files.join(carry, name)) {
        try writeAtomically(
          Files.read(Files.join(carry, name)), to: Files.join(directory, name))
        written.append(name)
      }
    }
    if let chatTemplate, !written.contains("chat_template.jinja") {
      try writeAtomically(chatTemplate, to: Files.join(directory, "chat_template.jinja"))
      written.append("chat_template.jinja")
    }
    // The config last: with it the folder is a checkpoint.
    try writeAtomically(config, to: Files.join(directory, "config.json"))
    written.append("config.json")
    return written
  }

  /// The element type that most bytes have: the one that config.json names.
  public static func commonType(_ tensors: [OutputTensor]) -> ElementType? {
    Dictionary(grouping: tensors, by: \.type).mapValues { $0.reduce(0) { $0 + $1.byteCount } }
      .max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key
  }

  /// Refuses what the disk has no room for, before anything is written or hours are spent. Throws
  /// 73 with the bytes needed and found.
  public static func requireSpace(for tensors: [OutputTensor], at directory: String) throws {
    // Headers, index and tokenizer.
    let needed = tensors.reduce(1 << 25) { $0 + $1.byteCount }
    guard let free = Files.freeBytes(at: directory), free < needed else { return }
    throw Failure(
      .cannotCreate, "the disk has no room for the checkpoint", at: directory,
      expected: "\(needed) bytes free", found: "\(free)",
      advice: "Free some space or name a folder on another disk")
  }

  /// Which tensors lie together in a file, as the hub's tools cut: in order, a new file where the
  /// limit would be passed.
  static func cut(_ tensors: [OutputTensor], limit: Int) -> [[OutputTensor]] {
    var groups: [[OutputTensor]] = [[]]
    var filled = 0
    for tensor in tensors {
      if filled > 0, filled + tensor.byteCount > limit {
        groups.append([])
        filled = 0
      }
      groups[groups.count - 1].append(tensor)
      filled += tensor.byteCount
    }
    return groups
  }

  /// Weights of an earlier attempt that was cut into other files would be loaded in the place of
  /// these.
  private static func removeWeights(in directory: String) throws {
    for name in try Files.list(directory)
    where name == "config.json" || name == index || name == "model.safetensors"
      || name.hasPrefix("model-") && name.hasSuffix(".safetensors")
    {
      try Files.remove(Files.join(directory, name))
    }
  }

  private static func digits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 5 - text.count)) + text
  }
}
