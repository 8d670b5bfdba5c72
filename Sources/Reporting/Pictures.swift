import Artifacts
import Evaluation
import Foundation
import Imaging

/// The pictures of the benchmarks that a run was asked, as far as they still lie where they lay.
struct Pictures {
  /// By benchmark and index.
  private var questions: [[String]: (question: BenchmarkQuestion, of: Benchmark)] = [:]

  /// A benchmark is known only if its bytes are those that the model was asked.
  init(_ run: Run, _ contender: Contender) {
    for manifest in run.asked(contender) {
      guard let path = manifest.facts["benchmark"]?.asString,
        let digest = try? Fingerprint.file(path), digest == manifest.inputs["benchmark"],
        let benchmark = try? Benchmark(
          contentsOf: path, allowsOutside: manifest.allowsOutsideImages)
      else { continue }
      for question in benchmark.questions {
        questions[[benchmark.name, question.index]] = (question, benchmark)
      }
    }
  }

  /// The first picture of a question as a small PNG file, nil when it cannot be read.
  func image(of prediction: Prediction) -> [UInt8]? {
    guard let (question, benchmark) = questions[[prediction.benchmark, prediction.index]],
      let picture = question.pictures.first
    else { return nil }
    return try? benchmark.image(picture).small(160).pngData()
  }

  /// The right answer in words: the text of an option beside its letter, all answers of a list.
  func answer(of prediction: Prediction) -> String {
    guard let question = questions[[prediction.benchmark, prediction.index]]?.question else {
      return prediction.answer
    }
    let option = question.options.first { String($0.letter) == question.answer }
    return option.map { "\($0.letter): \($0.text)" } ?? question.answer
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

  /// How an evaluation's questions were put.
  var prompt: String { settings["evaluate"]?["prompt"]?.asString ?? "auto" }
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
