import Failures
import Foundation
import Kernels
import Testing

@testable import Distillation

@Suite struct LayerMatchingTests {
  /// METHOD.md's pseudo-code and the sentences of its ablation written down once more, line by line
  /// and in other words than the library's: the layers of each student layer, and the distribution
  /// that a layer was sampled from.
  static func transcription(
    _ kl: [[Float]], _ matching: LayerMatching, using generator: inout SplitMix64
  ) -> (matches: [[Int]], distributions: [[Double]]) {
    let ts = kl.count
    let tl = kl[0].count
    var first = 0
    var matches: [[Int]] = []
    var distributions: [[Double]] = []
    for i in 0..<ts {
      // for i in 0 ..< t_s: range = first ... (t_l - t_s + i)
      let range = Array(
        (matching.orderPreservation ? first : 0)...(matching.searchRange ? tl - ts + i : tl - 1))
      // k = [KL(i, j) for j in range]
      let k = range.map { Double(kl[i][$0]) }
      var js: [Int] = []
      switch matching.strategy {
      case .multinomial:
        // T = 2 / (max(k) - min(k) + 1e-6); j = sample from softmax(-k / T) over range
        let temperature =
          matching.adaptiveTemperature ? 2 / ((k.max() ?? 0) - (k.min() ?? 0) + 1e-6) : 1
        let e = k.map { exp(-$0 / temperature) }
        let p = e.map { $0 / e.reduce(0, +) }
        let u = generator.uniform()
        var j = range.last ?? 0
        var sum = 0.0
        for (a, b) in zip(range, p) {
          sum += b
          if u < sum {
            j = a
            break
          }
        }
        js = [j]
        distributions.append(p)
      case .random:
        // random index
        js = [range[Int(generator.uniform() * Double(range.count))]]
      case .uniform:
        // uniform index (j = i · floor(t_l/t_s))
        js = [i * Int((Double(tl) / Double(ts)).rounded(.down))]
      case .bottom1:
        // bottom-1 (smallest KL)
        var best = 0
        for a in k.indices where k[a] < k[best] { best = a }
        js = [range[best]]
      case .bottom3:
        // bottom-3 (mean of the three smallest)
        var left = Array(zip(range, k))
        for _ in 0..<min(3, left.count) {
          let smallest = left.map(\.1).min()
          if let a = left.firstIndex(where: { $0.1 == smallest }) {
            js.append(left.remove(at: a).0)
          }
        }
      }
      matches.append(js)
      // first = j + 1, behind the deepest where there are three
      first = (js.max() ?? 0) + 1
    }
    return (matches, distributions)
  }

  /// Every strategy with every combination of the three options that can be matched.
  static let combinations: [LayerMatching] = LayerMatching.Strategy.allCases.flatMap { strategy in
    [(true, true), (true, false), (false, false), (false, true)].flatMap { range, order in
      [true, false].map { adaptive in
        LayerMatching(
          strategy: strategy, searchRange: range, orderPreservation: order,
          adaptiveTemperature: adaptive)
      }
    }
  }.filter { $0.searchRange || !$0.orderPreservation || $0.strategy == .uniform }

  static func randomTable(_ generator: inout SplitMix64) -> [[Float]] {
    let ts = 1 + generator.below(8)
    let tl = ts + generator.below(14)
    let scale = [0.01, 0.3, 3, 30][generator.below(4)]
    return (0..<ts).map { _ in (0..<tl).map { _ in Float(generator.uniform() * scale) } }
  }

  @Test(
    "The library's matches are those of the pseudo-code transcribed, draw by draw",
    arguments: combinations)
  func equalsTranscription(matching: LayerMatching) throws {
    var tables = SplitMix64(seed: 1)
    for round in 0..<400 {
      let table = Self.randomTable(&tables)
      var one = SplitMix64(seed: UInt64(round))
      var two = one
      let matches = try matching.match(table, using: &one)
      let isUniform = matching.strategy == .uniform
      var literal = matching
      // The uniform index knows no range: order is nothing that the transcription could start from.
      if isUniform { literal.orderPreservation = false }
      let expected = Self.transcription(table, literal, using: &two)
      #expect(matches.map(\.chosen) == expected.matches)
      #expect(one == two)
      for (match, p) in zip(matches, expected.distributions) {
        #expect(zip(match.probabilities, p).allSatisfy { abs($0 - $1) < 1e-12 })
      }
    }
  }

  @Test("Matches strictly increase, stay in range, and every student layer gets one")
  func ordered() throws {
    var generator = SplitMix64(seed: 2)
    for _ in 0..<2_000 {
      let table = Self.randomTable(&generator)
      let (ts, tl) = (table.count, table[0].count)
      for strategy in [LayerMatching.Strategy.multinomial, .random, .bottom1, .bottom3] {
        let matches = try LayerMatching(strategy: strategy).match(table, using: &generator)
        #expect(matches.count == ts)
        var before = -1
        for (i, match) in matches.enumerated() {
          #expect(match.range == before + 1..<tl - ts + i + 1)
          #expect(!match.chosen.isEmpty && match.chosen.allSatisfy(match.range.contains))
          #expect((match.chosen.min() ?? -1) > before)
          #expect(abs(match.probabilities.reduce(0, +) - 1) < 1e-9)
          #expect(match.entropy >= 0 && match.entropy <= match.maximumEntropy + 1e-9)
          before = match.chosen.max() ?? 0
        }
      }
    }
  }

  @Test("The paper's example: t_l - t_s = 4, the 2nd took the 4th, so the 3rd searches 5th to 7th")
  func paperExample() throws {
    // Layers are counted from 1 in the paper, from 0 here. The tiny divergence forces the choices.
    var table = [[Float]](repeating: [Float](repeating: 50, count: 7), count: 3)
    table[0][1] = 0
    table[1][3] = 0
    var generator = SplitMix64(seed: 3)
    let matches = try LayerMatching().match(table, using: &generator)
    #expect(matches[1].chosen == [3])
    #expect(matches[2].range == 4..<7)
  }

  @Test("Frequencies follow the softmax: chi-square below its 99.9% bound, seed fixed")
  func frequencies() throws {
    let row: [Float] = [0.4, 2.0, 0.9, 1.3, 3.1]
    let table = [row]
    for adaptive in [true, false] {
      let matching = LayerMatching(adaptiveTemperature: adaptive)
      let temperature = adaptive ? 2 / (3.1 - 0.4 + 1e-6) : 1.0
      let e = row.map { exp(-Double($0) / temperature) }
      let p = e.map { $0 / e.reduce(0, +) }
      var counts = [Double](repeating: 0, count: 5)
      var generator = SplitMix64(seed: 4)
      let draws = 50_000
      for _ in 0..<draws {
        counts[try matching.match(table, using: &generator)[0].chosen[0]] += 1
      }
      let chiSquare = zip(counts, p).reduce(0.0) {
        let expected = $1.1 * Double(draws)
        return $0 + ($1.0 - expected) * ($1.0 - expected) / expected
      }
      #expect(chiSquare < 18.47)  // 4 degrees of freedom
    }
  }

  @Test("Entropy: at its maximum for equal divergences, far below for the paper's ranges")
  func entropy() throws {
    var generator = SplitMix64(seed: 5)
    let equal = try LayerMatching().match([[1, 1, 1, 1]], using: &generator)[0]
    #expect(abs(equal.entropy - log(4)) < 1e-9)
    #expect(equal.maximumEntropy == log(4))
    let wide = try LayerMatching().match([[1, 9, 12, 14]], using: &generator)[0]
    #expect(wide.entropy < 0.01)
    #expect(wide.chosen == [0])
  }

  @Test("The ablations' strategies choose what METHOD.md says")
  func ablations() throws {
    let table: [[Float]] = [[5, 1, 3, 2, 4, 9], [9, 8, 7, 6, 0, 5]]
    var generator = SplitMix64(seed: 6)
    func chosen(_ strategy: LayerMatching.Strategy) throws -> [[Int]] {
      try LayerMatching(strategy: strategy, searchRange: false, orderPreservation: false)
        .match(table, using: &generator).map(\.chosen)
    }
    #expect(try chosen(.uniform) == [[0], [3]])
    #expect(try chosen(.bottom1) == [[1], [4]])
    #expect(try chosen(.bottom3) == [[1, 3, 2], [4, 5, 3]])
    var seen = Set<Int>()
    for _ in 0..<200 { seen.formUnion(try chosen(.random).joined()) }
    #expect(seen == Set(0..<6))
    let free = LayerMatching(orderPreservation: false)
    for _ in 0..<200 {
      let matches = try free.match(table, using: &generator)
      #expect(matches.map(\.range) == [0..<5, 0..<6])
    }
  }

  @Test("Passes and steps draw apart: together as the softmax says, each its own")
  func passes() throws {
    // Three layers, so that later draws of a pass count too.
    let table = [[Float]](repeating: [1, 1, 1, 1], count: 3)
    let matching = LayerMatching(strategy: .random, searchRange: false, orderPreservation: false)
    var counts: [[Int]: Double] = [:]
    for number in 0..<16_384 {
      var generator = LayerMatching.generator(
        seed: UInt64(number % 2), step: number / 8, pass: number / 2 % 4)
      counts[try matching.match(table, using: &generator).flatMap(\.chosen), default: 0] += 1
    }
    let chiSquare = counts.values.reduce(0) { $0 + ($1 - 256) * ($1 - 256) / 256 }
    #expect(counts.count == 64 && chiSquare < 103.4)  // 63 degrees of freedom, 99.9%
  }

  @Test("What cannot be matched is refused: 78 for a preset, 65 for a table")
  func refused() throws {
    var generator = SplitMix64(seed: 9)
    func code(_ matching: LayerMatching, _ table: [[Float]]) -> ExitCode? {
      do {
        _ = try matching.match(table, using: &generator)
        return nil
      } catch {
        return (error as? Failure)?.code
      }
    }
    #expect(code(LayerMatching(), [[1], [1]]) == .badPreset)
    #expect(code(LayerMatching(), []) == .badPreset)
    for strategy in [LayerMatching.Strategy.multinomial, .random, .bottom1, .bottom3] {
      #expect(code(LayerMatching(strategy: strategy, searchRange: false), [[1, 2]]) == .badPreset)
    }
    #expect(code(LayerMatching(), [[1, .nan]]) == .badData)
    #expect(code(LayerMatching(), [[1, .infinity]]) == .badData)
    #expect(code(LayerMatching(), [[1, 2, 3], [1, 2]]) == .badData)
  }
}
