import Kernels

/// An interval of a benchmark's headline by the bootstrap (Efron 1979): questions are drawn again
/// with replacement, those about one picture together, and the middle 95% of what comes out is the
/// interval.
public struct Interval: Sendable, Codable, Equatable {
  /// The headline itself, in its unit.
  public var value: Double
  public var low: Double
  public var high: Double

  static let draws = 1000

  /// Of the headline of one benchmark's predictions; nil without a score.
  public init?(_ predictions: [Prediction]) {
    let summary = BenchmarkKind.kind(of: predictions).summary
    self.init([summary.tallies(predictions.filter { $0.score != nil })]) { summary.headline($0[0]) }
  }

  /// Of the difference of two models' headlines over the same questions of one benchmark; nil where
  /// they did not answer the same ones.
  public init?(_ first: [Prediction], less second: [Prediction]) {
    let summary = BenchmarkKind.kind(of: first).summary
    guard let pairs = try? PairedDifference.pairs(first, second, place: "") else { return nil }
    let scored = pairs.filter { $0.0.score != nil && $0.1.score != nil }
    self.init([summary.tallies(scored.map(\.0)), summary.tallies(scored.map(\.1))]) {
      summary.headline($0[0]) - summary.headline($0[1])
    }
  }

  /// - Parameter sets: tallies of the same clusters, for each model.
  private init?(_ sets: [[Tally]], _ statistic: ([[Double]]) -> Double) {
    guard let count = sets.first?.count, count > 0, sets.allSatisfy({ $0.count == count }) else {
      return nil
    }
    value = statistic(sets.map(Tally.sum))
    var generator = SplitMix64(seed: 0x0B00_7574)
    var drawn = (0..<Interval.draws).map { _ in
      var sums = sets.map { $0[0].values.map { _ in 0.0 } }
      for _ in 0..<count {
        let place = Int.random(in: 0..<count, using: &generator)
        for (number, set) in sets.enumerated() {
          for (column, value) in set[place].values.enumerated() { sums[number][column] += value }
        }
      }
      return statistic(sums)
    }
    drawn.sort()
    low = drawn[Int(0.025 * Double(Interval.draws))]
    high = drawn[Int(0.975 * Double(Interval.draws)) - 1]
  }

  /// Of a difference: chance alone does not explain it.
  public var leavesOutZero: Bool { low > 0 || high < 0 }
}
