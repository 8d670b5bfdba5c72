import Artifacts
import Failures
import Foundation
import Kernels
import Logging
import Ranks
import Training

extension Stage {
  /// Opens the artifact that this stage writes, or returns nil when it is finished already, with
  /// the same settings and inputs: then there is nothing to do, and the log says so.
  ///
  /// - Parameters:
  ///   - settings: all that decides the content, by section; `--limit` is added here.
  ///   - execution: what else of the sections is recorded.
  ///   - seeded: whether the seed decides the content.
  ///   - redo: why a finished one is made again all the same.
  ///   - share: which of its shards this process makes.
  ///   - before: plans and checks; called when there is something to do, before anything in the
  ///     folder is touched, so that what is refused has cost nothing.
  /// Throws 73 when the folder cannot be written or holds something else, and what `before` throws.
  public func artifact(
    at directory: String, kind: ArtifactKind, settings: JSON, execution: JSON = [:],
    inputs: [String: String], seeded: Bool = false, samplesPerShard: Int = 128,
    redo: String? = nil, share: Share = .all, before: () throws -> Void = {}
  ) throws -> ArtifactWriter? {
    guard share == .all || !self.redo else {
      throw Failure(
        .usage, "--redo removes what all shares made", at: name,
        advice: "Run the command once without a share and with --redo --limit 1, or remove "
          + "\(directory)")
    }
    if share == .all, ranks.count == 1 { try Ranks.requireAlone() }
    func open(_ settings: JSON) throws -> ArtifactWriter {
      try ArtifactWriter(
        directory: directory, kind: kind, settings: settings, execution: execution, inputs: inputs,
        seed: seeded ? seed : nil, threads: threads, samplesPerShard: samplesPerShard,
        program: name, redo: redo, discard: self.redo,
        // A report is of its run.
        earlier: kind == .report ? nil : reuse, share: share, before: before)
    }
    let wanted = settled(settings, kind, at: directory)
    let writer: ArtifactWriter
    do {
      writer = try open(wanted)
    } catch let failure as Failure where share != .all && failure.code == .cannotCreate {
      // Beside us a share may just have begun, on a processor with another precision of its own.
      let begun = settled(settings, kind, at: directory)
      guard begun != wanted else { throw failure }
      writer = try open(begun)
    }
    hold(writer)
    if writer.isComplete {
      if share == .all { writer.confirm() }
      let words = writer.linkedFrom.map { "as in \($0), to whose files it is linked" }
      log.info("nothing to do: \(directory) is finished\(words.map { ", " + $0 } ?? "")")
      return nil
    }
    if let reason = writer.startedOver {
      let place = writer.movedAside.map {
        ". What was there lies in \($0) until this is finished"
      }
      log.warning("starting over: \(reason)\(place ?? "")")
    }
    if writer.isContinuing { log.info("continuing \(directory)") }
    if let repaired = writer.repaired {
      // Its bytes are those of so many threads.
      Parallelism.threads = repaired.threads
      let lost = repaired.shards.count - writer.finishedShards.count
      let shards = "\(lost) of its \(repaired.shards.count) shards \(lost == 1 ? "is" : "are")"
      log.warning("\(directory) is finished, but \(shards) missing or damaged: made again")
    }
    return writer
  }

  /// As `artifact`, of a stage that trains, on all ranks: rank 0 has the folder, and the others do what
  /// it does.
  /// - Parameter before: called on every rank
  public func trainingOutput(
    at directory: String, kind: ArtifactKind, settings: JSON, execution: JSON,
    inputs: [String: String], before: () throws -> Void
  ) throws -> TrainingOutput? {
    var execution = execution
    if ranks.count > 1, case .object(var members) = execution {
      members["ranks"] = .int(ranks.count)
      execution = .object(members)
    }
    func open() throws -> ArtifactWriter? {
      try artifact(
        at: directory, kind: kind, settings: settings, execution: execution, inputs: inputs,
        seeded: true, before: before)
    }
    let writer = ranks.rank == 0 ? try open() : nil
    var words = writer.map { [$0.identity, Precision.current.rawValue] } ?? []
    if ranks.count > 1 {
      words = String(
        decoding: try ranks.broadcast(Array(words.joined(separator: " ").utf8)), as: UTF8.self
      )
      .split(separator: " ").map(String.init)
    }
    guard words.count == 2 else { return nil }
    if ranks.rank > 0 {
      Precision(rawValue: words[1]).map { Precision.current = $0 }
      try before()
    }
    return try TrainingOutput(directory: directory, writer: writer, identity: words[0])
  }

  /// The visual embeddings in these features; nil, and a line in the log, where they hold none of this
  /// backbone's vision encoder: then images are encoded.
  /// - Throws: what `VisualEmbeddings` throws.
  public func visualEmbeddings(
    in features: String?, of backbone: Backbone, samples: ExampleReader
  ) throws -> VisualEmbeddings? {
    guard let features else { return nil }
    let found = try VisualEmbeddings(features: features, of: backbone, samples: samples.artifact)
    if found == nil {
      log.info("\(features) holds no visual embeddings of this vision encoder: images are encoded")
    }
    return found
  }

  /// The settings with what the command line and the machine add: `--limit`, and how products are
  /// computed, for the artifacts that hold any. float32 goes without saying.
  private func settled(_ settings: JSON, _ kind: ArtifactKind, at directory: String) -> JSON {
    guard case .object(var members) = settings else { return settings }
    members["limit"] = limit.map { .int($0) }
    guard kind != .samples, kind != .report else { return .object(members) }
    func with(_ precision: Precision) -> JSON {
      members["precision"] = precision == .float32 ? nil : .string(precision.rawValue)
      return .object(members)
    }
    let wanted = with(Precision.current)
    guard preset.run.precision == .auto, !redo,
      let present = ArtifactWriter.settings(in: directory), present != wanted,
      let begun = Precision.allCases.first(where: { with($0) == present })
    else { return wanted }
    log.info("\(directory) goes on in \(begun.rawValue), as it was begun")
    Precision.current = begun
    return present
  }

  /// Writes the shards that are missing, each with its line of metrics, under a progress bar.
  /// - Parameters:
  ///   - indices: the samples of the whole artifact.
  ///   - unit: a plural: samples, questions.
  ///   - note: what stands behind the numbers of the bar.
  ///   - body: appends the records of a shard's samples, calls `advance` with how many it has
  ///     done, and returns what to write to the metrics.
  /// Returns whether the artifact is to be finished: not by one who makes a share of it.
  /// Throws 75 after a signal where `body` looks for one; finished shards stay.
  public func writeShards(
    of indices: [Int], to writer: ArtifactWriter, unit: String, label: String,
    note: @escaping () -> String = { "" },
    _ body: (
      _ members: [Int], _ append: (Record) throws -> Void, _ advance: (Int) -> Void
    ) throws -> [(key: String, value: SettingValue)]
  ) throws -> Bool {
    writer.expect(records: indices.count)
    let pending = writer.unfinishedShards(of: indices)
    let left = pending.reduce(0) { $0 + $1.indices.count }
    let mine = indices.count { writer.share.contains(writer.shard(of: $0)) }
    let progress = progress(total: mine, unit: unit, label: label, done: mine - left)
    let metrics = try ShardMetrics(writer)
    for (shard, members) in pending {
      try metrics.write(shard) { append in
        let pairs = try withoutActuallyEscaping(append) { append in
          try body(members, append) { progress.advance($0, note: note()) }
        }
        return [("shard", .int(shard)), (key: unit, .int(members.count))] + pairs + [
          ("seconds", .number((wallSeconds * 1000).rounded() / 1000))
        ]
      }
    }
    metrics.close()
    progress.finish()
    return isWhole(writer)
  }

  /// Whether this process makes all of an artifact; where it makes a share, says that this is done.
  public func isWhole(_ writer: ArtifactWriter) -> Bool {
    guard writer.share != .all else { return true }
    let count = writer.finishedShards.count { writer.share.contains($0) }
    log.info(
      "share \(writer.share.name) of \(writer.directory) is done, \(count) shards; the same command without a share finishes"
    )
    return false
  }

  /// Writes the manifest, with this stage's time and memory, and says so.
  @discardableResult
  public func finish(_ writer: ArtifactWriter, facts: [String: JSON] = [:]) throws -> Manifest {
    var facts = facts
    facts["finished"] = .string(Date().formatted(.iso8601))
    facts["machine"] = .string(Cores.machine)
    let manifest = try writer.finish(
      facts: facts, wallSeconds: wallSeconds, peakBytes: peakBytes)
    guard let repaired = writer.repaired else {
      log.info("wrote \(writer.directory) in \(Progress.duration(wallSeconds))")
      return manifest
    }
    if manifest == repaired {
      log.info("repaired \(writer.directory): its content is as it was")
    } else {
      let consequence = "what was made from it does not fit any more"
      log.warning(
        "repaired \(writer.directory), but its content is another now: \(consequence)")
    }
    return manifest
  }
}

/// What a training writes, as each rank knows it.
public struct TrainingOutput {
  public let directory: String
  /// Rank 0's: the others write nothing.
  public let writer: ArtifactWriter?
  public let state: TrainingState

  init(directory: String, writer: ArtifactWriter?, identity: String) throws {
    self.directory = directory
    self.writer = writer
    state = TrainingState(
      directory: try writer?.scratchDirectory() ?? ArtifactWriter.scratchDirectory(of: directory),
      fingerprint: identity)
  }
}

/// `metrics.jsonl` of an artifact of shards: a line a shard, kept with the shard itself, so that
/// whatever stops the program between the two, both are there or neither.
public struct ShardMetrics {
  private let writer: ArtifactWriter
  private let metrics: Metrics?

  /// Starts the file with the lines of the shards that are done. A repair has all its lines; a share
  /// leaves the file to who finishes.
  /// - Parameter done: the finished shards that stay; nil for all.
  public init(_ writer: ArtifactWriter, done: Set<Int>? = nil) throws {
    self.writer = writer
    metrics =
      writer.repaired == nil && writer.share == .all
      ? try Metrics(directory: writer.directory, lines: writer.lines(of: done)) : nil
  }

  /// Writes a shard whose body returns its line.
  public func write(
    _ shard: Int,
    _ body: (_ append: (Record) throws -> Void) throws -> [(key: String, value: SettingValue)]
  ) throws {
    var line = ""
    try writer.writeMeasuredShard(shard) { append in
      let pairs = try withoutActuallyEscaping(append) { try body($0) }
      line = Metrics.line(pairs)
      return line
    }
    try metrics?.append(line: line)
  }

  public func close() { metrics?.close() }
}

extension SettingsSection {
  /// What of the section decides the content, as a JSON object for a manifest.
  public var json: JSON { SettingValue.object(values(.content)).asJSON }

  /// What of it does not.
  public var execution: JSON { SettingValue.object(values(.execution)).asJSON }
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
