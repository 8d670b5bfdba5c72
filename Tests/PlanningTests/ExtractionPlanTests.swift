import StageKit
import Testing
import Training

@testable import Planning

/// How many passes go through the decoder blocks together.
@Suite struct ExtractionPlanTests {
  private static let needs = ModelNeeds(ModelNeedsTests.large, threads: 2)
  /// 200 samples of 500 tokens.
  private static let survey = SampleSurvey(
    (0..<200).map { _ in
      ExampleReader.Size(tokens: 500, supervisedPositions: 40, patches: [1024])
    }, samples: 200)
  private static let weights = 13 << 30

  private func plan(
    _ available: Int?, asked: Int? = nil, samplesPerShard: Int = 512,
    of survey: SampleSurvey = survey, stores: Bool = false
  ) -> ExtractionPlan {
    var settings = ExtractSettings()
    settings.tokensInFlight = asked
    return ExtractionPlan(
      Self.needs, survey, settings: settings, samplesPerShard: samplesPerShard, layers: 8,
      weights: Self.weights, stores: stores, available: available)
  }

  @Test("Where the weights fit, pass by pass; else as many as half of the memory holds")
  func auto() {
    let roomy = plan(64 << 30)
    #expect(roomy.tokensInFlight == 1 && roomy.readings == 1 && !roomy.rereads)
    #expect(plan(nil).tokensInFlight == 1)
    // Room for the weights alone is none for the stage beside them.
    #expect(plan(Self.weights).rereads)
    var before = 0
    for gigabytes in [1, 3, 4, 6, 8, 12] {
      let plan = plan(gigabytes << 30)
      #expect(plan.rereads && plan.tokensInFlight >= before)
      #expect(plan.tokensInFlight == 1 || plan.memory <= gigabytes << 29)
      before = plan.tokensInFlight
    }
    #expect(plan(1 << 30).tokensInFlight == 1)
    #expect(before == ExtractionPlan.mostTokens)
  }

  @Test("Weights are read once a flight, and a flight ends with its shard")
  func readings() {
    #expect(plan(12 << 30, asked: 1).readings == 25)
    #expect(plan(12 << 30, asked: 50_000).readings == 2)
    #expect(plan(12 << 30, asked: 1_000_000).readings == 1)
    #expect(plan(12 << 30, asked: 1_000_000, samplesPerShard: 20).readings == 10)
    #expect(plan(64 << 30, asked: 1000).readings == 1)
  }

  @Test("Passes that wait take memory, as far as a shard has any")
  func memory() {
    let (one, some, all) = (
      plan(nil, asked: 1), plan(nil, asked: 50_000), plan(nil, asked: 1 << 20)
    )
    // What enters a block and its rotary tables, 4 bytes a number; stored rows, 2.
    let token = 4 * (3584 + 128) + 2 * 8 * 3584 * 40 / 500
    #expect(abs(some.memory - one.memory - 44_000 * token) < 44_000 * token / 100)
    #expect(abs(all.memory - one.memory - 96_000 * token) < 96_000 * token / 100)
    #expect(plan(nil, asked: 1 << 20, samplesPerShard: 8).memory == one.memory)
    #expect(plan(nil, asked: 50_000, stores: true).memory > some.memory)
    // What a survey of some samples has too few of.
    let part = SampleSurvey(Array(Self.survey.sizes.prefix(20)), samples: 2000)
    let found = plan(nil, asked: 100_000, of: part)
    #expect(abs(found.memory - all.memory) < all.memory / 50)
  }
}
