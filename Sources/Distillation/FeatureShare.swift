import Artifacts

/// Which samples' hidden states are extracted: as many as their readers need, in eighths of all, evenly
/// spread, with the first ones, which the report shows.
public struct FeatureShare: Sendable, Equatable {
  /// 1 to 8.
  public let eighths: Int

  /// The first samples are always in it.
  static let first = 64
  private static let name = "eighths"

  /// The smallest share that covers `part`, from 0 to 1, of the data.
  public init(covering part: Double) {
    eighths = part < 1 ? max(1, Int((8 * part).rounded(.up))) : 8
  }

  /// As an artifact's settings tell it; all where they do not.
  public init(_ settings: JSON) {
    eighths = min(8, max(1, settings[FeatureShare.name]?.asInt ?? 8))
  }

  /// For an artifact's settings; nil for all samples.
  public var setting: (key: String, value: JSON)? {
    eighths < 8 ? (FeatureShare.name, .int(eighths)) : nil
  }

  /// Those of these samples that are in it.
  public func of(_ indices: [Int]) -> [Int] {
    indices.enumerated().filter { includes(place: $0.offset) }.map(\.element)
  }

  /// About which part of so many samples is in it.
  public func part(of samples: Int) -> Double {
    let first = Double(min(samples, FeatureShare.first))
    return (first + (Double(samples) - first) * Double(eighths) / 8) / Double(max(1, samples))
  }

  private func includes(place: Int) -> Bool {
    place < FeatureShare.first || place % 8 * eighths % 8 < eighths
  }
}
