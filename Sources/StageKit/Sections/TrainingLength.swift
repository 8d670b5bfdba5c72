/// How long a training lasts: so many optimizer steps, or so many times through the data, which are
/// steps once the data is known.
public struct TrainingLength: Sendable, Equatable {
  /// Optimizer steps; nil for epochs of data that is not known yet.
  private(set) var known: Int?
  /// Times through the data; nil where the preset counts steps.
  public private(set) var epochs: Double?

  public static func steps(_ steps: Int) -> TrainingLength { TrainingLength(known: steps) }
  public static func epochs(_ epochs: Double) -> TrainingLength { TrainingLength(epochs: epochs) }

  /// Optimizer steps. Epochs have to be settled before.
  public var steps: Int {
    guard let known else { preconditionFailure("epochs are steps once the data is known") }
    return known
  }

  /// Whether there is a step at all.
  public var trains: Bool { (known ?? 1) > 0 && (epochs ?? 1) > 0 }

  /// Counts the steps that the epochs come to, the last one begun included.
  /// - Parameters:
  ///   - items: of the data: samples or positions
  ///   - perStep: how many of them a step takes
  ///   - most: the most steps
  public mutating func settle(items: Int, perStep: Int, most: Int? = nil) {
    if let epochs {
      let steps = (epochs * Double(items) / Double(perStep)).rounded(.up)
      known = epochs > 0 ? max(1, Int(min(steps, Double(Settings.unbounded)))) : 0
    }
    if let most, let count = known { known = min(count, most) }
  }
}
