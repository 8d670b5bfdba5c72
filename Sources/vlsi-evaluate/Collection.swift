import Artifacts
import Evaluation
import Failures
import StageKit

/// Several benchmarks asked of one checkpoint: an artifact of their predictions together, and in it
/// a folder for each, an evaluation of its own. One that is finished stays when others join it.
struct Collection {
  let examination: Examination
  let paths: [String]

  func run(output: String) throws {
    var folders: [String: String] = [:]
    for path in paths {
      let name = Benchmark.name(of: path)
      if let other = folders.updateValue(path, forKey: name) {
        throw Failure(
          .usage, "two benchmarks have one name", at: path, found: other,
          advice: "Name one of the files otherwise.")
      }
    }
    let parts = Files.join(output, ArtifactWriter.partsName)
    try adoptSingle(output, into: parts)
    var predictions: [Prediction] = []
    var isWhole = true
    var inputs: [String: String] = [:]
    for path in paths {
      let name = Benchmark.name(of: path)
      let folder = Files.join(parts, name)
      guard let part = try examination.run(path, output: folder) else {
        isWhole = false
        continue
      }
      predictions += part
      inputs["benchmark.\(name)"] = try Fingerprint.file(Files.join(folder, "manifest.json"))
    }
    guard isWhole else { return }
    let stage = examination.stage
    guard
      let writer = try stage.artifact(
        at: output, kind: .evaluation,
        settings: ["evaluate": stage.preset.evaluate.json], inputs: inputs)
    else { return }
    let scores = Scores(predictions)
    try writer.writeFile("predictions.jsonl", Predictions.encode(predictions))
    try writer.writeFile("scores.json", scores.encode())
    try stage.finish(
      writer,
      facts: [
        "model": .string(examination.backbone.directory),
        "benchmarks": .array(paths.map { .string($0) }),
        "accuracy": .number(scores.overall.accuracy), "questions": .int(predictions.count),
      ])
  }

  /// An evaluation on one benchmark alone, made before others joined it, becomes that one's part.
  private func adoptSingle(_ output: String, into parts: String) throws {
    guard let manifest = try? ArtifactReader.manifest(in: output), manifest.kind == .evaluation,
      let path = manifest.facts["benchmark"]?.asString
    else { return }
    let folder = Files.join(parts, Benchmark.name(of: path))
    guard !Files.exists(folder) else { return }
    try Files.makeDirectory(parts)
    let names = try Files.list(output).filter {
      !$0.hasPrefix(".") && $0 != ArtifactWriter.partsName
    }
    let moving = folder + ".partial"
    try Files.makeDirectory(moving)
    // The manifest first: without it nothing is taken for finished.
    for name in names.sorted(by: { one, _ in one == "manifest.json" }) {
      try Files.move(Files.join(output, name), to: Files.join(moving, name))
    }
    try Files.move(moving, to: folder)
  }
}
