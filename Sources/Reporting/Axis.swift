import Foundation

/// A stretch of numbers laid on a stretch of pixels, with ticks at round numbers.
struct Axis {
  var low: Double
  var high: Double
  var ticks: [Double]

  /// Covers `values`, widened to the ticks; `fromZero` makes it begin at 0 where all are positive.
  init(covering values: [Double], ticks count: Int, fromZero: Bool = false) {
    let finite = values.filter(\.isFinite)
    var least = finite.min() ?? 0
    var most = finite.max() ?? 1
    if fromZero, least > 0 { least = 0 }
    if most - least < 1e-9 * max(1, abs(most)) {
      least -= fromZero && least == 0 ? 0 : 0.5
      most += 0.5
    }
    let step = Axis.step(most - least, count)
    low = (least / step + 1e-9).rounded(.down) * step
    high = (most / step - 1e-9).rounded(.up) * step
    ticks = []
    let number = Int(((high - low) / step).rounded())
    for i in 0...max(1, min(number, 100)) { ticks.append(low + Double(i) * step) }
  }

  /// A round step that gives about `count` ticks.
  static func step(_ span: Double, _ count: Int) -> Double {
    let raw = span / Double(max(1, count))
    let power = pow(10, log10(raw).rounded(.down))
    let rest = raw / power
    return (rest <= 1.001 ? 1 : rest <= 2.001 ? 2 : rest <= 5.001 ? 5 : 10) * power
  }

  /// Where `value` lies between `start` and `end`.
  func place(_ value: Double, _ start: Double, _ end: Double) -> Double {
    start + (value - low) / (high - low) * (end - start)
  }
}

/// A coordinate of a drawing, to a tenth of a pixel.
func px(_ value: Double) -> String { Format.fixed(value.isFinite ? value : 0, 1) }
