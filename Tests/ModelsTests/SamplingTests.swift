import Foundation
import Kernels
import Testing

@testable import Decoding
@testable import Models

/// Sampling draws from transformers' warped distributions, as often as they say.
@Suite struct SamplingTests {
  @Test func warpedScores() throws {
    let goldens = try GenerationGoldens()
    let count = goldens.warped.count
    #expect(goldens.warped.cases.count == 8)
    for expected in goldens.warped.cases {
      let scores = Buffer(FormulaModel.uniform("scores", count).map { $0 * expected.scale })
      let twentieth = scores.array.sorted(by: >)[19]
      scores.pointer[7] = twentieth
      scores.pointer[11] = twentieth
      let sampling = Sampling(
        temperature: expected.temperature, topK: expected.topK, topP: expected.topP, seed: 0)
      sampling.warp(scores.pointer, count)
      let kept = (0..<count).filter { scores.pointer[$0] > -.infinity }
      let place: Comment = "\(expected.scale), \(expected.temperature)"
      #expect(kept.count == expected.kept && kept.reduce(0, +) == expected.idSum, place)
      #expect(Array(kept.prefix(50)) == expected.first, place)
      let shares = kept.map { exp(Double(scores.pointer[$0])) }
      let mass = shares.reduce(0, +)
      for (share, probability) in zip(shares, expected.probabilities) {
        #expect(abs(share / mass - probability) < 1e-6, place)
      }
    }
  }

  /// A chi-square test of 40,000 draws at a level of one in ten thousand; the seed is fixed, so it
  /// holds always or never.
  @Test(arguments: [nil, 12] as [Int?], [nil, 0.85] as [Double?])
  func frequencies(topK: Int?, topP: Double?) {
    let count = 40, draws = 40_000
    let start = FormulaModel.uniform("chi", count).map { $0 * 5 }
    let sampling = Sampling(temperature: 1.3, topK: topK, topP: topP, seed: 5)
    let scores = Buffer(start)
    sampling.warp(scores.pointer, count)
    let shares = scores.array.map { exp(Double($0)) }
    let mass = shares.reduce(0, +)
    var generator = sampling.generator(0)
    var found = [Int](repeating: 0, count: count)
    for _ in 0..<draws {
      scores.pointer.update(from: start, count: count)
      found[Int(sampling.draw(scores.pointer, count, using: &generator))] += 1
    }
    var distance = 0.0, classes = 0
    for (share, times) in zip(shares, found) {
      let expected = share / mass * Double(draws)
      if expected == 0 {
        #expect(times == 0)
        continue
      }
      distance += (Double(times) - expected) * (Double(times) - expected) / expected
      classes += 1
    }
    // Wilson and Hilferty's approximation of the chi-square distribution's quantile.
    let freedom = Double(classes - 1)
    let limit = freedom * pow(1 - 2 / (9 * freedom) + 3.719 * (2 / (9 * freedom)).squareRoot(), 3)
    #expect(classes == topK ?? classes || topP != nil)
    #expect(distance < limit, "\(distance) with \(freedom) degrees of freedom")
  }

  /// The same seed says the same, another something else; an answer's draws are its own, whatever is
  /// answered beside it; a cold temperature is greedy.
  @Test func seeds() throws {
    let goldens = try GenerationGoldens(), model = try FormulaModel.load()
    func answers(_ seed: UInt64, _ prompts: [Int], temperature: Float = 2) throws -> [[Int32]] {
      let sampling = Sampling(temperature: temperature, topK: 50, topP: 0.95, seed: seed)
      let settings = GenerationSettings(method: .sampling(sampling), maxNewTokens: 6, stop: [])
      return try model.generate(prompts.map(goldens.sample), settings).map(\.tokens)
    }
    let both = try answers(1, [3, 5])
    #expect(try both == answers(1, [3, 5]))
    #expect(try both[0] == answers(1, [3])[0])
    #expect(try both[0] != answers(2, [3])[0])
    #expect(try answers(1, [3, 3])[0] != answers(1, [3, 3])[1])
    let greedy = try model.generate(
      [goldens.sample(3)], GenerationSettings(maxNewTokens: 6, stop: []))[0].tokens
    for temperature: Float in [1e-4, 1e-38, .leastNonzeroMagnitude] {
      #expect(try answers(1, [3], temperature: temperature)[0] == greedy)
    }
  }
}
