import Failures
import Foundation
import TestSupport
import Testing

@testable import Evaluation

/// Tests/Goldens/scoring: answers of all awkward kinds, and what VLMEvalKit makes of them
/// (make_scoring_goldens.py).
@Suite("Answers are worth what VLMEvalKit says")
struct KitScoringTests {
  private struct Golden: Decodable {
    struct Row: Decodable {
      var index: String
      var score: Double
      var extracted: String?
    }
    struct Figure: Decodable {
      var name: String
      var column: String?
      var group: String?
      var split: String?
      var value: Double
    }
    var benchmark: String
    var rows: [Row]
    var metrics: [Figure]
  }

  static let folder: String = {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent()
    return tests.appendingPathComponent("Goldens/scoring").path
  }()

  static let names: [String] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasSuffix(".tsv") }.map { String($0.dropLast(4)) }.sorted()
  }()

  @Test("There are goldens of every benchmark that has figures of its own")
  func areThere() {
    let kinds = Set(KitScoringTests.names.compactMap { BenchmarkKind.named($0)?.name })
    for name in [
      "MMBench", "MMBench-CN", "AI2D", "Q-Bench", "MMStar", "SEED-Bench", "BLINK", "CV-Bench",
      "MMMU", "POPE", "MME", "HallusionBench", "ChartQA", "DocVQA", "InfoVQA", "TextVQA",
      "MathVista", "MM-Vet", "LLaVABench",
    ] {
      #expect(kinds.contains(name), "\(name)")
    }
  }

  @Test("Rows and figures", arguments: names)
  func equal(name: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(Self.folder)/\(name).json"))
    let golden = try JSONDecoder().decode(Golden.self, from: data)
    let read = try Benchmark.predictions(contentsOf: "\(Self.folder)/\(name).tsv")
    #expect(read.rejects.map(\.reason) == [])
    let ours = Dictionary(
      read.predictions.map { ($0.index, $0) }, uniquingKeysWith: { first, _ in first })
    for row in golden.rows {
      let prediction = try #require(ours[row.index], "row \(row.index)")
      #expect(
        abs((prediction.score ?? -1) - row.score) < 1e-9,
        "row \(row.index): \(prediction.prediction) for \(prediction.answer)")
      if let extracted = row.extracted { #expect(prediction.extracted == extracted) }
    }
    let metrics = read.kind.summary.metrics(read.predictions)
    for figure in golden.metrics {
      let found = metrics.first {
        $0.name == figure.name && $0.column == figure.column && $0.group == figure.group
          && $0.split == figure.split
      }
      #expect(
        abs((found?.value ?? .nan) - figure.value) < 1e-6,
        "\(figure.name) \(figure.column ?? "") \(figure.group ?? "") \(figure.split ?? "")")
    }
  }

  private struct Prompt: Decodable {
    struct Part: Decodable, Equatable {
      var image: Int?
      var text: String?
    }
    var benchmark: String
    var row: [String: String]
    var images: Int
    var qwen2VL: [Part]
    var benchmarkWords: [Part]

    enum CodingKeys: String, CodingKey {
      case benchmark, row, images
      case qwen2VL = "qwen2_vl"
      case benchmarkWords = "benchmark_words"
    }
  }

  @Test("Questions are put as VLMEvalKit puts them to Qwen2-VL, and to others")
  func prompts() throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(Self.folder)/prompts.json"))
    let goldens = try JSONDecoder().decode([Prompt].self, from: data)
    #expect(goldens.count > 100)
    for golden in goldens {
      let letters = golden.row.keys.filter { $0.utf8.count == 1 }.sorted()
      let question = BenchmarkQuestion(
        index: "1", pictures: (0..<golden.images).map { .file("\($0).png") },
        question: golden.row["question"] ?? "", hint: golden.row["hint"],
        options: letters.map { (Character($0), golden.row[$0] ?? "") }, answer: "",
        columns: golden.row)
      let kind = try #require(BenchmarkKind.named(golden.benchmark))
      for (style, wanted) in [
        (PromptStyle.adapted, golden.qwen2VL), (.benchmark, golden.benchmarkWords),
      ] {
        let parts = kind.prompt(question, style).map { part in
          switch part {
          case .picture(let number): Prompt.Part(image: number)
          case .text(let text): Prompt.Part(text: text)
          }
        }
        // Empty texts say nothing.
        #expect(parts == wanted.filter { $0.text != "" }, "\(golden.benchmark) \(style)")
      }
    }
  }
}
