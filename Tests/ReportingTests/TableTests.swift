import Artifacts
import Failures
import Foundation
import Testing

@testable import Reporting

/// A run in a folder of its own that goes when the test ends.
final class ScratchRun {
  let folder = NSTemporaryDirectory() + "report-" + UUID().uuidString
  let made: SmallRun
  var path: String { made.path }

  init() throws {
    try Files.makeDirectory(folder + "/run")
    made = try SmallRun(at: folder + "/run")
  }

  deinit { try? Files.removeTree(folder) }

  func table() throws -> ScoreTable { ScoreTable(try Run(path: path), title: "The run") }
}

@Suite("The closing table says what was measured, and nothing else")
struct TableTests {
  @Test("Accuracies, steps and paired differences are those of the predictions")
  func whole() throws {
    let scratch = try ScratchRun()
    try scratch.made.makeAll()
    let table = try scratch.table()
    #expect(table.questions == 400)
    #expect(table.tasks == SmallRun.tasks)
    #expect(table[.model]?.accuracy?.mean == 0.8)
    #expect(table[.model]?.steps?.align == 800)
    #expect(table[.sft]?.steps?.finetune == 1200)
    #expect(table.wrong?.answers == 1775)
    #expect(table.guessing?.tasks["digit"] == 0.1)
    // Wrong every 3rd against every 5th: alone right where the other's divisor alone divides.
    let difference = try #require(table[.sft]?.difference)
    #expect(difference.values == [Double((134 - 27) - (80 - 27)) / 400])
    #expect(table.warnings.isEmpty)
    #expect(table.verdict(against: .sft) == "VLsI is ahead of SFT alone: +13.5 points ± 3.1.")
  }

  @Test("The table fits a terminal of 100 columns and names every row, run or not")
  func text() throws {
    let scratch = try ScratchRun()
    try scratch.made.makeAll()
    let text = try scratch.table().text
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 100 })
    for contender in Contender.known { #expect(text.contains(contender.label)) }
    #expect(text.contains("30.0% of the training answers are wrong (1,775 of 5,917)"))
    #expect(text.contains("400 held-out questions"))

    let partly = try ScratchRun()
    try partly.made.evaluate(.model, every: 5)
    let rest = try partly.table().text
    #expect(rest.contains("not run"))
    #expect(rest.contains("nothing is compared"))
  }

  @Test("No advantage is shown as none, and falling behind as that")
  func noAdvantage() throws {
    let scratch = try ScratchRun()
    try scratch.made.evaluate(.model, every: 5)
    try scratch.made.evaluate(.sft, every: 5)
    try scratch.made.evaluate(.lastLayer, every: 50)
    let table = try scratch.table()
    #expect(
      table.verdict(against: .sft) == "No advantage of VLsI over SFT alone: 0.0 points ± 0.0.")
    #expect(table.verdict(against: .lastLayer)?.hasPrefix("VLsI is behind last-layer") == true)
  }

  @Test("Models that were asked other questions are not compared; unequal budgets are named")
  func incomparable() throws {
    let scratch = try ScratchRun()
    try scratch.made.makeTraining()
    try scratch.made.evaluate(.model, every: 5)
    try scratch.made.evaluate(.sft, every: 3, count: 300)
    try scratch.made.artifact("compare/sft/model", .model, settings: ["finetune": ["steps": 700]])
    let table = try scratch.table()
    #expect(table[.sft]?.difference == nil)
    #expect(table[.sft]?.note == "other questions")
    #expect(table.warnings.count == 1)
    #expect(table.text.contains("SFT alone had 700 student steps, VLsI 1200"))
  }

  @Test("Several seeds give a mean, its spread, and differences paired by seed")
  func seeds() throws {
    let scratch = try ScratchRun()
    for (seed, every) in [("seed-2", 4), ("seed-10", 5), ("seed-1", 8)] {
      try scratch.made.evaluate(.model, seed: seed, every: every)
      try scratch.made.evaluate(.sft, seed: seed, every: 2)
    }
    try scratch.made.evaluate(.lastLayer, seed: "seed-7", every: 4)
    try scratch.made.evaluate(.student, every: 4)
    let table = try scratch.table()
    let row = try #require(table[.model])
    #expect(row.evaluations.map(\.seed) == ["seed-1", "seed-2", "seed-10"])
    let accuracy = try #require(row.accuracy)
    #expect(accuracy.values == [0.875, 0.75, 0.8])
    #expect(abs(accuracy.mean - 0.80833) < 1e-4)
    // Sample deviation of the three, by hand.
    #expect(abs((accuracy.spread ?? 0) - 0.062915) < 1e-5)
    #expect(abs(accuracy.error - 0.062915 / 3.0.squareRoot()) < 1e-5)
    #expect(abs(accuracy.reach - 4.303 * accuracy.error) < 1e-9)
    #expect(table[.sft]?.difference?.values == [0.375, 0.25, 0.3])
    // The student as it is has one evaluation for all seeds.
    #expect(table[.student]?.difference?.values == [0.125, 0, 0.05])
    #expect(
      table.verdict(against: .student)
        == "No advantage of VLsI over student as it is: +5.8 points ± 3.6 over 3 seeds.")
    #expect(
      table.verdict(against: .sft)
        == "VLsI is ahead of SFT alone: +30.8 points ± 3.6 over 3 seeds.")
    #expect(table[.lastLayer]?.difference == nil)
    #expect(table[.lastLayer]?.note == "other seeds")
    #expect(table.text.contains("over several seeds") || table.text.contains("Over several seeds"))
    #expect(table.text.split(separator: "\n").allSatisfy { $0.count <= 100 })
    let page = try Report(path: scratch.path, title: "").page
    #expect(page.components(separatedBy: "<circle class=\"seed tone-model\"").count == 4)
    #expect(page.contains("evaluation/model, 3 seeds"))
  }

  @Test("Evaluations of other names are rows of their own; one unfinished seed is a gap")
  func others() throws {
    let scratch = try ScratchRun()
    try scratch.made.evaluate(.model, every: 5)
    try scratch.made.evaluate(Contender(name: "matching <random>"), seed: "1", every: 3)
    try scratch.made.evaluate(Contender(name: "matching <random>"), seed: "2", every: 4)
    try Files.makeDirectory(scratch.path + "/evaluation/sft/1")
    let report = try Report(path: scratch.path, title: "")
    #expect(report.scores[Contender(name: "matching <random>")]?.accuracy?.values.count == 2)
    #expect(report.scores[.sft]?.note == "evaluation unfinished")
    #expect(report.gaps.contains("evaluation/sft/1: unfinished"))
    #expect(report.page.contains("Other evaluations"))
    #expect(report.page.contains("matching &lt;random&gt;"))
    #expect(!report.page.contains("<random>"))
  }

  @Test("What is below guessing is marked, each task has an example, nothing is read twice")
  func guessing() throws {
    let scratch = try ScratchRun()
    try scratch.made.makeData()
    try scratch.made.evaluate(.model, every: 5)
    try scratch.made.evaluate(.student, every: 1)
    let page = try Report(path: scratch.path, title: "").page
    // The student is wrong throughout: over all and in each task.
    #expect(
      page.components(separatedBy: "title=\"below guessing\"").count == 2 + SmallRun.tasks.count)
    #expect(page.contains("▾ is below guessing from the question alone."))
    #expect(page.contains("What each task asks, by an example"))
    #expect(page.contains("VLsI is ahead by") && !page.contains("less it"))
    try scratch.made.text("data/synthesis.json", "{}")
    #expect(try !Report(path: scratch.path, title: "").page.contains("▾"))
  }

  @Test("A folder that is no run is refused; an unfinished artifact is a gap")
  func noRun() throws {
    let scratch = try ScratchRun()
    let missing = #expect(throws: Failure.self) { try Run(path: scratch.path + "/none") }
    #expect(missing?.code == .inputMissing)
    let empty = #expect(throws: Failure.self) { try Run(path: scratch.path) }
    #expect(empty?.code == .inputMissing)
    try Files.makeDirectory(scratch.path + "/adapter")
    let run = try Run(path: scratch.path)
    #expect(run.gaps == ["adapter: unfinished"])
    // Somebody is at it. How far, the lease tells every ten seconds (SharedStageTests).
    let writer = try ArtifactWriter(
      directory: scratch.path + "/adapter", kind: .adapter, settings: [:])
    #expect(try Run(path: scratch.path).gaps == ["adapter: in the making"])
    withExtendedLifetime(writer) {}
  }

  @Test("Numbers are written as people read them")
  func formats() {
    #expect(Format.count(1_234_567) == "1,234,567")
    #expect(Format.count(-999) == "-999")
    #expect(Format.signed(-2.34) == "−2.3")
    #expect(Format.signed(-0.04) == "0.0")
    #expect(Format.bytes(999) == "999 B")
    #expect(Format.bytes(123_456_789) == "123 MB")
    #expect(Format.bytes(1_500_000) == "1.5 MB")
    #expect(Format.duration(125) == "2 min 05 s")
    #expect(Format.fixed(.nan, 1) == "–")
    #expect(Format.significant(0.0123456) == "0.0123")
    #expect(Format.significant(12.3456) == "12.3")
    #expect(Format.significant(-1234.6) == "−1,235")
    #expect(Format.short(-60) == "−60")
    #expect(Format.significant(0.0000012) == "1.20e-06")
  }
}
