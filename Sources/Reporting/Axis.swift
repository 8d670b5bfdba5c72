import Foundation

/// A stretch of numbers laid on a stretch of pixels, with ticks at round numbers.
struct Axis {
  var low: Double
  var high: Double
  var ticks: [Double]
  var isLogarithmic = false

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

  /// A logarithmic one with ticks at 1, 2 and 5 times a power of ten, or at the powers alone where
  /// those would be many. Nil where a value is not positive, or all lie within a factor of four,
  /// which a logarithm does not spread.
  init?(logarithmic values: [Double]) {
    let finite = values.filter(\.isFinite)
    guard let least = finite.min(), let most = finite.max(), least > 1e-30, most > 4 * least,
      most < 1e30
    else { return nil }
    let powers = Int(log10(least).rounded(.down))...Int(log10(most).rounded(.up))
    let steps: [Double] = powers.count > 5 ? [1] : powers.count > 3 ? [1, 3] : [1, 2, 5]
    let all = powers.flatMap { power in steps.map { $0 * pow(10, Double(power)) } }
    low = all.last { $0 <= least * 1.001 } ?? least
    high = all.first { $0 >= most * 0.999 } ?? most
    let (low, high) = (low, high)
    ticks = all.filter { $0 >= low * 0.999 && $0 <= high * 1.001 }
    isLogarithmic = true
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
    let share =
      isLogarithmic
      ? log(max(value, low / 10) / low) / log(high / low) : (value - low) / (high - low)
    return start + share * (end - start)
  }
}

/// A coordinate of a drawing, to a tenth of a pixel.
func px(_ value: Double) -> String { Format.fixed(value.isFinite ? value : 0, 1) }
