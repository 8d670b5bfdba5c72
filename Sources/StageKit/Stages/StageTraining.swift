import Failures
import Foundation
import Tensors
import Training

/// What the training stages share: steps with a learning rate from the schedule, metrics, progress,
/// and a state from which an interrupted run goes on with the same bytes.
public struct StageTraining {
  public let stage: Stage
  /// The artifact in the making: metrics go there.
  public let directory: String
  public let state: TrainingState
  public let training: ParallelOptimizers
  public let settings: OptimizerSettings
  public let steps: Int
  public let checkpointMinutes: Double

  public init(
    stage: Stage, output: TrainingOutput, training: ParallelOptimizers,
    settings: OptimizerSettings, steps: Int, checkpointMinutes: Double
  ) {
    self.stage = stage
    directory = output.directory
    state = output.state
    self.training = training
    stage.keep(training)
    self.settings = settings
    self.steps = steps
    self.checkpointMinutes = checkpointMinutes
  }

  /// Runs all steps, or those that an interrupted run left.
  /// - save: words to be kept with the state, such as the place in the data; `restore` gets them
  ///   back.
  /// - step: computes the gradients of a step and returns what to write to the metrics, the same on
  ///   all ranks; the first pair is shown beside the progress.
  /// Throws 75 after a signal to any rank, once the state is safe.
  public func run(
    label: String, save: () -> [String: String] = { [:] },
    restore: ([String: String]) throws -> Void = { _ in },
    step: (Int) throws -> [(key: String, value: SettingValue)]
  ) throws {
    try run(label: label, save: save, restore: restore, lines: { [try step($0)] })
  }

  /// As the other `run`, for models that learn side by side: `lines` returns one line of metrics
  /// for each optimizer, in order.
  public func run(
    label: String, save: () -> [String: String] = { [:] },
    restore: ([String: String]) throws -> Void = { _ in },
    lines: (Int) throws -> [[(key: String, value: SettingValue)]]
  ) throws {
    var first = 0
    let earlier = try state.restore(training) { failure in
      stage.log.warning("a saved state of the training cannot be used: \(failure)")
    }
    if let earlier {
      first = earlier.step
      try restore(earlier.words)
      stage.continueTraining(after: earlier.words[Self.secondsWord].flatMap { Double($0) } ?? 0)
      stage.log.info("continuing after step \(first) of \(steps)")
    }
    // Steps after the state are done again, and write their lines again.
    let metrics =
      stage.ranks.rank > 0
      ? nil
      : try stage.metrics(directory) { line in
        Self.stepOf(line).map { $0 < first } ?? (first > 0)
      }
    defer { metrics?.close() }
    let progress = stage.progress(total: steps, unit: "steps", label: label, done: first)
    let schedule = settings.schedule(steps: steps)
    var saved = Date()
    let sent = stage.ranks.bytesSent
    for number in first..<max(first, steps) {
      let rate = schedule.learningRate(number)
      let lines = try finite(step: number, lines)
      if number == first { warnOfIdleRanks() }
      // What one rank wishes, all do, after the same step.
      let wishes = [
        stage.interrupted,
        checkpointMinutes > 0 && -saved.timeIntervalSinceNow > checkpointMinutes * 60,
      ]
      let sums = try training.sumGradients(with: wishes.map { $0 ? 1 : 0 })
      let (stops, saves) = (sums.words[0] > 0, sums.words[1] > 0)
      var norms = sums.norms
      try requireFinite(lines, norms, step: number)
      try training.step(learningRate: Float(rate), norms: norms)
      if lines.count != norms.count { norms = [norms.reduce(0) { $0 + $1 * $1 }.squareRoot()] }
      for (pairs, norm) in zip(lines, norms) {
        try metrics?.append(
          [("step", .int(number))] + pairs + [
            ("learning_rate", .number(rate)), ("gradient_norm", .number(Double(norm))),
          ])
      }
      progress.advance(
        note: (lines.last?.first { $0.key == "loss" } ?? lines.last?.first).map {
          "\($0.key) \(Self.short($0.value))"
        } ?? "")
      if stops || saves {
        // A state without the lines of its steps would lose them for ever.
        try metrics?.synchronize()
        let words = [Self.secondsWord: String(format: "%.1f", stage.trainingSeconds())]
        try state.save(
          step: number + 1, training, words: save().merging(words) { word, _ in word })
        saved = Date()
      }
      try stage.endStep(stops: stops)
    }
    progress.finish()
    if stage.ranks.count > 1, steps > first {
      let bytes = (stage.ranks.bytesSent - sent) / (steps - first)
      stage.log.info(
        "each step sent \(MemoryPlan.text(bytes)) from rank \(stage.ranks.rank) to the others")
    }
  }

  private func warnOfIdleRanks() {
    let idle = stage.ranks.count - training.parts
    guard idle > 0, stage.ranks.rank == 0 else { return }
    let (parts, advice) =
      training.optimizers.count > 1
      ? ("layers are dealt out", "")
      : ("forward passes make a step", "; a lower tokens_per_batch makes more of them")
    let ranks = "\(idle) of \(stage.ranks.count) ranks have nothing to do"
    stage.log.warning("\(training.parts) \(parts): \(ranks)\(advice)")
  }

  /// What the state took, in its words.
  private static let secondsWord = "seconds"

  private static func short(_ value: SettingValue) -> String {
    if case .number(let number) = value { return String(format: "%.4g", number) }
    return value.json
  }

  /// The step of a line of metrics.
  private static func stepOf(_ line: String) -> Int? {
    guard let start = line.range(of: "\"step\":") else { return nil }
    return Int(line[start.upperBound...].drop { $0 == " " }.prefix { $0.isNumber })
  }
}
