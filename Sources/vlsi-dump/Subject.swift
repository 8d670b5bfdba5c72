import Models
import Artifacts
import Checkpoints
import Failures
import Kernels

/// What the path leads to.
struct Subject {
  enum Kind {
    case artifact(Manifest)
    case checkpoint(Checkpoint)
    case shard(ShardFile)
    case tensorFile(SafetensorsFile)
    case run(RunFolder)
    case runs(RunList)
  }

  let path: String
  let kind: Kind

  /// Throws 66 when there is nothing, 65 when it is nothing of ours.
  init(_ path: String) throws {
    self.path = path
    guard Files.exists(path) else {
      throw Failure(.inputMissing, "does not exist", at: path)
    }
    if Files.isDirectory(path) {
      kind = try Subject.folder(path)
    } else if path.hasSuffix(".lmdb") {
      kind = .shard(try ShardFile(path: path))
    } else if path.hasSuffix(".safetensors") {
      kind = .tensorFile(try readSafetensorsFile(path))
    } else {
      throw Failure(
        .badData, "nothing that can be shown", at: path,
        expected: "a folder, an .lmdb or a .safetensors file")
    }
  }

  private static func folder(_ path: String) throws -> Kind {
    func has(_ name: String) -> Bool { Files.exists(Files.join(path, name)) }
    if has(Manifest.fileName) { return .artifact(try ArtifactReader.manifest(in: path)) }
    if has("unfinished.json") { _ = try ArtifactReader.manifest(in: path) }
    if has("config.json") {
      return .checkpoint(try Checkpoint(directory: path, complete: false))
    }
    if has("adapter_model.safetensors") {
      return .tensorFile(try readSafetensorsFile(Files.join(path, "adapter_model.safetensors")))
    }
    if let run = RunFolder(path) { return .run(run) }
    if let runs = RunList(path) { return .runs(runs) }
    throw Failure(
      .badData, "neither a run, an artifact nor a checkpoint", at: path,
      expected: "a manifest.json or a config.json",
      advice: "A folder without a manifest is unfinished: run its stage again")
  }

  /// The artifact's records. Throws 65 where there are none.
  func reader() throws -> ArtifactReader {
    guard case .artifact(let manifest) = kind, !manifest.shards.isEmpty else {
      throw Failure(
        .badData, "has no records", at: path, expected: "a sharded artifact",
        advice: "Use --tensor NAME without --record")
    }
    return try ArtifactReader(directory: path, checking: false)
  }

  func record(_ index: Int) throws -> Record {
    if case .shard(let shard) = kind { return try shard.record(index) }
    return try reader().record(index)
  }

  /// The tensors that lie in files. Throws 65 where they lie in records.
  func files() throws -> TensorFiles {
    switch kind {
    case .checkpoint(let checkpoint): return TensorFiles(checkpoint)
    case .tensorFile(let file): return TensorFiles([file], path: path)
    case .artifact(let manifest) where manifest.shards.isEmpty:
      if manifest.kind == .model {
        return TensorFiles(try Checkpoint(directory: path, complete: false))
      }
      let files = try manifest.files.filter { $0.file.hasSuffix(".safetensors") }
        .map { try readSafetensorsFile(Files.join(path, $0.file)) }
      return TensorFiles(files, path: path)
    default:
      throw Failure(
        .badData, "its tensors lie in records", at: path, advice: "Give --record N too")
    }
  }
}

/// Named tensors, wherever they lie.
struct TensorFiles {
  let path: String
  let names: [String]
  private let mapped: [String: MappedTensor]
  private let inMemory: [String: RawTensor]

  init(_ checkpoint: Checkpoint) {
    path = checkpoint.directory
    names = checkpoint.names
    mapped = Dictionary(
      names.compactMap { name in checkpoint[name].map { (name, $0) } },
      uniquingKeysWith: { first, _ in first })
    inMemory = [:]
  }

  init(_ files: [SafetensorsFile], path: String) {
    self.path = path
    mapped = files.reduce(into: [:]) { $0.merge($1.tensors) { first, _ in first } }
    names = mapped.keys.sorted(by: naturallyPrecedes)
    inMemory = [:]
  }

  init(_ record: Record, path: String) {
    self.path = "\(path), record \(record.index)"
    names = record.tensors.keys.sorted(by: naturallyPrecedes)
    mapped = [:]
    inMemory = record.tensors
  }

  func type(_ name: String) -> ElementType? { mapped[name]?.type ?? inMemory[name]?.type }
  func shape(_ name: String) -> [Int]? { mapped[name]?.shape ?? inMemory[name]?.shape }
  func byteCount(_ name: String) -> Int {
    mapped[name]?.byteCount ?? inMemory[name]?.bytes.count ?? 0
  }

  /// The tensor, or rows of it. Throws 65 naming it and those that are there.
  func tensor(_ name: String, rows: (start: Int, end: Int?)? = nil) throws -> RawTensor {
    guard let shape = shape(name) else {
      let shown = names.prefix(8).joined(separator: ", ")
      throw Failure(
        .badData, "no tensor \(name)", at: path,
        found: shown + (names.count > 8 ? " and \(names.count - 8) more" : ""))
    }
    guard let rows else {
      return try inMemory[name] ?? mapped[name]?.raw() ?? missing(name)
    }
    let count = shape.first ?? 0
    let end = rows.end ?? count
    guard !shape.isEmpty, rows.start <= end, end <= count else {
      throw Failure(
        .badData, "rows outside tensor \(name)", at: path,
        expected: "rows within 0:\(count) of \(Human.shape(shape))",
        found: "\(rows.start):\(end)")
    }
    return try inMemory[name]?.rows(rows.start..<end)
      ?? mapped[name]?.rows(rows.start..<end) ?? missing(name)
  }

  private func missing(_ name: String) throws -> RawTensor {
    throw Failure(.badData, "no tensor \(name)", at: path)
  }

  /// Calls `body` with the values in pieces, so that no large tensor is widened at once.
  func forEachPiece(_ name: String, _ body: (RawTensor) throws -> Void) throws {
    guard let shape = shape(name), let rows = shape.first, rows > 0 else {
      return try body(tensor(name))
    }
    let rowBytes = max(1, byteCount(name) / rows)
    let piece = max(1, (1 << 22) / rowBytes)
    for start in stride(from: 0, to: rows, by: piece) {
      try body(tensor(name, rows: (start, min(rows, start + piece))))
    }
  }
}
