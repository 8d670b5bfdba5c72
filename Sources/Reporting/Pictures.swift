import Artifacts
import Evaluation
import Foundation
import Imaging

/// The pictures of the benchmark that a run was asked, as far as it still lies where it lay.
struct Pictures {
  private var questions: [String: BenchmarkQuestion] = [:]
  private var benchmark: Benchmark?

  /// The benchmark is known only if its bytes are those that the model was asked.
  init(_ run: Run, _ contender: Contender) {
    guard let manifest = run.evaluations(of: contender).first?.artifact.manifest,
      let path = manifest.facts["benchmark"]?.asString,
      let digest = try? Fingerprint.file(path), digest == manifest.inputs["benchmark"]
    else { return }
    benchmark = try? Benchmark(contentsOf: path, allowsOutside: manifest.allowsOutsideImages)
    questions = Dictionary(
      (benchmark?.questions ?? []).map { ($0.index, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The first picture of a question as a small PNG file, nil when it cannot be read.
  func image(of index: String) -> [UInt8]? {
    guard let benchmark, let picture = questions[index]?.pictures.first else { return nil }
    return try? LayerAnswers.image(picture, benchmark).small(160).pngData()
  }

  /// A picture as a page holds it.
  static func source(_ png: [UInt8]) -> String {
    "data:image/png;base64," + Data(png).base64EncodedString()
  }
}

extension Manifest {
  /// Whether an evaluation's pictures may lie outside their folder.
  var allowsOutsideImages: Bool {
    settings["evaluate"]?["allow_outside_images"]?.asBool ?? false
  }
}

extension RGBImage {
  /// The image with no side longer than `most` pixels.
  func small(_ most: Int = 256) throws -> RGBImage {
    let longest = max(width, height)
    guard longest > most else { return self }
    return try resized(
      width: max(1, width * most / longest), height: max(1, height * most / longest))
  }
}
