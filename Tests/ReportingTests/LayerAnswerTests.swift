import Artifacts
import Checkpoints
import Models
import Distillation
import Evaluation
import Failures
import Foundation
import Kernels
import Testing

@testable import Reporting

@Suite("Layers answer on their own")
struct LayerAnswerTests {
  /// A run whose student, before and after, is the embedded one, with verbalizers that leave the
  /// layers' states as they are.
  private func run() throws -> (ScratchRun, model: String) {
    let scratch = try ScratchRun()
    let model = SmallRun.repository + "/data/student"
    try scratch.made.makeData()
    for contender in [Contender.student, .model] {
      try scratch.made.evaluate(contender, every: 4, model: model)
    }
    let checkpoint = try Checkpoint(directory: model)
    let text = checkpoint.config.text
    let norm = try checkpoint.tensor("model.norm.weight", shape: [text.hiddenSize]).raw().floats()
    try scratch.made.artifact("verbalizers/student", .verbalizers) { writer in
      try VerbalizerSet(
        layers: [2, text.layers], finalNorm: norm,
        form: VerbalizerForm(backbone: text.block), seed: 0
      ).write(to: writer.path(VerbalizerSet.fileName))
      try writer.adoptFile(VerbalizerSet.fileName)
    }
    return (scratch, model)
  }

  @Test("An untrained verbalizer of the last layer answers as the model does")
  func own() throws {
    let (scratch, _) = try run()
    let answers = try LayerAnswers(
      Run(path: scratch.path), count: 3, maxNewTokens: 8, between: {})
    #expect(answers.gaps.isEmpty, "\(answers.gaps)")
    #expect(answers.rows.map(\.question.category) == ["colour", "existence", "digit"])
    for row in answers.rows {
      #expect(row.image != nil)
      #expect(row.given.map(\.backbone) == ["student", "model"])
      for given in row.given {
        #expect(given.answers.map(\.layer) == ["2", "4", "last"])
        #expect(!given.answers[2].text.isEmpty)
        #expect(given.answers[1].text == given.answers[2].text)
      }
      #expect(row.given[0].answers.map(\.text) == row.given[1].answers.map(\.text))
    }
    let page = try Report(path: scratch.path, title: "", questions: 1, maxNewTokens: 4).page
    #expect(page.contains("In their own words"))
    #expect(page.contains("student after VLsI"))
    #expect(!page.contains("&lt;h") && !page.contains("HTML(text"))
    #expect(try Report(path: scratch.path, title: "").layerAnswers.rows.isEmpty)
  }

  @Test("A changed benchmark is a gap; an interruption stops")
  func gaps() throws {
    let (scratch, _) = try run()
    let stop = Failure(.interrupted, "interrupted")
    let thrown = #expect(throws: Failure.self) {
      try LayerAnswers(Run(path: scratch.path), count: 1, maxNewTokens: 8) { throw stop }
    }
    #expect(thrown?.code == .interrupted)
    let file = URL(fileURLWithPath: scratch.path + "/data/test.tsv")
    try Data("index\tquestion\tanswer\n1\ta\tb\n".utf8).write(to: file)
    let answers = try LayerAnswers(
      Run(path: scratch.path), count: 3, maxNewTokens: 8, between: {})
    #expect(answers.rows.isEmpty)
    #expect(answers.gaps.first?.contains("another one than was asked") == true)
  }
}
