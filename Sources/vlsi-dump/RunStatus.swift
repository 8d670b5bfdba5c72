import Artifacts
import Failures
import StageKit

/// What of a run, or of an artifact, is there, who is at the rest, and when that will be done.
struct RunStatus {
  private let all: [ArtifactStatus]
  private let path: String

  /// - Throws: `Failure(.inputMissing)` where nothing has begun.
  init(_ path: String) throws {
    self.path = path
    all = RunFolder.artifacts(in: path, depth: 3)
    guard !all.isEmpty else {
      throw Failure(
        .inputMissing,
        Files.isDirectory(path) ? "no artifact there, finished or begun" : "no such folder",
        at: path)
    }
  }

  func show(_ format: OutputFormat) throws {
    if format == .json { return print(JSON.array(all.map(json)).text(pretty: true)) }
    for status in all {
      print("\(status.directory): \(sentence(status))")
      for writer in status.writers { print("  \(line(writer))") }
    }
  }

  private func sentence(_ status: ArtifactStatus) -> String {
    if let manifest = status.manifest {
      return manifest.shards.isEmpty ? "finished" : "finished, \(manifest.records) records"
    }
    var words: [String] = []
    if status.shards > 0 || status.expected != nil {
      let most = status.expected.map { " of \($0)" } ?? ""
      words.append("\(status.records)\(most) records, \(status.shards) shards")
    }
    if status.writers.isEmpty {
      words.append("nobody is at it: run its stage again to go on")
    } else if let left = left(status) {
      words.append("\(Progress.duration(left)) left")
    }
    return (["unfinished"] + words).joined(separator: ", ")
  }

  /// Seconds until those who are at it are done with all of it; nil where they cannot tell yet.
  private func left(_ status: ArtifactStatus) -> Double? {
    let writers = status.writers.filter { $0.rate > 0 }
    guard !writers.isEmpty else { return nil }
    let slowest = writers.map { Double(($0.total ?? 0) - ($0.done ?? 0)) / $0.rate }.max() ?? 0
    // Shares that nobody has begun fall to those who are there.
    let open = Double(status.expected.map { $0 - status.records } ?? 0)
    return max(slowest, open / writers.reduce(0) { $0 + $1.rate })
  }

  private func line(_ writer: ArtifactStatus.Writer) -> String {
    let share = writer.share == .all ? "" : ", share \(writer.share.name)"
    var text = "\(writer.program) on \(writer.host), process \(writer.process)\(share): "
    guard let done = writer.done, let total = writer.total else {
      return text + "began \(Progress.duration(writer.seconds)) ago"
    }
    text += "\(done) of \(total) \(writer.unit)"
    guard writer.rate > 0 else { return text }
    return text + ", \(Progress.rate(writer.rate))/s, "
      + "\(Progress.duration(Double(total - done) / writer.rate)) left"
  }

  private func json(_ status: ArtifactStatus) -> JSON {
    func number(_ value: Int?) -> JSON { value.map { .int($0) } ?? .null }
    return [
      "artifact": .string(status.directory), "finished": .bool(status.manifest != nil),
      "shards": .int(status.manifest?.shards.count ?? status.shards),
      "records": .int(status.manifest?.records ?? status.records),
      "expected": number(status.manifest?.records ?? status.expected),
      "seconds_left": left(status).map { .number($0) } ?? .null,
      "writers": .array(
        status.writers.map {
          [
            "program": .string($0.program), "host": .string($0.host), "process": .int($0.process),
            "share": .string($0.share.name), "done": number($0.done), "total": number($0.total),
            "unit": .string($0.unit), "rate": .number($0.rate), "seconds": .number($0.seconds),
          ]
        }),
    ]
  }
}
