import Models
import Artifacts
import Checkpoints
import Evaluation
import Failures

/// The artifacts behind a model, found by the fingerprints that manifests record of their inputs:
/// what lies in the neighbourhood and is another one is not taken for it.
struct Lineage {
  /// The model's folder.
  let directory: String
  let model: Manifest
  let samples: Manifest?
  let adapter: Manifest?
  let targets: Manifest?
  /// By role, teacher and student.
  let features: [String: Manifest]
  let verbalizers: [String: Manifest]
  let benchmarks: [Benchmark]

  /// What the model, its base and its teacher scored on one benchmark.
  struct Benchmark {
    /// The file's name.
    let name: String
    let questions: Int
    var model: Scores?
    var base: Scores?
    var teacher: Scores?
  }

  /// - Parameter near: folders beside which, up to three levels above, the artifacts of a run may
  ///   lie; the model's own is one of them.
  /// - Throws: `Failure` 65 or 66 when `directory` holds no finished model.
  init(model directory: String, near: [String]) throws {
    self.directory = directory
    let model = try ArtifactReader.manifest(in: directory)
    guard model.kind == .model else {
      throw Failure(
        .badData, "an artifact of another kind", at: directory, expected: "model",
        found: model.kind.rawValue)
    }
    let found = Lineage.artifacts(near: near + [directory])
    func input(_ name: String, of manifest: Manifest?) -> Manifest? {
      guard let wanted = manifest?.inputs[name] else { return nil }
      return found.first { $0.manifest.content == wanted }?.manifest
    }
    self.model = model
    samples = input("samples", of: model)
    adapter = input("adapter", of: model)
    targets = input("targets", of: adapter)
    verbalizers = [
      "teacher": input("verbalizers", of: targets), "student": input("verbalizers", of: adapter),
    ].compactMapValues { $0 }
    features = [
      "teacher": input("features", of: targets),
      "student": input("features", of: verbalizers["student"]),
    ].compactMapValues { $0 }
    let own = try Checkpoint(directory: directory).fingerprint
    benchmarks = Lineage.benchmarks(
      found, model: own, base: model.inputs["model.weights"],
      teacher: targets?.inputs["teacher.weights"])
  }

  /// The artifacts in the order of the graph, under their usual names.
  var steps: [(name: String, manifest: Manifest)] {
    var list: [(name: String, manifest: Manifest?)] = [("samples", samples)]
    for (group, manifests) in [("features", features), ("verbalizers", verbalizers)] {
      for role in ["teacher", "student"] { list.append(("\(group)/\(role)", manifests[role])) }
    }
    list += [("targets", targets), ("adapter", adapter), ("model", model)]
    return list.compactMap { step in step.manifest.map { (step.name, $0) } }
  }

  // MARK: Finding

  private typealias Artifact = (directory: String, manifest: Manifest)

  /// The finished artifacts at the places where runs have them.
  private static func artifacts(near folders: [String]) -> [Artifact] {
    var places: [String] = []
    for folder in folders {
      places.append(folder)
      var root = folder
      for _ in 0..<3 {
        root = Files.parent(of: root)
        places += ["samples", "targets", "adapter"].map { Files.join(root, $0) }
        for group in ["features", "verbalizers", "evaluation", "compare"] {
          let group = Files.join(root, group)
          for name in (try? Files.list(group)) ?? [] {
            places.append(Files.join(group, name))
            let parts = Files.join(group, "\(name)/\(ArtifactWriter.partsName)")
            places += ((try? Files.list(parts)) ?? []).map { Files.join(parts, $0) }
            places.append(Files.join(group, "\(name)/adapter"))
          }
        }
      }
    }
    var seen: Set<String> = []
    return places.filter { seen.insert($0).inserted }.compactMap { place in
      guard let manifest = try? ArtifactReader.manifest(in: place) else { return nil }
      // Scores are quoted from it, which must be those that were measured.
      if manifest.kind == .evaluation {
        guard (try? ArtifactReader.checkFiles(manifest, in: place)) != nil else { return nil }
      }
      return (place, manifest)
    }
  }

  private static func benchmarks(
    _ artifacts: [Artifact], model: String, base: String?, teacher: String?
  ) -> [Benchmark] {
    var order: [String] = []
    var found: [String: Benchmark] = [:]
    for (directory, manifest) in artifacts where manifest.kind == .evaluation {
      guard let file = manifest.inputs["benchmark"], let weights = manifest.inputs["model.weights"],
        [model, base, teacher].contains(weights),
        let scores = try? Scores(contentsOf: Files.join(directory, "scores.json"))
      else { continue }
      // A part of the questions is another benchmark.
      let key = "\(file) \(scores.overall.questions)"
      if found[key] == nil { order.append(key) }
      var benchmark =
        found[key]
        ?? Benchmark(
          name: Files.name(of: manifest.facts["benchmark"]?.asString ?? "a benchmark"),
          questions: scores.overall.questions)
      if weights == model {
        benchmark.model = scores
      } else if weights == base {
        benchmark.base = scores
      } else {
        benchmark.teacher = scores
      }
      found[key] = benchmark
    }
    return order.compactMap { found[$0] }.filter { $0.model != nil }
  }
}
