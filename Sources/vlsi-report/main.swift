import ArgumentParser
import Artifacts
import Failures
import Kernels
import Models
import Reporting
import StageKit

/// The closing table of a run, and one page with all that can be seen in it.
struct ReportCommand: StageCommand {
  static let name = "vlsi-report"
  static let abstract = "Shows what a run gave: scores, curves, matches, what each layer says."
  static let example = "vlsi-report --run runs/tiny --output runs/tiny/report"

  @Option(help: "The run's folder; what it lacks the report leaves out and says so.")
  var run: String
  @Option(help: "The report artifact to write: index.html.")
  var output: String
  @OptionGroup var common: CommonOptions

  func run(stage: Stage) throws {
    let names = try stage.preset.run.hubNames()
    let settings = stage.preset.report
    let report = try Report(
      path: run, title: settings.title, questions: settings.questions,
      maxNewTokens: settings.maxNewTokens, names: names, between: stage.checkInterrupt)
    let page = Array(report.page.utf8)
    var inputs = report.run.fingerprints
    // Times and memory are on the page too, and no manifest's fingerprint covers them.
    inputs["page"] = Fingerprint.bytes(page)
    if let writer = try stage.artifact(
      at: output, kind: .report, settings: ["report": settings.json], inputs: inputs)
    {
      try writer.writeFile("index.html", page)
      try stage.finish(writer)
    }
    renewCards(stage, names)
    try StandardOutput.write(report.scores.text)
  }

  /// The cards of the run's models and adapters say what these score. That is a note on them, no part of an
  /// artifact: where it cannot be written the report is none the worse.
  private func renewCards(_ stage: Stage, _ names: HubNames) {
    let compared = Files.join(run, "compare")
    let folders = [run] + ((try? Files.list(compared)) ?? []).map { Files.join(compared, $0) }
    for folder in folders {
      for name in ["adapter", "model"] {
        let path = Files.join(folder, name)
        guard Files.exists(Files.join(path, Manifest.fileName)) else { continue }
        do {
          let isCurrent =
            try name == "model"
            ? ModelCard.write(for: path, near: [run], names: names)
            : AdapterCard.write(for: path, names: names)
          if !isCurrent {
            stage.log.info("\(path)/\(ModelCard.fileName) was edited and is left as it is")
          }
        } catch {
          stage.log.warning("no card of \(path): \(error)")
        }
      }
    }
  }
}

ReportCommand.main()
