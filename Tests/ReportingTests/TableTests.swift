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
    #expect(table[.model]?.scores?.overall.correct == 320)
    #expect(table[.model]?.steps?.align == 800)
    #expect(table[.sft]?.steps?.finetune == 1200)
    #expect(table.wrong?.answers == 1775)
    #expect(table.guessing?.tasks["digit"] == 0.1)
    // Wrong every 3rd against every 5th: alone right where the other's divisor alone divides.
    let difference = try #require(table[.sft]?.difference)
    #expect(difference.onlyFirst == 134 - 27)
    #expect(difference.onlySecond == 80 - 27)
    #expect(table.warnings.isEmpty)
    #expect(table.verdict(against: .sft) == "VLsI is ahead of SFT alone: +13.5 points ± 3.1.")
  }

  @Test("The table fits a terminal of 100 columns and names every row, run or not")
  func text() throws {
    let scratch = try ScratchRun()
    try scratch.made.makeAll()
    let text = try scratch.table().text
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 100 })
    for contender in Contender.allCases { #expect(text.contains(contender.label)) }
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
  }
}
