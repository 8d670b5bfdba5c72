import Evaluation

/// A share with its error: of one evaluation, or the mean over several seeds.
public struct Estimate: Sendable, Equatable {
  /// One for each seed.
  public let values: [Double]
  public let mean: Double
  /// The standard error: over seeds that of their mean, else that of sampling the questions.
  public let error: Double

  /// The standard deviation over seeds, nil for one.
  public var spread: Double? {
    values.count > 1 ? error * Double(values.count).squareRoot() : nil
  }

  /// The half of the interval that says what the figure leaves open: twice the error, over seeds as
  /// many errors as Student's t asks for at 95%.
  public var reach: Double { error * Estimate.factor(values.count) }

  /// What an axis has room for: two seeds leave so much open that others would not be told apart.
  var room: Double { values.count == 2 ? error : reach }

  /// Whether the interval leaves out zero.
  public var isCertain: Bool { abs(mean) > reach && mean != 0 }

  /// - Parameters:
  ///   - values: one for each seed, at least one.
  ///   - sampling: the error of a single value.
  init?(_ values: [Double], sampling: Double) {
    guard !values.isEmpty else { return nil }
    self.values = values
    let overSeeds = meanOverSeeds(values)
    mean = overSeeds.mean
    error = overSeeds.standardError ?? sampling
  }

  /// The 97.5% points of Student's t for 2, 3, … seeds, beyond the table a little too large; 2 for
  /// one, where it does not apply.
  static func factor(_ seeds: Int) -> Double {
    let points = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]
    return seeds < 2 ? 2 : seeds - 2 < points.count ? points[seeds - 2] : 2.2
  }
}
