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

  /// An evaluation on one benchmark alone, made before others joined it, becomes that one's part. It
  /// is moved as a whole, so whoever is stopped in between, or works beside, finds it whole.
  private func adoptSingle(_ output: String, into parts: String) throws {
    let aside = Files.trimmed(output) + ".adopting"
    func single(_ folder: String) -> String? {
      guard let manifest = try? ArtifactReader.manifest(in: folder), manifest.kind == .evaluation,
        let path = manifest.facts["benchmark"]?.asString
      else { return nil }
      return Files.join(parts, Benchmark.name(of: path))
    }
    func move(_ folder: String, to place: String) throws {
      do { try Files.move(folder, to: place) } catch  where Files.exists(place) {}
    }
    if let part = single(output), !Files.exists(part), !Files.exists(aside) {
      try move(output, to: aside)
    }
    guard let part = single(aside) else { return }
    try Files.makeDirectory(output)
    let others = Files.join(aside, ArtifactWriter.partsName)
    if Files.exists(others), !Files.exists(parts) { try move(others, to: parts) }
    try Files.makeDirectory(parts)
    try move(aside, to: part)
  }
}
