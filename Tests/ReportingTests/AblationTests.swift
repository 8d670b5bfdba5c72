import Artifacts
import Foundation
import Testing

@testable import Reporting

@Suite("Ablations over seeds, as vlsi-compare writes them")
struct AblationTests {
  /// A cell with its accuracies by seed.
  private func cell(_ name: String, _ accuracy: [String: Double], method: Bool = false) -> JSON {
    [
      "name": .string(name), "label": .string("the <\(name)>"), "method": .bool(method),
      "paper": [79.2, .null], "accuracy": .object(accuracy.mapValues { .number($0) }),
    ]
  }

  private var table: JSON {
    [
      "format_version": 1, "questions": 1200, "seeds": ["0", "1", "2"],
      "comparisons": [
        [
          "name": "steps", "title": "Which steps & why", "benchmarks": ["MMB", "MM-Vet"],
          "cells": [
            cell("both", ["0": 0.5, "1": 0.52, "2": 0.54], method: true),
            cell("sft", ["0": 0.4, "1": 0.43, "2": 0.43, "7": 0.9]), cell("other", [:]),
          ], "order": ["pairs": 3, "agreeing": 2, "clear": 1, "clear_agreeing": 1],
        ]
      ],
    ]
  }

  @Test("Means, spreads and differences paired by seed")
  func figures() throws {
    let ablations = try #require(Ablations(table, name: "ablations/table-test.json"))
    let sft = try #require(ablations["sft"])
    // Seed 7 has no partner.
    let differences = try #require(sft.difference?.values)
    #expect(zip(differences, [-0.1, -0.09, -0.11]).allSatisfy { abs($0 - $1) < 1e-12 })
    #expect(differences.count == 3)
    #expect(ablations.comparisons[0].cells[2].accuracy == nil)
    #expect(
      ablations.verdict(against: "sft", label: "SFT alone")
        == "Over 3 seeds VLsI is ahead of SFT alone: +10.0 points ± 0.6.")
    #expect(ablations.verdict(against: "both", label: "") == nil)
    #expect(ablations.comparisons[0].sentence.hasPrefix("2 of 3 pairs of cells"))
  }

  @Test("The page shows them escaped; what is no table is a gap")
  func page() throws {
    let scratch = try ScratchRun()
    try scratch.made.evaluate(.model, every: 5)
    try Files.makeDirectory(scratch.path + "/ablations")
    for (name, text) in [
      ("table-test.json", table.text()), ("table-broken.json", "{"), ("table-other.json", "[1]"),
      ("rules.mk", ""),
    ] {
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(scratch.path)/ablations/\(name)"))
    }
    let report = try Report(path: scratch.path, title: "")
    #expect(
      report.gaps.filter { $0.contains("ablations") } == [
        "ablations/table-broken.json: no table of ablations",
        "ablations/table-other.json: no table of ablations",
      ])
    let page = report.page
    #expect(page.contains("Which steps &amp; why"))
    #expect(page.contains("the &lt;sft&gt;"))
    #expect(page.contains("Over 3 seeds VLsI is ahead of SFT alone: +10.0 points"))
    #expect(page.contains("not run"))
    #expect(page.contains("79.2"))
  }
}
