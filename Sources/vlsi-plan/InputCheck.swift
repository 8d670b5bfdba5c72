import Artifacts
import Evaluation
import Failures
import StageKit
import Training

/// Whether what a user names for a run can be it, before anything works on it or is remembered:
/// the inputs that are there open, and fit together.
struct InputCheck {
  let preset: Preset
  let teacher: String?
  let student: String?
  let samples: String?
  let benchmark: String?
  let images: String?

  /// - Throws: 65 or 66 for the first input that is missing, broken or does not fit, 78 for target
  ///   layers that a backbone does not have.
  func run() throws {
    let teacher = try teacher.map { try Backbone($0) }
    let student = try student.map { try Backbone($0) }
    if let teacher, let student {
      try RunInputs.requireFit(
        student: student, teacher: teacher, ownSamples: preset.run.teacherSamples == .own)
    }
    for (backbone, layers, role) in [
      (teacher, preset.extract.teacherLayers, "teacher"),
      (student, preset.extract.studentLayers, "student"),
    ] {
      guard let backbone else { continue }
      _ = try layers.layers(of: backbone.config.text.layers, backbone: role)
    }
    if let samples { try check(samples, student) }
    for path in benchmark.map(Benchmark.paths) ?? [] { try check(benchmark: path) }
  }

  /// A sample of the data set: its entries become samples, of the student's tokens.
  private func check(_ samples: String, _ student: Backbone?) throws {
    let reader = try ArtifactReader(directory: samples, kind: .samples)
    try student?.requireSamples(reader)
    let facts = reader.manifest.facts
    let entries = facts["entries"]?.asInt ?? 0
    let share = entries > 0 ? Double(facts["rejects"]?.asInt ?? 0) / Double(entries) : 0
    try Readiness.requireFewRejects(share, of: samples, preset)
  }

  /// The benchmark is one, and its first picture is where it says.
  private func check(benchmark: String) throws {
    let asked = try Benchmark(
      contentsOf: benchmark, images: images, allowsOutside: preset.evaluate.allowOutsideImages)
    for question in asked.questions.prefix(1) {
      for case .file(let name) in question.pictures {
        let path = try asked.path(of: name)
        guard Files.isFile(path) else {
          throw Failure(
            .inputMissing, "the benchmark's first picture is not there", at: path,
            advice: "IMAGES or --images is the folder that its paths start from.")
        }
      }
    }
  }
}
