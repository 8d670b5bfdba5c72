import Artifacts
import Failures

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

  /// The artifacts that a run can have, in the order of the graph. The report itself is none.
  static let known = [
    "samples", "features/teacher", "features/student", "verbalizers/teacher",
    "verbalizers/student", "targets", "adapter", "model", "compare/sft/model",
    "compare/last-layer/adapter", "compare/last-layer/model", "evaluation/teacher",
    "evaluation/student", "evaluation/sft", "evaluation/last-layer", "evaluation/model",
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
    for name in Run.known where Files.isDirectory(Files.join(path, name)) {
      guard Files.exists(Files.join(path, "\(name)/\(Manifest.fileName)")) else {
        gaps.append("\(name): unfinished")
        continue
      }
      do {
        artifacts.append(
          Artifact(
            name: name, manifest: try ArtifactReader.manifest(in: Files.join(path, name))))
      } catch let failure as Failure {
        gaps.append("\(name): \(failure.what)")
      }
    }
    guard !artifacts.isEmpty || !gaps.isEmpty else {
      throw Failure(
        .inputMissing, "not a run: no artifact in it", at: path,
        expected: "samples, verbalizers, adapter, model or evaluation folders")
    }
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
