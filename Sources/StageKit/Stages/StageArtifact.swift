import Artifacts
import Failures
import Logging

extension Stage {
  /// Opens the artifact that this stage writes, or returns nil when it is finished already, with
  /// the same settings and inputs: then there is nothing to do, and the log says so.
  ///
  /// `settings` must hold all that decides the content; `--limit` is added here. `redo` says why a
  /// finished one is made again all the same. Throws 73 when the folder cannot be written or holds
  /// something else.
  public func artifact(
    at directory: String, kind: ArtifactKind, settings: JSON, inputs: [String: String],
    samplesPerShard: Int = 128, redo: String? = nil
  ) throws -> ArtifactWriter? {
    var settings = settings
    if let limit, case .object(var members) = settings {
      members["limit"] = .int(limit)
      settings = .object(members)
    }
    let writer = try ArtifactWriter(
      directory: directory, kind: kind, settings: settings, inputs: inputs, seed: seed,
      threads: threads, samplesPerShard: samplesPerShard, program: name, version: Stage.version,
      redo: redo)
    if writer.isComplete {
      writer.confirm()
      log.info("nothing to do: \(directory) is finished")
      return nil
    }
    if let reason = writer.startedOver { log.warning("starting over: \(reason)") }
    if writer.isContinuing { log.info("continuing \(directory)") }
    return writer
  }

  /// Writes the manifest, with this stage's time and memory, and says so.
  @discardableResult
  public func finish(_ writer: ArtifactWriter, facts: [String: JSON] = [:]) throws -> Manifest {
    let manifest = try writer.finish(
      facts: facts, wallSeconds: wallSeconds, peakBytes: peakBytes)
    log.info("wrote \(writer.directory) in \(Progress.duration(wallSeconds))")
    return manifest
  }
}

extension SettingsSection {
  /// The section as a JSON object, for an artifact's manifest.
  public var json: JSON { settings.asJSON }
}

extension SettingValue {
  /// The same value as `JSON`, whose objects keep no order.
  public var asJSON: JSON {
    switch self {
    case .null: .null
    case .bool(let value): .bool(value)
    case .int(let value): .int(value)
    case .number(let value): .number(value)
    case .string(let value): .string(value)
    case .list(let values): .array(values.map(\.asJSON))
    case .object(let pairs):
      .object(
        Dictionary(pairs.map { ($0.key, $0.value.asJSON) }, uniquingKeysWith: { _, last in last }))
    }
  }
}
