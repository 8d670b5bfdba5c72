import Foundation
import Kernels

/// Drawing tokens at random: temperature, then top-k, then top-p (nucleus sampling, Holtzman et
/// al. 2020), as transformers' warpers in that order.
public struct Sampling: Sendable {
  /// Above 0; the scores are divided by it.
  public var temperature: Float
  /// Keeps the k likeliest tokens, and those that are as likely as the last of them.
  public var topK: Int?
  /// Keeps the likeliest tokens whose probabilities reach p together.
  public var topP: Double?
  /// An answer's draws follow from it and the answer's place alone.
  public var seed: UInt64

  public init(temperature: Float = 1, topK: Int? = nil, topP: Double? = nil, seed: UInt64) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
  }

  /// The chance of the answer at this place.
  func generator(_ place: Int) -> SplitMix64 {
    SplitMix64(seed: SplitMix64.stir(seed) &+ UInt64(place))
  }

  /// Divides the scores [count] by the temperature and puts those of tokens that are not to be
  /// drawn to minus infinity.
  func warp(_ scores: UnsafeMutablePointer<Float>, _ count: Int) {
    // So cold that the quotients overflow: from the largest score down they do no harm.
    let top = maximum(scores, count)
    if !(top / temperature).isFinite {
      for i in 0..<count { scores[i] -= top }
    }
    for i in 0..<count { scores[i] /= temperature }
    let highest = maximum(scores, count)
    if let topK, topK < count {
      var largest = LargestNumbers(count: topK)
      largest.add(scores, 0..<count, highest: highest)
      if let floor = largest.smallest { mask(scores, count) { scores[$0] < floor } }
    }
    guard let topP, topP < 1 else { return }
    let shares = Buffer(count: count)
    shares.pointer.update(from: scores, count: count)
    let mass = Double(exponentiate(shares.pointer, minus: highest, count))
    let tail = (1 - topP) * mass
    // A token that leaves less than the tail even if all others are as likely as itself lies in
    // the tail: only the rest has to be sorted.
    let least = Float(tail / Double(count))
    let rising = (0..<count).filter { shares.pointer[$0] > least }
      .sorted { (shares.pointer[$0], $0) < (shares.pointer[$1], $1) }
    var below = rising.reduce(mass) { $0 - Double(shares.pointer[$1]) }
    let dropped = rising.dropLast().prefix { token in
      below += Double(shares.pointer[token])
      return below <= tail
    }
    mask(scores, count) { shares.pointer[$0] <= least }
    for token in dropped { scores[token] = -.infinity }
    withExtendedLifetime(shares) {}
  }

  private func mask(
    _ scores: UnsafeMutablePointer<Float>, _ count: Int, where hidden: (Int) -> Bool
  ) {
    for i in 0..<count where hidden(i) { scores[i] = -.infinity }
  }

  /// A token at random. The scores [count] become the probabilities that it was drawn by, times a
  /// factor.
  func draw(
    _ scores: UnsafeMutablePointer<Float>, _ count: Int, using generator: inout SplitMix64
  ) -> Int32 {
    warp(scores, count)
    _ = exponentiate(scores, minus: maximum(scores, count), count)
    let mass = (0..<count).reduce(0.0) { $0 + Double(scores[$1]) }
    var left = generator.uniform() * mass, last = 0
    for i in 0..<count where scores[i] > 0 {
      left -= Double(scores[i])
      last = i
      if left < 0 { break }
    }
    return Int32(last)
  }
}
