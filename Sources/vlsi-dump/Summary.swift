import Models
import Artifacts
import Checkpoints
import Failures
import StageKit

/// What a thing is, at a glance.
struct Summary {
  private let subject: Subject

  init(_ subject: Subject) { self.subject = subject }

  func show(_ format: OutputFormat) throws {
    switch subject.kind {
    case .run(let run): return run.show(format)
    case .runs(let runs): return runs.show(format)
    default: break
    }
    if format == .json { return Output.json(try json()) }
    switch subject.kind {
    case .artifact(let manifest):
      showArtifact(manifest)
      if manifest.shards.isEmpty {
        if let tensors = try? subject.files() { showTensors(tensors) }
      }
    case .checkpoint(let checkpoint): showCheckpoint(checkpoint)
    case .run, .runs: break
    case .shard(let shard): showShard(shard)
    case .tensorFile(let file):
      Output.line(file.path)
      showMetadata(file.metadata)
      showTensors(TensorFiles([file], path: file.path))
    }
  }

  private func json() throws -> JSON {
    switch subject.kind {
    case .run, .runs: return .null
    case .artifact(let manifest): return manifest.json
    case .shard(let shard):
      return ["path": .string(shard.path), "samples": .array(shard.indices.map { .int($0) })]
    case .checkpoint(let checkpoint):
      return [
        "path": .string(checkpoint.directory),
        "config": .object(checkpoint.config.members),
        "parameters": .int(checkpoint.config.parameterCount),
        "fingerprint": .string(checkpoint.fingerprint), "tensors": list(TensorFiles(checkpoint)),
      ]
    case .tensorFile(let file):
      return [
        "path": .string(file.path), "metadata": .object(file.metadata.mapValues { .string($0) }),
        "tensors": list(TensorFiles([file], path: file.path)),
      ]
    }
  }

  private func list(_ tensors: TensorFiles) -> JSON {
    .array(
      tensors.names.map { name in
        [
          "name": .string(name), "dtype": .string(tensors.type(name)?.rawValue ?? ""),
          "shape": .array((tensors.shape(name) ?? []).map { .int($0) }),
        ]
      })
  }

  // MARK: Artifacts

  private func showArtifact(_ manifest: Manifest) {
    Output.line("\(manifest.kind.rawValue)  \(subject.path)")
    Output.line()
    var facts = Table(["", ""])
    if !manifest.shards.isEmpty {
      facts.add([
        "records",
        Human.count(manifest.records) + " in " + Human.plural(manifest.shards.count, "shard"),
      ])
    }
    facts.add(["size", Human.bytes(manifest.bytes)])
    facts.add([
      "made by",
      "\(manifest.program) \(manifest.version), \(manifest.seed.map { "seed \($0)" } ?? "no seed"), "
        + "\(Human.plural(manifest.threads, "thread")), "
        + "\(Progress.duration(manifest.wallSeconds)), \(Human.bytes(manifest.peakBytes)) memory",
    ])
    facts.add(["content", manifest.content])
    for line in facts.lines.dropFirst() { Output.line(line) }
    section("settings", manifest.settings.asObject ?? [:])
    section("execution", manifest.execution.asObject ?? [:])
    section("facts", manifest.facts)
    section("made from", manifest.inputs.mapValues { .string($0) })
    if !manifest.tensors.isEmpty {
      Output.line()
      var table = Table(["tensor", "type", "axes"])
      for tensor in manifest.tensors {
        table.add([
          tensor.name, tensor.type.rawValue,
          tensor.axes.isEmpty ? "scalar" : tensor.axes.joined(separator: " × "),
        ])
      }
      table.show()
    }
    showFiles(manifest)
  }

  private func section(_ title: String, _ members: [String: JSON]) {
    guard !members.isEmpty else { return }
    Output.line()
    var table = Table([title, ""])
    for (name, value) in JSON.object(members).leaves() {
      table.add([name, Human.line(value.plain, limit: 90)])
    }
    table.show()
  }

  private func showFiles(_ manifest: Manifest) {
    Output.line()
    var table = Table(["file", ">records", "samples", ">size", "checksum"])
    let shown = manifest.shards.count > 12 ? 8 : manifest.shards.count
    for shard in manifest.shards.prefix(shown) {
      let range = shard.first.map { "\($0) to \(shard.last ?? $0)" } ?? "none"
      table.add([
        shard.file, Human.count(shard.records), range, Human.bytes(shard.bytes), shard.checksum,
      ])
    }
    if shown < manifest.shards.count {
      table.add(["and \(Human.plural(manifest.shards.count - shown, "more shard"))"])
    }
    for file in manifest.files {
      table.add([file.file, "", "", Human.bytes(file.bytes), file.checksum])
    }
    if !table.isEmpty { table.show() }
  }

  // MARK: Checkpoints and files

  private func showCheckpoint(_ checkpoint: Checkpoint) {
    let config = checkpoint.config
    let tensors = TensorFiles(checkpoint)
    let bytes = tensors.names.reduce(0) { $0 + tensors.byteCount($1) }
    Output.line("\(type(of: config).familyName) checkpoint  \(checkpoint.directory)")
    Output.line()
    var facts = Table(["", ""])
    facts.add([
      "parameters",
      Human.count(config.parameterCount) + ", " + Human.bytes(bytes) + " in "
        + Human.plural(checkpoint.files.count, "file"),
    ])
    let text = config.text
    facts.add([
      "language model",
      "\(text.layers) layers, width \(text.hiddenSize), \(text.heads) heads, "
        + "\(text.keyValueHeads) key/value, FFN \(text.intermediateSize)",
    ])
    facts.add([
      "vocabulary",
      "\(Human.count(text.vocabularySize)), head "
        + (text.tieWordEmbeddings ? "tied to the embedding" : "of its own"),
    ])
    let vision = config.encoder
    facts.add([
      "vision encoder",
      "\(vision.depth) blocks, width \(vision.width), FFN \(vision.feedForward), "
        + "patch \(vision.patchSize), \(vision.patchesPerToken) patches a token",
    ])
    facts.add(["fingerprint", checkpoint.fingerprint])
    for line in facts.lines.dropFirst() { Output.line(line) }
    showTensors(tensors)
  }

  private func showShard(_ shard: ShardFile) {
    Output.line("shard  \(shard.path)")
    Output.line()
    Output.line("  " + Human.plural(shard.indices.count, "record"))
    var table = Table([">sample", ">stored"])
    for index in shard.indices.prefix(20) {
      table.add(["\(index)", Human.bytes(shard.storedBytes(index))])
    }
    if !table.isEmpty { table.show() }
    if shard.indices.count > 20 { Output.line("  and \(shard.indices.count - 20) more") }
  }

  private func showMetadata(_ metadata: [String: String]) {
    section("metadata", metadata.mapValues { .string($0) })
  }

  /// The tensors, those of like blocks in one line.
  private func showTensors(_ tensors: TensorFiles) {
    guard !tensors.names.isEmpty else { return }
    Output.line()
    var table = Table(["tensor", "type", "shape", ">size"])
    for group in TensorGroup.groups(of: tensors) {
      table.add([group.title, group.type, Human.shape(group.shape), Human.bytes(group.bytes)])
    }
    table.show()
  }
}

/// Tensors that differ by a block's number only.
struct TensorGroup {
  var title: String
  var type: String
  var shape: [Int]
  var bytes: Int

  static func groups(of tensors: TensorFiles) -> [TensorGroup] {
    var order: [String] = []
    var members: [String: [(number: Int, name: String)]] = [:]
    for name in tensors.names {
      let parts = name.split(separator: ".")
      let at = parts.firstIndex { Int($0) != nil }
      let pattern =
        at.map {
          parts[..<$0].joined(separator: ".") + ".*." + parts[($0 + 1)...].joined(separator: ".")
        }
        ?? name
      let key =
        "\(pattern) \(tensors.type(name)?.rawValue ?? "") \(tensors.shape(name) ?? [])"
      if members[key] == nil { order.append(key) }
      members[key, default: []].append((at.flatMap { Int(parts[$0]) } ?? 0, name))
    }
    return order.compactMap { key in
      guard let group = members[key], let first = group.first else { return nil }
      let bytes = group.reduce(0) { $0 + tensors.byteCount($1.name) }
      var title = first.name
      if group.count > 1 {
        let numbers = ranges(group.map(\.number))
        title = String(key.split(separator: " ")[0]).replacing("*", with: "{\(numbers)}")
      }
      return TensorGroup(
        title: title, type: tensors.type(first.name)?.rawValue ?? "",
        shape: tensors.shape(first.name) ?? [], bytes: bytes)
    }
  }

  /// 0-27, or 2,6,10.
  private static func ranges(_ numbers: [Int]) -> String {
    let sorted = numbers.sorted()
    if let first = sorted.first, let last = sorted.last, last - first == sorted.count - 1 {
      return "\(first)-\(last)"
    }
    return sorted.map(String.init).joined(separator: ",")
  }
}
