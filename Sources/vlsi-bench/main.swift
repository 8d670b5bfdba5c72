import ArgumentParser
import Artifacts
import Failures
import Foundation
import Kernels
import Models
import StageKit

extension Precision: ExpressibleByArgument {}

/// How near kernels, stages and the store come to what bounds them.
struct Bench: StageCommand {
  static let name = "vlsi-bench"
  static let abstract = "Measures kernels, stages and the store against the machine's limits."
  static let example = "vlsi-bench --only product --json bench.json"

  @Option(help: ArgumentHelp("Writes the results to this file too.", valueName: "file"))
  var json: String?
  @Option(help: ArgumentHelp("Only rows whose name has this in it.", valueName: "text"))
  var only: String?
  @Option(help: "How large products are computed (default: the fastest here).")
  var precision: Precision = .fastest
  @Option(help: ArgumentHelp("How long a row is measured at least, in seconds.", valueName: "s"))
  var seconds = 3.0
  @Option(
    help: ArgumentHelp(
      "Thresholds: a row past one is measured once more, and then ends the program with 65.",
      valueName: "file"))
  var check: String?
  @Option(
    help: ArgumentHelp(
      "A Python with torch, lmdb, … to measure the same work with; to be called in the repository.",
      valueName: "program"))
  var peers: String?
  /// Measures this row alone and prints its fields: what the program has its children do.
  @Option(help: .hidden) var row: String?
  @OptionGroup var common: ThreadedOptions

  func validate() throws {
    if peers?.isEmpty == true { throw ValidationError("--peers names no Python") }
  }

  func run(stage: Stage) throws {
    Precision.current = precision
    guard let size = ModelFamilies.sizes.first(where: { !$0.isTiny }) else { return }
    let all = KernelRows(config: size.config).all + StageRows(size.config).all + StoreRows.all
    if let row {
      guard let found = all.first(where: { $0.name == row }) else { return }
      return print(JSON.object(try found.measure(budget: seconds)).text())
    }
    let rows = all.filter { only.map($0.name.contains) ?? true }
    guard !rows.isEmpty else {
      throw Failure(
        .usage, "no row has '\(only ?? "")' in its name",
        expected: all.map(\.name).joined(separator: ", "))
    }
    let thresholds = try check.map {
      try Thresholds(file: $0, rows: Set(all.map(\.name) + Peers.names))
    }
    let others = try peers.map {
      try Peers(python: $0, config: size.config, threads: stage.threads)
    }
    var results: [RowResult] = [], failures: [Failure] = []
    for row in rows {
      var found = try measure(row, others, stage)
      var violated = found.flatMap { thresholds?.violated(by: $0) ?? [] }
      if !violated.isEmpty {
        stage.log.info("\(violated[0]): measured once more")
        found = try measure(row, others, stage)
        violated = found.flatMap { thresholds?.violated(by: $0) ?? [] }
      }
      results += found
      failures += violated
    }
    let report = Report(
      results: results, threads: stage.threads, precision: precision.rawValue)
    if let json { try writeAtomically(report.json.text(pretty: true), to: json) }
    print(report.text, terminator: "")
    for failure in failures.dropLast() { stage.log.error("\(failure)") }
    if let last = failures.last { throw last }
  }

  /// The row, and the same by its peers.
  private func measure(_ row: Row, _ peers: Peers?, _ stage: Stage) throws -> [RowResult] {
    try stage.checkInterrupt()
    let fields = try Child.run(
      "/proc/self/exe",
      [
        "--row", row.name, "--threads", "\(stage.threads)", "--precision", precision.rawValue,
        "--seconds", "\(seconds)",
      ], name: row.name
    ).asObject
    let result = RowResult(name: row.name, shape: row.shape, fields: fields ?? [:])
    stage.log.info("\(row.name): \(result.rate)")
    let theirs = try peers?.results(for: result) { stage.log.warning("no peer \($0)") }
    return [result] + (theirs ?? [])
  }
}

Bench.main()
