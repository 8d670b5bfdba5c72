import Distillation
import StageKit

/// What is measured over the batches of one optimizer step.
final class StepLog {
  /// Each term without its weight, a mean over the step's supervised positions; by student layer.
  var terms: [Double]
  var last = 0.0
  private var squares: [Double]
  private var lastSquares = 0.0
  private var matches: [SettingValue] = []
  private var entropy: [Double]
  private var maximumEntropy: [Double]

  init(layers: Int) {
    terms = [Double](repeating: 0, count: layers)
    squares = terms
    entropy = terms
    maximumEntropy = terms
  }

  /// Notes the matches of one batch of `batches`.
  func note(_ found: [LayerMatch], teacherLayers: [Int], batches: Int) {
    for (i, match) in found.enumerated() {
      entropy[i] += match.entropy / Double(batches)
      maximumEntropy[i] += match.maximumEntropy / Double(batches)
    }
    matches.append(.list(found.map { .list($0.chosen.map { .int(teacherLayers[$0]) }) }))
  }

  /// Adds the squared norm of a term's gradient: of student layer `layer`, nil for the last one.
  func addSquares(_ sum: Double, layer: Int?) {
    if let layer { squares[layer] += sum } else { lastSquares += sum }
  }

  /// The line for `metrics.jsonl`. A term's gradient is that of the weighted term in the state that
  /// it reads: the layer's output at the supervised positions, for the last term what enters the
  /// head.
  func line(loss: Double) -> [(key: String, value: SettingValue)] {
    func list(_ numbers: [Double]) -> SettingValue { .list(numbers.map { .number($0) }) }
    return [
      ("loss", .number(loss)), ("last", .number(last)), ("intermediate", list(terms)),
      ("matches", .list(matches)), ("entropy", list(entropy)),
      ("maximum_entropy", list(maximumEntropy)),
      ("last_gradient", .number(lastSquares.squareRoot())),
      ("intermediate_gradient", list(squares.map { $0.squareRoot() })),
    ]
  }
}
