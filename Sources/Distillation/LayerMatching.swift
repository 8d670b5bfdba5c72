import Failures
import Foundation
import Kernels

/// Which teacher layer each student layer learns from at one step: Algorithm 1 of the paper
/// (METHOD.md, step 2) and the ablations that it is compared with.
///
/// A pure function over the table of divergences: it draws from the generator that it is given and
/// touches nothing else.
public struct LayerMatching: Sendable, Equatable {
  /// How a teacher layer is picked within the range that is searched.
  public enum Strategy: String, Sendable, CaseIterable, Codable {
    /// Sampled from softmax(-KL / T): prefers small divergences, still explores. The paper's.
    case multinomial
    /// Any layer of the range, all equally likely.
    case random
    /// Layer i · floor(t_l / t_s), whatever the divergences: no range, no order to preserve.
    case uniform
    /// The smallest divergence.
    case bottom1 = "bottom-1"
    /// The mean of the three smallest divergences (of fewer where the range is smaller).
    case bottom3 = "bottom-3"
  }

  public var strategy: Strategy
  /// Ends the range of student layer i at teacher layer t_l - t_s + i, which leaves a partner for
  /// every later student layer. Off, every range ends at the last teacher layer.
  public var searchRange: Bool
  /// Starts the next range behind the layer just matched. Needs `searchRange`, else later student
  /// layers could be left without a partner.
  public var orderPreservation: Bool
  /// T = 2 / (max KL - min KL + 1e-6) over the range; off, T = 1. Only multinomial sampling has a
  /// temperature.
  public var adaptiveTemperature: Bool

  public init(
    strategy: Strategy = .multinomial, searchRange: Bool = true, orderPreservation: Bool = true,
    adaptiveTemperature: Bool = true
  ) {
    self.strategy = strategy
    self.searchRange = searchRange
    self.orderPreservation = orderPreservation
    self.adaptiveTemperature = adaptiveTemperature
  }

  /// Refuses what cannot be matched: call it before hours are spent.
  /// - Throws: `Failure(.badPreset)`.
  public func check(studentLayers: Int, teacherLayers: Int) throws {
    guard studentLayers > 0, studentLayers <= teacherLayers else {
      throw Failure(
        .badPreset, "the student's target layers cannot be matched with the teacher's",
        expected: "at least one student layer and at least as many teacher layers",
        found: "\(studentLayers) student and \(teacherLayers) teacher target layers",
        advice: "Name fewer layers of the student or more of the teacher")
    }
    guard searchRange || !orderPreservation || strategy == .uniform else {
      throw Failure(
        .badPreset, "order preservation without a search range can leave layers unmatched",
        advice: "Turn the search range on, or order preservation off")
    }
  }

  /// The generator of one forward pass of an optimizer step: it follows from these numbers alone, so
  /// that matches depend neither on earlier steps nor on who computes which pass, and a continued
  /// run needs no state of it.
  public static func generator(seed: UInt64, step: Int, pass: Int) -> SplitMix64 {
    SplitMix64(keys: [seed ^ 0xA119, UInt64(step), UInt64(pass)])
  }

  /// Matches every student target layer, shallow to deep.
  /// - Parameter table: KL(i, j) in nats [t_s, t_l]: row i a student layer, column j a teacher's.
  /// - Returns: one match for each student layer [t_s].
  /// - Throws: `Failure(.badPreset)` for what `check` refuses; `Failure(.badData)` for a table that
  ///   is ragged or holds a value that is not finite.
  public func match(
    _ table: [[Float]], using generator: inout SplitMix64
  ) throws -> [LayerMatch] {
    let teacherLayers = table.first?.count ?? 0
    try check(studentLayers: table.count, teacherLayers: teacherLayers)
    for (i, row) in table.enumerated() {
      guard row.count == teacherLayers, row.allSatisfy(\.isFinite) else {
        throw Failure(
          .badData, "the table of divergences has a row that cannot be matched",
          at: "student layer \(i)", expected: "\(teacherLayers) finite numbers", found: "\(row)")
      }
    }
    var matches: [LayerMatch] = []
    var first = 0
    for (i, row) in table.enumerated() {
      let last = searchRange ? teacherLayers - table.count + i : teacherLayers - 1
      let match =
        strategy == .uniform
        ? LayerMatch(certain: [i * (teacherLayers / table.count)], in: 0..<teacherLayers)
        : pick(row, in: first..<last + 1, using: &generator)
      matches.append(match)
      if orderPreservation, let deepest = match.chosen.max() { first = deepest + 1 }
    }
    return matches
  }

  /// One student layer's match within `range`, which is not empty.
  private func pick(
    _ divergences: [Float], in range: Range<Int>, using generator: inout SplitMix64
  ) -> LayerMatch {
    let k = range.map { Double(divergences[$0]) }
    switch strategy {
    case .multinomial:
      let low = k.min() ?? 0
      let high = k.max() ?? 0
      let temperature = adaptiveTemperature ? 2 / (high - low + 1e-6) : 1
      let weights = k.map { exp((low - $0) / temperature) }
      return LayerMatch(
        drawnFrom: weights, in: range, temperature: temperature, using: &generator)
    case .random:
      return LayerMatch(
        drawnFrom: k.map { _ in 1 }, in: range, temperature: nil, using: &generator)
    case .bottom1, .bottom3, .uniform:
      let ascending = range.sorted {
        (divergences[$0], $0) < (divergences[$1], $1)
      }
      return LayerMatch(certain: Array(ascending.prefix(strategy == .bottom3 ? 3 : 1)), in: range)
    }
  }
}

/// What one student layer was matched with, and how sure the choice was.
public struct LayerMatch: Sendable, Equatable {
  /// The teacher layers that were searched.
  public var range: Range<Int>
  /// The teacher layers chosen, whose divergences are averaged: one, but for bottom-3.
  public var chosen: [Int]
  /// The sampling distribution over `range`; for a certain choice all mass lies on the chosen.
  public var probabilities: [Double]
  /// The temperature of multinomial sampling, else nil.
  public var temperature: Double?
  /// Entropy of the choice in nats: 0 for a certain one.
  public var entropy: Double

  /// The entropy of a choice that knows nothing, log(range size): near it, a match was not learned.
  public var maximumEntropy: Double { log(Double(range.count)) }

  init(certain chosen: [Int], in range: Range<Int>) {
    self.range = range
    self.chosen = chosen
    probabilities = range.map { chosen.contains($0) ? 1 / Double(chosen.count) : 0 }
    temperature = nil
    entropy = 0
  }

  /// Draws from `weights` over `range`: not negative, one of them positive.
  init(
    drawnFrom weights: [Double], in range: Range<Int>, temperature: Double?,
    using generator: inout SplitMix64
  ) {
    let total = weights.reduce(0, +)
    let probabilities = weights.map { $0 / total }
    let aim = generator.uniform()
    var cumulative = 0.0
    var index = 0
    for (candidate, p) in probabilities.enumerated() where p > 0 {
      // Rounding can leave the sum below the aim: the last possible candidate then stands.
      index = candidate
      cumulative += p
      if aim < cumulative { break }
    }
    self.range = range
    self.chosen = [range.lowerBound + index]
    self.probabilities = probabilities
    self.temperature = temperature
    entropy = probabilities.reduce(0) { $1 > 0 ? $0 - $1 * log($1) : $0 }
  }
}
