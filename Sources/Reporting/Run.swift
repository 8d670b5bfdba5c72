import Artifacts
import Failures
import Foundation

/// A run's folder, `runs/NAME`: what of its artifacts is there.
public struct Run: Sendable {
  public let path: String
  /// The folder's own name.
  public let name: String
  /// What the report would have shown and could not, in words, in the order of finding.
  public internal(set) var gaps: [String] = []

  /// An artifact of the run, finished.
  public struct Artifact: Sendable {
    /// The path below the run, `features/teacher`.
    public let name: String
    public let manifest: Manifest
  }

  /// The finished artifacts, in the order of the graph.
  public private(set) var artifacts: [Artifact] = []

  /// The models with an evaluation, finished or not, in the order of the closing table, then of
  /// their names.
  public private(set) var contenders: [Contender] = []

  /// The artifacts that a run can have, in the order of the graph, before its evaluations. The
  /// report itself is none.
  static let known = [
    "samples", "samples-teacher", "features/teacher", "features/student", "verbalizers/teacher",
    "verbalizers/student", "targets", "adapter", "model", "features/model", "compare/sft/model",
    "compare/last-layer/adapter", "compare/last-layer/model",
  ]

  /// Looks through the folder; an artifact that is unfinished or damaged is a gap, no error.
  /// - Throws: `Failure` 66 when there is no such folder, or nothing of a run in it.
  public init(path: String) throws {
    self.path = path
    guard Files.isDirectory(path) else {
      throw Failure(
        .inputMissing, "no such run", at: path, expected: "a folder such as runs/tiny",
        advice: "Run make distill-tiny first")
    }
    name = Files.name(of: path)
    for name in Run.known where Files.isDirectory(Files.join(path, name)) { add(name) }
    let names = folders("evaluation")
    let known = Contender.known.filter { names.contains($0.name) }
    contenders = known + names.map(Contender.init).filter { !known.contains($0) }
    for contender in contenders {
      let seeds = hasManifest(contender.evaluation) ? [] : folders(contender.evaluation)
      if seeds.isEmpty { add(contender.evaluation) }
      for seed in seeds { add("\(contender.evaluation)/\(seed)") }
    }
    guard !artifacts.isEmpty || !gaps.isEmpty else {
      throw Failure(
        .inputMissing, "not a run: no artifact in it", at: path,
        expected: "samples, verbalizers, adapter, model or evaluation folders")
    }
  }

  private mutating func add(_ name: String) {
    guard hasManifest(name) else {
      gaps.append("\(name): \(progress(name))")
      return
    }
    do {
      let manifest = try ArtifactReader.manifest(in: path(name))
      try ArtifactReader.checkFiles(manifest, in: path(name))
      artifacts.append(Artifact(name: name, manifest: manifest))
    } catch {
      let failure = error as? Failure
      let file = failure?.place.map { " (\(Files.name(of: $0)))" } ?? ""
      gaps.append("\(name): \(failure?.what ?? "\(error)")\(file)")
    }
  }

  /// How far an artifact that is not finished is.
  private func progress(_ name: String) -> String {
    guard let status = ArtifactStatus(directory: path(name)), let writer = status.writers.first
    else {
      return "unfinished"
    }
    guard let done = writer.done, let total = writer.total else { return "in the making" }
    return "in the making, \(Format.count(done)) of \(Format.count(total)) \(writer.unit)"
  }

  /// Why an evaluation that was begun is not shown.
  func state(of contender: Contender) -> String {
    hasManifest(contender.evaluation) ? "damaged" : "unfinished"
  }

  private func hasManifest(_ name: String) -> Bool {
    Files.exists(path("\(name)/\(Manifest.fileName)"))
  }

  /// The folders in a folder of the run, `""` for the run itself, in the order in which people count: 2 before 10.
  func folders(_ name: String) -> [String] {
    let names = (try? Files.list(path(name))) ?? []
    return names.filter { !$0.hasPrefix(".") && Files.isDirectory(Files.join(path(name), $0)) }
      .sorted { $0.compare($1, options: [.numeric]) == .orderedAscending }
  }

  /// The finished evaluations of a model: one without a seed's name, or one for each seed, by the
  /// name of its folder.
  func evaluations(of contender: Contender) -> [(seed: String, artifact: Artifact)] {
    let own = contender.evaluation
    return artifacts.compactMap { artifact in
      if artifact.name == own { return ("", artifact) }
      guard artifact.name.hasPrefix(own + "/") else { return nil }
      return (String(artifact.name.dropFirst(own.count + 1)), artifact)
    }
  }

  /// The evaluations on one benchmark each that a model's first one consists of.
  func asked(_ contender: Contender) -> [Manifest] {
    guard let artifact = evaluations(of: contender).first?.artifact else { return [] }
    if artifact.manifest.facts["benchmark"] != nil { return [artifact.manifest] }
    let parts = "\(artifact.name)/\(ArtifactWriter.partsName)"
    return folders(parts).compactMap { try? ArtifactReader.manifest(in: path("\(parts)/\($0)")) }
  }

  /// The manifest of an artifact, nil when the run has no finished one of that name.
  public func manifest(_ name: String) -> Manifest? {
    artifacts.first { $0.name == name }?.manifest
  }

  /// The path of something below the run.
  public func path(_ name: String) -> String { Files.join(path, name) }

  /// Fingerprints of the finished artifacts, by name.
  public var fingerprints: [String: String] {
    Dictionary(
      artifacts.map { ($0.name, $0.manifest.content) }, uniquingKeysWith: { first, _ in first })
  }

  /// The lines of an artifact's metrics.jsonl. What is no JSON object is left out and counted as a
  /// gap; a missing file gives none.
  mutating func metrics(of artifact: String) -> [JSON] {
    let file = path(artifact + "/metrics.jsonl")
    guard manifest(artifact) != nil, Files.exists(file) else { return [] }
    guard let bytes = try? Files.read(file) else {
      gaps.append("\(artifact): metrics.jsonl cannot be read")
      return []
    }
    var lines: [JSON] = []
    var broken = 0
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      if let value = try? JSON(parsing: Array(line), place: file), value.asObject != nil {
        lines.append(value)
      } else {
        broken += 1
      }
    }
    if broken > 0 { gaps.append("\(artifact): \(broken) lines of metrics.jsonl are no JSON") }
    return lines
  }

  /// What `vlsi-synthesize data` wrote about the run's data set, nil for other data.
  var synthesis: JSON? {
    let file = path("data/synthesis.json")
    guard let bytes = try? Files.read(file, limit: 1 << 24) else { return nil }
    return try? JSON(parsing: bytes, place: file)
  }
}
