import Artifacts
import Failures
import Tensors

extension StageTraining {
  /// Refuses a step whose loss, or whatever else its metrics hold, or whose gradient is not finite:
  /// called before any weight is changed, so that weights and saved state stay those of the last
  /// sound step.
  /// - Parameters:
  ///   - lines: the step's metrics
  ///   - norms: of the gradients, by optimizer
  /// - Throws: 65 naming the step, and the term, the layer or the weight.
  func requireFinite(
    _ lines: [[(key: String, value: SettingValue)]], _ norms: [Float], step: Int
  ) throws {
    for line in lines {
      let layer = line.first { $0.key == "layer" }.map { " of layer \($0.value.json)" } ?? ""
      for (key, value) in line {
        guard let found = value.firstNonFinite else { continue }
        let entry = found.place.isEmpty ? "" : ", entry \(found.place)"
        throw diverged("\(key)\(layer)\(entry)", found.value, step)
      }
    }
    for (number, norm) in norms.enumerated() where !norm.isFinite {
      let weight = try training.parameterOfBadGradient(number)
      throw diverged(
        weight.map { "the gradient of \($0.name)" } ?? "the norm of the gradients", Double(norm),
        step)
    }
  }

  /// The metrics of a step, or 65 naming it and what in it was not finite.
  func finite<Lines>(step: Int, _ lines: (Int) throws -> Lines) throws -> Lines {
    do { return try lines(step) } catch let problem as NotFinite {
      throw diverged(problem.what, problem.value, step)
    }
  }

  private func diverged(_ what: String, _ value: Double, _ step: Int) -> Failure {
    .notFinite(
      what, at: "\(directory), step \(step)", found: "\(value)",
      advice: "No weight was changed by it, and the last saved state is kept. Lower the stage's "
        + "learning_rate, or look at its inputs with vlsi-dump --verify")
  }
}

extension SettingValue {
  /// The first number in it that is infinite or none, and its place in the lists around it, as
  /// "2.0".
  var firstNonFinite: (value: Double, place: String)? {
    switch self {
    case .number(let value): return value.isFinite ? nil : (value, "")
    case .list(let values):
      for (place, value) in values.enumerated() {
        guard let found = value.firstNonFinite else { continue }
        return (found.value, found.place.isEmpty ? "\(place)" : "\(place).\(found.place)")
      }
      return nil
    case .object(let pairs):
      for (key, value) in pairs {
        if let found = value.firstNonFinite { return (found.value, key) }
      }
      return nil
    default: return nil
    }
  }
}
