import Artifacts
import Failures
import Kernels

/// A tensor to be written: its bytes are produced piece by piece, when their turn comes.
public struct OutputTensor {
  public let name: String
  public let type: ElementType
  public let shape: [Int]
  /// Hands its bytes, in order, to `write`.
  public let produce: (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

  public var byteCount: Int { shape.reduce(type.size, *) }

  public init(
    name: String, type: ElementType, shape: [Int],
    produce: @escaping (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) {
    self.name = name
    self.type = type
    self.shape = shape
    self.produce = produce
  }

  public init(_ name: String, _ tensor: RawTensor) {
    self.init(name: name, type: tensor.type, shape: tensor.shape) { write in
      try tensor.bytes.withUnsafeBytes { try write($0) }
    }
  }

  public init(_ tensor: MappedTensor, name: String? = nil) {
    self.init(name: name ?? tensor.name, type: tensor.type, shape: tensor.shape) { write in
      try withExtendedLifetime(tensor.owner) { try write(tensor.bytes) }
    }
  }

  /// Float values, rounded to `type` as they are written; `values` must stay alive until then.
  public init(
    name: String, type: ElementType, shape: [Int], values: @escaping () -> UnsafePointer<Float>
  ) {
    self.init(name: name, type: type, shape: shape) { write in
      let count = shape.reduce(1, *)
      let pointer = values()
      let chunk = 1 << 18
      for start in stride(from: 0, to: count, by: chunk) {
        let part = UnsafeBufferPointer(
          start: pointer + start, count: min(chunk, count - start))
        if type == .float32 {
          try write(UnsafeRawBufferPointer(part))
        } else {
          let rounded = RawTensor(Array(part), as: type, shape: [part.count])
          try rounded.bytes.withUnsafeBytes { try write($0) }
        }
      }
    }
  }
}

/// Writes one safetensors file, atomically. Throws 73, 74, and 70 when a tensor produces more or
/// fewer bytes than its shape says.
public func writeSafetensorsFile(
  _ path: String, _ tensors: [OutputTensor], metadata: [String: String] = ["format": "pt"]
) throws {
  let file = try OutputFile(path)
  try file.write(
    SafetensorsHeader.encode(tensors.map { ($0.name, $0.type, $0.shape) }, metadata: metadata))
  for tensor in tensors {
    let start = file.count
    try tensor.produce { try file.write($0) }
    guard file.count - start == tensor.byteCount else {
      throw Failure(
        .software, "tensor \(tensor.name) produced the wrong number of bytes", at: path,
        expected: "\(tensor.byteCount)", found: "\(file.count - start)")
    }
  }
  try file.commit()
}

/// Writes a checkpoint that transformers loads: config, weights under the hub's names in one file
/// or several with an index, and the tokenizer's and image processor's files of the model that it
/// came from. Never holds more than a piece of one tensor.
public enum CheckpointWriter {
  /// What a checkpoint carries besides config and weights.
  public static let companions = [
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
    "special_tokens_map.json", "added_tokens.json", "preprocessor_config.json",
    "processor_config.json", "video_preprocessor_config.json", "generation_config.json",
    "chat_template.json", "chat_template.jinja", "LICENSE",
  ]

  /// - Parameters:
  ///   - tensors: in the order in which they are to be written.
  ///   - shardLimit: bytes of tensors in one file, unless a single one is larger.
  ///   - carry: the checkpoint whose companions are copied.
  /// Returns the names of the files written. Throws 73, 74.
  @discardableResult
  public static func write(
    to directory: String, config: Qwen2VLConfig, tensors: [OutputTensor],
    shardLimit: Int = 5_000_000_000, carry base: String? = nil
  ) throws -> [String] {
    try Files.makeDirectory(directory)
    var written: [String] = []
    var groups: [[OutputTensor]] = [[]]
    var filled = 0
    for tensor in tensors {
      if filled > 0, filled + tensor.byteCount > shardLimit {
        groups.append([])
        filled = 0
      }
      groups[groups.count - 1].append(tensor)
      filled += tensor.byteCount
    }
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
      let name = "model.safetensors.index.json"
      let index: JSON = [
        "metadata": ["total_size": .int(tensors.reduce(0) { $0 + $1.byteCount })],
        "weight_map": .object(map),
      ]
      try writeAtomically(index.text(pretty: true), to: Files.join(directory, name))
      written.append(name)
    }
    if let base {
      for name in companions where Files.exists(Files.join(base, name)) {
        try writeAtomically(
          Files.read(Files.join(base, name)), to: Files.join(directory, name))
        written.append(name)
      }
    }
    // The config last: with it the folder is a checkpoint.
    var config = config
    let byType = Dictionary(grouping: tensors, by: \.type)
      .mapValues { $0.reduce(0) { $0 + $1.byteCount } }
    config.dtype = byType.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key
    try writeAtomically(config.hubJSON(), to: Files.join(directory, "config.json"))
    written.append("config.json")
    return written
  }

  private static func digits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 5 - text.count)) + text
  }
}
