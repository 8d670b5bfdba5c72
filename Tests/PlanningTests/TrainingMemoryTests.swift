import Foundation
import StageKit
import Testing
import Training

@testable import Planning

/// How many decoder blocks a training computes again.
@Suite struct TrainingMemoryTests {
  private static let layers = ModelNeedsTests.small.text.layers
  private let pass = SampleSurvey.Pass([
    ExampleReader.Size(tokens: 2000, supervisedPositions: 100, patches: [1024])
  ])

  private func memory(
    _ available: Int, _ checkpointing: TrainingSettings.Checkpointing = .auto, threads: Int? = nil,
    encodes: Bool = false
  ) -> TrainingMemory {
    var settings = FinetuneSettings()
    settings.training.gradientCheckpointing = checkpointing
    return TrainingMemory.finetune(
      ModelNeeds(
        ModelNeedsTests.small, threads: threads ?? Cores.usable),
      settings: settings, encodes: encodes, available: available)
  }

  @Test func asManyAsMemoryAsksFor() {
    #expect(memory(0, .none).recomputedBlocks(pass) == 0)
    #expect(memory(1 << 50, .all).recomputedBlocks(pass) == Self.layers)
    #expect(memory(0).recomputedBlocks(pass) == Self.layers)
    #expect(memory(1 << 50).recomputedBlocks(pass) == 0)
    let all = memory(0).bytes([pass]), none = memory(1 << 50).bytes([pass])
    #expect(all < none)
    var before = Self.layers
    for part in 1...20 {
      let available = Int((Double(all) + Double(none - all) * Double(part) / 20) / 0.8) + 1
      let memory = memory(available)
      let blocks = memory.recomputedBlocks(pass)
      #expect(blocks <= before)
      #expect(memory.bytes([pass]) <= Int(Double(available) * 0.8))
      before = blocks
    }
    #expect(before == 0)
  }

  @Test func aSmallerPassKeepsMore() {
    let short = SampleSurvey.Pass([
      ExampleReader.Size(tokens: 500, supervisedPositions: 100, patches: [])
    ])
    let half = memory((memory(0).bytes([pass]) + memory(1 << 50).bytes([pass])) / 2 * 5 / 4)
    let blocks = half.recomputedBlocks(pass)
    #expect(blocks > 0 && blocks < Self.layers)
    #expect(half.recomputedBlocks(short) < blocks)
    let recomputation = half.recomputation([
      ExampleReader.Size(tokens: 2000, supervisedPositions: 100, patches: [1024])
    ])
    #expect(recomputation.decoderBlocks == blocks && recomputation.encoder)
  }

  @Test func aStageWithAShareOfTheCoresHasThatOfTheMemory() {
    let cores = Cores.usable
    let available = memory(1 << 50).bytes([pass]) * 5 / 4 + 1
    #expect(memory(available).recomputedBlocks(pass) == 0)
    if cores > 1 { #expect(memory(available, threads: 1).recomputedBlocks(pass) > 0) }
  }

  @Test func knownEmbeddingsTakeLessThanImages() {
    let image = SampleSurvey.Pass([
      ExampleReader.Size(tokens: 4100, supervisedPositions: 10, patches: [16_000])
    ])
    #expect(memory(0).bytes([image]) < memory(0, encodes: true).bytes([image]))
  }
}
