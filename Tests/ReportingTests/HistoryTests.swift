import Artifacts
import Distillation
import Foundation
import Testing

@testable import Reporting

@Suite("Curves and matches are those of the metrics")
struct HistoryTests {
  @Test("Verbalization: a row per layer at the paper's shares of training")
  func verbalization() throws {
    let lines: [JSON] = (0..<200).flatMap { step -> [JSON] in
      [2, 3].map { layer in
        [
          "step": .int(step), "layer": .int(layer),
          "loss": .number(Double(200 - step) / Double(layer)),
        ]
      }
    }
    let curves = try #require(VerbalizationCurves(lines.shuffled()))
    #expect(curves.table.map(\.layer) == [2, 3])
    // The mean of the ten steps before: at a tenth the losses of steps 10 to 19.
    #expect(curves.table[0].losses[0] == (181.0...190.0).mean / 2)
    #expect(curves.table[0].losses.count == VerbalizationCurves.shares.count)
    #expect(curves.fallsWithDepth)
    #expect(VerbalizationCurves([["step": 1]]) == nil)
  }

  @Test("Matches: shares of the first and last tenth, mean depth, several picks and batches")
  func matches() throws {
    let lines: [JSON] = (0..<20).map { step in
      [
        "step": .int(step),
        "matches": step < 10 ? [[[2], [3]], [[3], [5]]] : [[[4], [4, 5]], [[4], [4, 5]]],
        "entropy": [step < 10 ? 1.0 : 0.5, 0.69], "maximum_entropy": [1.0, 0.7],
      ]
    }
    let history = try #require(
      MatchHistory(
        lines, studentLayers: [2, 3], teacherLayers: [2, 3, 4, 5],
        settings: SmallRun.alignSettings["align"]))
    #expect(history.start == [[0.5, 0.5, 0, 0], [0, 0.5, 0, 0.5]])
    #expect(history.end == [[0, 0, 1, 0], [0, 0, 0.5, 0.5]])
    #expect(history.depth[0].points.map(\.y) == (0..<20).map { $0 < 10 ? 2.5 : 4 })
    #expect(history.depth[1].points.last?.y == 4.5)
    #expect(history.entropy[0].start.ratio == 1)
    #expect(history.entropy[0].end.ratio == 0.5)
    #expect(history.entropy[0].ratio.points.map(\.y) == (0..<20).map { $0 < 10 ? 1 : 0.5 })
    #expect(history.verdict.contains("the student’s layers (3) still pick almost at random"))
    let lot = try #require(history.depthByLot)
    #expect(abs(lot[0] - 3) < 1e-9)
    #expect(abs(lot[1] - (3 * 0.111_111 + 4 * 0.277_778 + 5 * 0.611_111)) < 1e-4)
  }

  @Test("Where the search leaves one layer there is no ratio")
  func noChoice() throws {
    let lines: [JSON] = (0..<3).map {
      ["step": .int($0), "matches": [[[2]]], "entropy": [0.0], "maximum_entropy": [0.0]]
    }
    let history = try #require(
      MatchHistory(lines, studentLayers: [2], teacherLayers: [2], settings: nil))
    #expect(history.entropy[0].end.ratio == nil)
    #expect(history.entropy[0].ratio.points.isEmpty)
    #expect(history.verdict.hasPrefix("Nothing was sampled"))
  }

  @Test("Picks near the maximum of entropy are called uniform, in words")
  func uniform() throws {
    let line: JSON = [
      "step": 0, "matches": [[[2], [3]]], "entropy": [1.09, 0.69],
      "maximum_entropy": [1.0986, 0.7],
    ]
    let history = try #require(
      MatchHistory([line], studentLayers: [2, 3], teacherLayers: [2, 3, 4, 5], settings: nil))
    #expect(history.verdict.contains("almost at random, so no match was learned"))
    #expect(history.verdict.contains("the entropy of their picks is 0.99 of"))
    #expect(history.byLot == nil)
    #expect(
      MatchHistory([["step": 0]], studentLayers: [2], teacherLayers: [2], settings: nil) == nil)
  }

  @Test("Picks by lot are computed exactly, for each form of the search")
  func byLot() throws {
    // TINY.md's figures of uniform sequential picks: two student layers, four of the teacher.
    let shares = try #require(
      MatchHistory.byLot(students: 2, teachers: 4, settings: SmallRun.alignSettings["align"]))
    #expect(shares[0].map { Format.fixed($0, 3) } == ["0.333", "0.333", "0.333", "0.000"])
    #expect(shares[1].map { Format.fixed($0, 3) } == ["0.000", "0.111", "0.278", "0.611"])
    let free = try #require(
      MatchHistory.byLot(
        students: 2, teachers: 4,
        settings: ["matching": "random", "search_range": false, "order_preservation": false]))
    #expect(free == [[0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]])
    #expect(MatchHistory.byLot(students: 2, teachers: 4, settings: ["matching": "bottom1"]) == nil)
  }

  @Test("Terms with their gradients, by the losses that the manifest names")
  func interaction() throws {
    let lines: [JSON] = (0..<20).map { step in
      [
        "step": .int(step), "last": .number(Double(20 - step)), "intermediate": [1, 2],
        "last_gradient": 0.25, "intermediate_gradient": [0.5, 0.125],
      ]
    }
    let curves = try #require(
      InteractionCurves(
        lines, studentLayers: [2, 3],
        align: ["intermediate_loss": "l2", "last_loss": "kl", "intermediate_weight": 0.5],
        tone: .model))
    #expect(curves.terms.map(\.name) == ["layer 2", "layer 3", "last layer"])
    #expect(curves.last?.loss.ends?.start == 19.5)
    #expect(curves.last?.loss.ends?.end == 1.5)
    #expect(curves.terms.map { $0.gradient.points.first?.y } == [0.5, 0.125, 0.25])
    #expect(curves.intermediateLoss?.axis == "squared difference of logits")
    #expect(curves.intermediateLoss?.weight == 0.5)
    #expect(curves.lastLoss?.axis == "KL, nats")
    #expect(InteractionCurves([["loss": 1]], studentLayers: [], align: nil, tone: .model) == nil)
  }

  @Test("Every loss of a preset has a name; one that took no part has none")
  func lossNames() {
    for kind in LossTerm.Kind.allCases {
      let name = LossName(["intermediate_loss": .string(kind.rawValue)], term: "intermediate")
      #expect((name == nil) == (kind == .none))
      // Words of its own, not the preset's.
      if kind != .none { #expect(name?.words != kind.rawValue) }
    }
    #expect(LossName(["last_loss": "kl", "last_weight": 0.0], term: "last") == nil)
    #expect(
      LossName(["intermediate_loss": "l2", "language_head": false], term: "intermediate")?.axis
        == "squared difference of vectors")
    #expect(LossName(["last_loss": "newer <one>"], term: "last")?.words == "newer <one>")
  }

  @Test("A last-layer run has no intermediate terms, also one whose log holds zeros for them")
  func lastLayer() throws {
    let lines: [JSON] = (0..<3).map { ["step": .int($0), "last": 0.5, "intermediate": [0, 0]] }
    for align in [JSON.null, ["intermediate_loss": "none"], ["intermediate_weight": 0]] {
      let curves = try #require(
        InteractionCurves(lines, studentLayers: [2, 3], align: align, tone: .lastLayer))
      #expect(curves.intermediate.isEmpty)
      #expect(curves.last?.loss.points.count == 3)
      #expect(curves.last?.gradient.points.isEmpty == true)
    }
  }

  @Test("Lines of metrics that are no JSON are counted as a gap, not trusted")
  func brokenMetrics() throws {
    let scratch = try ScratchRun()
    try scratch.made.makeTraining()
    let file = scratch.path + "/model/metrics.jsonl"
    try Data("{\"step\": 0, \"loss\": 2}\n{\"step\": 1, \"lo".utf8)
      .write(to: URL(fileURLWithPath: file))
    var run = try Run(path: scratch.path)
    #expect(run.metrics(of: "model").count == 1)
    #expect(run.gaps == ["model: 1 lines of metrics.jsonl are no JSON"])
  }
}

extension ClosedRange<Double> {
  fileprivate var mean: Double { (lowerBound + upperBound) / 2 }
}
