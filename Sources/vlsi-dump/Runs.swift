import Artifacts
import Failures
import StageKit

/// A run's folder, and what of it is there.
struct RunFolder {
  let path: String
  let artifacts: [ArtifactStatus]

  var name: String { Files.name(of: path) }

  /// A folder, whatever of artifacts there is in it.
  init(all path: String) {
    self.path = Files.trimmed(path)
    artifacts = RunFolder.artifacts(in: self.path, depth: 3)
  }

  /// Nil for a folder in which no artifact stands where a run has one.
  init?(_ path: String) {
    self.init(all: path)
    guard isRun else { return nil }
  }

  /// Whether an artifact stands where a run has one.
  var isRun: Bool {
    artifacts.contains { RunFolder.own.contains(place($0)) || place($0) == "report" }
  }

  /// The artifacts in a folder and in its folders, or the folder itself.
  static func artifacts(in path: String, depth: Int) -> [ArtifactStatus] {
    if let status = ArtifactStatus(directory: path) { return [status] }
    guard depth > 0 else { return [] }
    return folders(in: path).flatMap { artifacts(in: $0, depth: depth - 1) }
  }

  static func folders(in path: String) -> [String] {
    ((try? Files.list(path)) ?? []).filter { !$0.hasPrefix(".") }.map { Files.join(path, $0) }
      .filter(Files.isDirectory)
  }

  /// An artifact's place in the run.
  func place(_ artifact: ArtifactStatus) -> String {
    String(artifact.directory.dropFirst(path.count + 1))
  }

  /// The run's own artifacts, in the order of the graph: no baseline's, no ablation's.
  private static let own = [
    "samples", "features/teacher", "features/student", "verbalizers/teacher",
    "verbalizers/student", "targets", "adapter", "model", "evaluation/model",
  ]

  func manifest(_ place: String) -> Manifest? {
    artifacts.first { self.place($0) == place }?.manifest
  }

  /// What its finished artifacts were made with: settings by their names in a preset, the seed, and
  /// what was brought.
  var settings: [(name: String, value: JSON)] {
    var all: [(name: String, value: JSON)] = []
    var known: Set<String> = []
    for place in RunFolder.own {
      guard let manifest = manifest(place) else { continue }
      var found = manifest.settings.leaves()
      if let seed = manifest.seed { found.append(("seed", .string("\(seed)"))) }
      for (input, digest) in manifest.inputs where ["dataset", "benchmark"].contains(input) {
        found.append((input, .string(digest)))
      }
      for leaf in found where known.insert(leaf.name).inserted { all.append(leaf) }
    }
    return all
  }

  /// The accuracy of a model's evaluation, in percent.
  func score(_ model: String) -> Double? {
    manifest("evaluation/\(model)")?.facts["accuracy"]?.asDouble.map { 100 * $0 }
  }

  var isDerived: Bool { Files.exists(Files.join(path, "preset.yaml")) }

  // MARK: What is in it

  func show(_ format: OutputFormat) {
    if format == .json {
      return Output.json(
        .array(
          artifacts.map {
            [
              "artifact": .string(place($0)),
              "kind": $0.manifest.map { .string($0.kind.rawValue) } ?? .null,
              "finished": .bool($0.manifest != nil), "bytes": .int($0.manifest?.bytes ?? 0),
              "records": .int($0.manifest?.records ?? $0.records),
              "wall_seconds": $0.manifest.map { .number($0.wallSeconds) } ?? .null,
              "content": $0.manifest.map { .string($0.content) } ?? .null,
            ]
          }))
    }
    Output.line("run  \(path)")
    Output.line()
    var table = Table(["artifact", "kind", ">records", ">size", ">time", "content"])
    for artifact in artifacts {
      guard let manifest = artifact.manifest else {
        table.add([place(artifact), "unfinished"])
        continue
      }
      table.add([
        place(artifact), manifest.kind.rawValue,
        manifest.shards.isEmpty ? "" : Human.count(manifest.records), Human.bytes(manifest.bytes),
        Progress.duration(manifest.wallSeconds),
        manifest.content
          + (manifest.facts["linked_from"]?.asString.map { ", linked from \($0)" } ?? ""),
      ])
    }
    table.show()
  }
}

/// The runs in a folder, with what sets each apart and what it scores.
struct RunList {
  private let runs: [RunFolder]
  private static let shown = 4
  private static let models = ["teacher", "student", "model", "sft", "last-layer"]

  /// Nil where there is no run.
  init?(_ path: String) {
    let found = RunFolder.folders(in: path).compactMap { RunFolder($0) }
      .sorted { naturallyPrecedes($0.name, $1.name) }
    guard !found.isEmpty else { return nil }
    // What was derived comes behind what it may be derived from.
    runs = found.filter { !$0.isDerived } + found.filter(\.isDerived)
  }

  /// The run before this one that it is nearest to, and what is different.
  private func apart(_ number: Int) -> (from: RunFolder, by: [SettingDifference])? {
    let own = runs[number].settings
    return runs[..<number].map { ($0, SettingDifference.all($0.settings, own, common: true)) }
      .min { $0.1.count < $1.1.count }
  }

  func show(_ format: OutputFormat) {
    if format == .json {
      return Output.json(.array(runs.indices.map(json)))
    }
    let scored = RunList.models.filter { model in runs.contains { $0.score(model) != nil } }
    var table = Table(["run", ">finished"] + scored.map { ">\($0)" } + ["settings"])
    for (number, run) in runs.enumerated() {
      let finished = run.artifacts.count { $0.manifest != nil }
      table.add(
        [run.name, "\(finished) of \(run.artifacts.count)"]
          + scored.map { run.score($0).map { "\(($0 * 10).rounded() / 10)" } ?? "" }
          + [words(number)])
    }
    table.show()
  }

  private func words(_ number: Int) -> String {
    guard let (from, differences) = apart(number) else { return "" }
    if differences.isEmpty { return "as \(from.name)" }
    let first = differences.prefix(RunList.shown).map {
      "\($0.name) \(Human.line($0.right?.plain ?? "", limit: 40))"
    }
    let more = differences.count - first.count
    return "as \(from.name) but " + first.joined(separator: ", ")
      + (more > 0 ? " and \(more) more: --diff" : "")
  }

  private func json(_ number: Int) -> JSON {
    let run = runs[number]
    let (from, differences) = apart(number).map { ($0.from.name, $0.by) } ?? (nil, [])
    return [
      "run": .string(run.path),
      "finished": .int(run.artifacts.count { $0.manifest != nil }),
      "begun": .int(run.artifacts.count),
      "scores": .object(
        Dictionary(
          uniqueKeysWithValues: RunList.models.compactMap { model in
            run.score(model).map { (model, .number($0)) }
          })),
      "as": from.map { .string($0) } ?? .null,
      "but": .object(
        Dictionary(uniqueKeysWithValues: differences.map { ($0.name, $0.right ?? .null) })),
    ]
  }
}
