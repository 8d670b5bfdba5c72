import Artifacts
import Failures
import Foundation
import Planning
import StageKit

/// Whether a run can start, said line by line: what fits, then what does not.
struct Readiness {
  let inputs: RunInputs
  let plan: RunPlan
  let directory: String
  let rates: Rates?

  /// - Throws: 78 for a stage that cannot fit or too many rejects, 73 for a full disk, once all
  ///   lines are printed.
  func show() throws {
    let stages = plan.stages(rates)
    for (name, backbone, layers) in [
      ("teacher", inputs.teacher, plan.teacherLayers),
      ("student", inputs.student, plan.studentLayers),
    ] {
      let text = backbone.config.text
      good(
        name,
        "\(backbone.directory): \(text.layers) layers, d \(text.hiddenSize), "
          + "\(PlanTable.count(Double(backbone.config.parameterCount))) parameters; "
          + "target layers \(layers.map(String.init).joined(separator: ", "))")
    }
    good("tokenizer", "one for both, \(inputs.student.tokenizer.vocabularySize) tokens")
    var failure: Failure?
    func refuse(_ topic: String, _ problem: Failure) {
      print("no   \(topic.padding(toLength: 10, withPad: " ", startingAt: 0)) \(problem)")
      failure = failure ?? problem
    }
    let survey = plan.survey
    do {
      try Self.requireFewRejects(
        survey.rejectShare, of: inputs.studentSamples.artifact.directory, plan.preset)
      good("data", PlanTable.data(survey))
    } catch let problem as Failure {
      refuse("data", problem)
    }
    if let available = MemoryPlan.available() {
      let large = stages.filter { $0.memory > available }
      for stage in large {
        refuse(
          "memory",
          Failure(
            .badPreset, "\(stage.name) does not fit into memory",
            expected: "at most \(MemoryPlan.text(available))",
            found: MemoryPlan.text(stage.memory), advice: stage.advice))
      }
      if large.isEmpty, let largest = stages.max(by: { $0.memory < $1.memory }) {
        good(
          "memory",
          "at most \(MemoryPlan.text(largest.memory)) (\(largest.name)) of "
            + "\(MemoryPlan.text(available)) available")
      }
    }
    let wanted = PlanTable.disk(stages)
    if let free = Files.freeBytes(at: directory) {
      if wanted > free {
        refuse(
          "disk",
          Failure(
            .cannotCreate, "the disk has no room for the run", at: directory,
            expected: MemoryPlan.text(wanted), found: "\(MemoryPlan.text(free)) free"))
      } else {
        good("disk", "\(MemoryPlan.text(wanted)) of \(MemoryPlan.text(free)) free in \(directory)")
      }
    }
    if let failure { throw failure }
  }

  /// Refuses a survey with more rejects than the preset bears. Throws 65.
  static func requireFewRejects(_ share: Double, of samples: String, _ preset: Preset) throws {
    let most = preset.prepare.maxRejectShare
    guard share > most else { return }
    throw Failure(
      .badData, "too many entries would be rejected", at: samples,
      expected: "a share of at most \(most) (prepare.max_reject_share)",
      found: String(format: "%.3f of those surveyed", share), advice: "See rejects.jsonl there.")
  }

  private func good(_ topic: String, _ text: String) {
    print("ok   \(topic.padding(toLength: 10, withPad: " ", startingAt: 0)) \(text)")
  }
}
