import Artifacts
import Foundation
import Kernels
import Planning
import StageKit

/// The plan as it is printed.
struct PlanTable {
  let plan: RunPlan
  let stages: [StageCost]
  let rates: Rates?
  let directory: String
  /// The machines that the run is planned for besides this one.
  var machines: ClusterPlan.Machines?
  /// What else the machine was at while its rates were measured; nil for nothing.
  var busy: String?
  /// How much of the data fits into the hours that there are; nil where all is taken.
  var budget: String?

  var text: String {
    var lines = [Self.data(plan.survey), ""]
    let rows =
      [["stage", "steps", "reads", "writes", "memory", "time"]]
      + stages.map { stage in
        [
          stage.name, stage.steps.map { "\($0)" } ?? "",
          stage.reads > 0 ? MemoryPlan.text(stage.reads) : "data set",
          MemoryPlan.text(stage.writes),
          MemoryPlan.text(stage.memory),
          stage.seconds.map { Progress.duration($0) } ?? "-",
        ]
      }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    for row in rows {
      let cells = row.enumerated().map { column, text in
        let gap = String(repeating: " ", count: widths[column] - text.count)
        return column == 0 ? text + gap : gap + text
      }
      lines.append(cells.joined(separator: "   "))
    }
    lines.append("")
    let scratch = stages.map(\.scratch).max() ?? 0
    lines.append(
      "disk     \(MemoryPlan.text(Self.disk(stages)))"
        + (scratch > 0 ? ", \(MemoryPlan.text(scratch)) of it while a stage trains" : "")
        + (Files.freeBytes(at: directory).map { "; \(MemoryPlan.text($0)) free" } ?? ""))
    if let budget { lines.append("budget   \(budget)") }
    if let busy { lines.append("beware   \(busy): the times are too long") }
    if let largest = stages.max(by: { $0.memory < $1.memory }) {
      lines.append(
        "memory   \(MemoryPlan.text(largest.memory)) at most, in \(largest.name), mapped files not "
          + "counted"
          + (MemoryPlan.available().map { "; \(MemoryPlan.text($0)) available" } ?? ""))
    }
    if let visual {
      lines.append(
        "images   encoded once: \(MemoryPlan.text(visual.bytes)) of the student's features"
          + (visual.seconds.map {
            ", which spare align and finetune \(Progress.duration($0))"
          } ?? ""))
    }
    let recomputing = stages.filter { $0.recomputedBlocks > 0 }.map {
      "up to \($0.recomputedBlocks) of \(plan.student.config.text.layers) decoder blocks in \($0.name)"
    }
    if !recomputing.isEmpty {
      lines.append("again    " + recomputing.joined(separator: ", ") + ", to fit into memory")
    }
    for stage in stages {
      guard let rereading = stage.rereading else { continue }
      lines.append(
        "weights  do not fit into memory in \(stage.name): read \(rereading.times) times, for passes of "
          + "\(rereading.tokens) tokens")
    }
    if plan.studentShare < 1 {
      lines.append(
        "student  states of \(Int((100 * plan.studentShare).rounded()))% of its samples: verbalize reads "
          + "no more")
    }
    let seconds = stages.compactMap(\.seconds).reduce(0, +)
    lines.append(
      "time     \(Progress.duration(seconds)) with \(plan.threads) threads in \(Precision.current), "
        + "stage after stage; evaluation not counted")
    if let cluster { lines += Self.lines(of: cluster) }
    return lines.joined(separator: "\n")
  }

  private var cluster: ClusterPlan? {
    guard let machines, let rates else { return nil }
    return ClusterPlan(
      stages, threads: plan.threads, reading: rates.reading, writing: rates.writing, on: machines)
  }

  private static func lines(of cluster: ClusterPlan) -> [String] {
    let machines = cluster.machines
    var table = Table(
      ["stage", ">nodes", ">memory", ">time", "bound by", ">each step sends"])
    for stage in cluster.stages {
      table.add([
        stage.name, "\(stage.nodes)", MemoryPlan.text(stage.memory),
        Progress.duration(stage.seconds), stage.bound.rawValue,
        stage.sent > 0 ? MemoryPlan.text(Int(stage.sent)) : "",
      ])
    }
    return [
      "",
      "\(machines.nodes) nodes of \(machines.cores) cores, \(MemoryPlan.text(Int(machines.network)))/s "
        + "between them, a disk as fast as here (docs/SCALING.md has the model):",
    ] + table.lines + [
      "  \(Progress.duration(cluster.seconds)) in all; disk as above"
    ]
  }

  private var visual: (bytes: Int, seconds: Double?)? { plan.visualStorage(rates) }

  var json: String {
    JSON.object([
      "budget": budget.map { .string($0) } ?? .null,
      "samples": .int(plan.survey.samples), "surveyed": .int(plan.survey.sizes.count),
      "tokens": .int(Int(plan.survey.tokens)),
      "supervised_positions": .int(Int(plan.survey.supervisedPositions)),
      "images": .int(Int(plan.survey.images)), "threads": .int(plan.threads),
      "disk_bytes": .int(Self.disk(stages)), "precision": .string(Precision.current.rawValue),
      "student_share": .number(plan.studentShare),
      "cluster": cluster.map { cluster in
        [
          "nodes": .int(cluster.machines.nodes), "cores": .int(cluster.machines.cores),
          "network_bytes_a_second": .number(cluster.machines.network),
          "seconds": .number(cluster.seconds.rounded()),
          "stages": .array(
            cluster.stages.map {
              [
                "name": .string($0.name), "nodes": .int($0.nodes),
                "seconds": .number($0.seconds.rounded()), "bound": .string($0.bound.rawValue),
                "sent_bytes_a_step": .number($0.sent), "memory_bytes": .int($0.memory),
              ]
            }),
        ]
      } ?? .null,
      "visual": visual.map {
        [
          "bytes": .int($0.bytes),
          "saved_seconds": $0.seconds.map { .number($0.rounded()) } ?? .null,
        ]
      } ?? .null,
      "stages": .array(
        stages.map { stage in
          [
            "name": .string(stage.name), "artifact": .string(stage.artifact),
            "steps": stage.steps.map { .int($0) } ?? .null,
            "read_bytes": .int(stage.reads),
            "written_bytes": .int(stage.writes), "scratch_bytes": .int(stage.scratch),
            "memory_bytes": .int(stage.memory),
            "recomputed_blocks": .int(stage.recomputedBlocks),
            "weight_readings": .int(stage.rereading?.times ?? 1),
            "seconds": stage.seconds.map { .number($0.rounded()) } ?? .null,
          ]
        }),
    ]).text(pretty: true)
  }

  /// What is known of the data.
  static func data(_ survey: SampleSurvey) -> String {
    let about = survey.isWhole ? "" : "about "
    return about
      + "\(survey.samples) samples (\(survey.sizes.count) surveyed, "
      + String(format: "%.1f%% of the entries rejected), ", 100 * survey.rejectShare)
      + "\(count(survey.tokens)) tokens, \(count(survey.supervisedPositions)) of them supervised, "
      + "\(count(survey.images)) images"
  }

  /// 2.9 M
  static func count(_ number: Double) -> String {
    for (unit, size) in [("B", 1e9), ("M", 1e6), ("K", 1e3)]
    where number >= 10 * size || (number >= size && unit != "K") {
      return String(format: "%.1f ", number / size) + unit
    }
    return String(Int(number.rounded()))
  }

  /// Bytes that the run leaves behind, and what a training stage needs besides for a while.
  static func disk(_ stages: [StageCost]) -> Int {
    stages.reduce(0) { $0 + $1.writes } + (stages.map(\.scratch).max() ?? 0)
  }
}
