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
  public let optimizers: [AdamW]
  public let settings: OptimizerSettings
  public let steps: Int
  public let checkpointMinutes: Double

  public init(
    stage: Stage, directory: String, state: TrainingState, optimizers: [AdamW],
    settings: OptimizerSettings, steps: Int, checkpointMinutes: Double
  ) {
    self.stage = stage
    self.directory = directory
    self.state = state
    self.optimizers = optimizers
    self.settings = settings
    self.steps = steps
    self.checkpointMinutes = checkpointMinutes
  }

  /// Runs all steps, or those that an interrupted run left.
  /// - save: words to be kept with the state, such as the place in the data; `restore` gets them
  ///   back.
  /// - step: computes the gradients of a step and returns what to write to the metrics; the first
  ///   pair is shown beside the progress.
  /// Throws 75 after a signal, once the state is safe.
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
    let earlier = try state.restore(optimizers) { failure in
      stage.log.warning("a saved state of the training cannot be used: \(failure)")
    }
    if let earlier {
      first = earlier.step
      try restore(earlier.words)
      stage.log.info("continuing after step \(first) of \(steps)")
    }
    // Steps after the state are done again, and write their lines again.
    let metrics = try stage.metrics(directory) { line in
      Self.stepOf(line).map { $0 < first } ?? (first > 0)
    }
    defer { metrics.close() }
    let progress = stage.progress(total: steps, unit: "steps", label: label, done: first)
    let schedule = settings.schedule(steps: steps)
    var saved = Date()
    for number in first..<max(first, steps) {
      let rate = schedule.learningRate(number)
      let lines = try finite(step: number, lines)
      var norms = optimizers.map { $0.gradientNorm() }
      try requireFinite(lines, norms, step: number)
      for (optimizer, norm) in zip(optimizers, norms) {
        optimizer.step(learningRate: Float(rate), norm: norm)
      }
      if lines.count != norms.count { norms = [norms.reduce(0) { $0 + $1 * $1 }.squareRoot()] }
      for (pairs, norm) in zip(lines, norms) {
        try metrics.append(
          [("step", .int(number))] + pairs + [
            ("learning_rate", .number(rate)), ("gradient_norm", .number(Double(norm))),
          ])
      }
      progress.advance(
        note: (lines.last?.first { $0.key == "loss" } ?? lines.last?.first).map {
          "\($0.key) \(Self.short($0.value))"
        } ?? "")
      let due = checkpointMinutes > 0 && -saved.timeIntervalSinceNow > checkpointMinutes * 60
      if due || stage.interrupted {
        // A state without the lines of its steps would lose them for ever.
        try metrics.synchronize()
        try state.save(step: number + 1, optimizers: optimizers, words: save())
        saved = Date()
      }
      try stage.checkInterrupt()
    }
    progress.finish()
  }

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
