import Testing

@testable import Training

/// How the passes of a step fall to ranks.
@Suite struct DealTests {
  @Test func `every pass falls to one rank, and none waits long for another`() {
    var generator = SystemRandomNumberGenerator()
    for count in 1...9 {
      for step in 0..<5 {
        let costs = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
          Int.random(in: 1...2048, using: &generator)
        }
        let dealt = ParallelOptimizers.deal(costs, among: count, from: step)
        #expect(dealt.flatMap(\.self).sorted() == Array(costs.indices))
        #expect(dealt.allSatisfy { $0 == $0.sorted() } && dealt.count == count)
        let loads = dealt.map { $0.reduce(0) { $0 + costs[$1] } }
        let mean = costs.reduce(0, +) / count
        #expect(loads.max() ?? 0 <= mean + (costs.max() ?? 0))
        #expect(dealt == ParallelOptimizers.deal(costs, among: count, from: step))
      }
    }
  }

  @Test func `equal passes fall in turn, and another rank begins each step`() {
    #expect(ParallelOptimizers.deal([5, 5, 5, 5], among: 2, from: 0) == [[0, 2], [1, 3]])
    #expect(ParallelOptimizers.deal([5], among: 3, from: 4) == [[], [0], []])
  }
}
