import Artifacts
import Failures
import Foundation
import StageKit

/// What of a run, or of an artifact, is there, who is at the rest, and when that will be done.
struct RunStatus {
  private let all: [ArtifactStatus]
  /// The run whose folder it is; nil for a single artifact.
  private let run: RunFolder?
  private let forecast: RunForecast?

  /// - Throws: `Failure(.inputMissing)` where nothing has begun and nothing is planned.
  init(_ path: String) throws {
    let run = RunFolder(all: path)
    all = run.artifacts
    forecast = RunForecast(run)
    self.run = forecast != nil || run.isRun ? run : nil
    guard !all.isEmpty || forecast != nil else {
      throw Failure(
        .inputMissing,
        Files.isDirectory(path) ? "no artifact there, finished or begun" : "no such folder",
        at: path)
    }
  }

  func show(_ format: OutputFormat) throws {
    if format == .json {
      return print(JSON.array(all.map(json) + missing.map(json)).text(pretty: true))
    }
    for status in all {
      print("\(status.directory): \(sentence(status))")
      for writer in status.writers { print("  \(line(writer))") }
    }
    guard let run, forecast != nil || all.contains(where: { $0.manifest == nil }) else { return }
    for place in missing {
      let time = forecast?.seconds(place).map { ", takes about \(Progress.duration($0))" } ?? ""
      print("\(Files.join(run.path, place)): not begun\(time)")
    }
    print(summary(of: run))
  }

  /// The places of the planned artifacts that nobody has begun with; features may have been removed
  /// when they had served.
  private var missing: [String] {
    guard let run, let forecast else { return [] }
    let served = run.manifest("targets") == nil ? [] : ["features/teacher", "features/student"]
    return forecast.stages.map(\.place).filter { place in
      !served.contains(place) && !all.contains { run.place($0) == place }
    }
  }

  /// When the run will be done.
  private func summary(of run: RunFolder) -> String {
    let open = all.filter { $0.manifest == nil }
    guard !open.isEmpty || !missing.isEmpty else { return "all there" }
    guard let forecast else {
      return "when the rest will be done: make plan-\(run.name), once"
    }
    // Those at work are so side by side; what nobody is at comes after them.
    var (now, later) = (0.0, 0.0)
    for status in open {
      let whole = forecast.seconds(run.place(status))
      if status.writers.isEmpty {
        let done = status.expected.map { Double(status.records) / Double(max(1, $0)) } ?? 0
        later += (whole ?? 0) * (1 - done)
      } else {
        let worked = status.writers.map(\.seconds).max() ?? 0
        now = max(now, left(status) ?? max(0, (whole ?? 0) - worked))
      }
    }
    later += missing.compactMap(forecast.seconds).reduce(0, +)
    let end = Date(timeIntervalSinceNow: now + later)
    let isIdle = open.allSatisfy(\.writers.isEmpty)
    return "about \(Progress.duration(now + later)) left, "
      + (isIdle ? "nobody is at it; begun now it is done on " : "done on ")
      + end.formatted(
        .dateTime.weekday(.abbreviated).day().month(.abbreviated).hour().minute()
          .locale(Locale(identifier: "en_GB")))
      + "; evaluation and baselines not counted"
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

  private func json(_ missing: String) -> JSON {
    [
      "artifact": .string(run.map { Files.join($0.path, missing) } ?? missing),
      "finished": .bool(false), "shards": .int(0), "records": .int(0), "expected": .null,
      "seconds_left": forecast?.seconds(missing).map { .number($0) } ?? .null,
      "writers": .array([]),
    ]
  }
}
