import Testing

@testable import Planning

/// The model of time on several machines, against what it says by hand.
@Suite struct ClusterPlanTests {
  private func plan(_ stage: StageCost, nodes: Int, cores: Int = 2, network: Double = 1e9)
    -> ClusterPlan.Cost
  {
    ClusterPlan(
      [stage], threads: 2, reading: 1e9, writing: 1e9,
      on: .init(nodes: nodes, cores: cores, network: network)
    ).stages[0]
  }

  private func cost(
    _ spread: StageCost.Spread, seconds: Double = 1000, fixed: Double = 10, steps: Int? = nil,
    optimizer: Double = 0, reads: Int = 0
  ) -> StageCost {
    var cost = StageCost(name: "stage", steps: steps)
    cost.spread = spread
    cost.seconds = seconds
    cost.fixedSeconds = fixed
    cost.optimizerSeconds = optimizer
    cost.reads = reads
    return cost
  }

  @Test func `one machine like this one takes what it takes`() {
    for spread in [StageCost.Spread.shares, .layers(4), .passes(16, learned: 1_000_000)] {
      let found = plan(cost(spread, steps: 10, optimizer: 100), nodes: 1)
      #expect(abs(found.seconds - 1000) < 1e-9 && found.sent == 0 && found.nodes == 1)
    }
  }

  @Test func `shares divide all but the start`() {
    let found = plan(cost(.shares), nodes: 9, cores: 4)
    #expect(abs(found.seconds - (10 + 990.0 / 2 / 9)) < 1e-9 && found.bound == .arithmetic)
    #expect(plan(cost(.shares), nodes: 1000, cores: 64).bound == .start)
    // 200 s of one shared disk, whoever reads it.
    let read = plan(cost(.shares, reads: 200_000_000_000), nodes: 99, cores: 64)
    #expect(abs(read.seconds - 210) < 1 && read.bound == .disk)
  }

  @Test func `ranks share the moments`() {
    var stage = cost(.passes(16, learned: 1000))
    (stage.memory, stage.sharedMemory) = (10_000, 2000)
    #expect([1, 3, 64].map { plan(stage, nodes: $0).memory } == [10_000, 8667, 8125])
  }

  @Test func `layers and passes are no finer than they are`() {
    let layers = plan(cost(.layers(7)), nodes: 16)
    #expect(layers.nodes == 7 && abs(layers.seconds - (10 + 990.0 / 7)) < 1e-9)
    let halves = plan(cost(.layers(7)), nodes: 4)
    #expect(abs(halves.seconds - (10 + 990.0 * 2 / 7)) < 1e-9)
    let passes = plan(cost(.passes(16, learned: 0), steps: 5), nodes: 64)
    #expect(passes.nodes == 16 && abs(passes.seconds - (10 + 990.0 / 16)) < 1e-9)
  }

  @Test func `a step sends eight bytes a weight but for the own part`() {
    let stage = cost(.passes(16, learned: 1_500_000_000), steps: 100, optimizer: 90)
    let found = plan(stage, nodes: 4, network: 12.5e9)
    #expect(found.sent == 9e9)
    #expect(abs(found.seconds - (10 + 900.0 / 4 + 90.0 / 4 + 100 * 9 / 12.5)) < 1e-6)
    #expect(plan(stage, nodes: 16, cores: 128, network: 1e8).bound == .network)
  }
}
