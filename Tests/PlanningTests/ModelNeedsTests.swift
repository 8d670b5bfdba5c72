import Checkpoints
import Models
import Testing

@testable import Planning

/// The counts of Qwen2-VL's published shapes.
@Suite struct ModelNeedsTests {
  static func config(
    hidden: Int, layers: Int, heads: Int, keyValueHeads: Int, intermediate: Int, vocabulary: Int,
    tied: Bool
  ) -> Qwen2VLConfig {
    Qwen2VLConfig(
      text: .init(
        hiddenSize: hidden, layers: layers, heads: heads, keyValueHeads: keyValueHeads,
        intermediateSize: intermediate, vocabularySize: vocabulary, ropeTheta: 1e6,
        mropeSection: [16, 24, 24], rmsNormEpsilon: 1e-6, tieWordEmbeddings: tied,
        maxPositions: 32768),
      vision: .init(
        depth: 32, embedDimension: 1280, heads: 16, mlpRatio: 4, patchSize: 14,
        temporalPatchSize: 2, spatialMergeSize: 2, inChannels: 3, hiddenSize: hidden),
      imageTokenID: 151_655, videoTokenID: 151_656, visionStartTokenID: 151_652,
      visionEndTokenID: 151_653, bosTokenID: 151_643, eosTokenID: 151_645)
  }

  static let small = config(
    hidden: 1536, layers: 28, heads: 12, keyValueHeads: 2, intermediate: 8960,
    vocabulary: 151_936, tied: true)
  static let large = config(
    hidden: 3584, layers: 28, heads: 28, keyValueHeads: 4, intermediate: 18944,
    vocabulary: 152_064, tied: false)

  @Test("Fine-tuning trains the 1.54 billion weights of a 2B's language model, adapters 74 million")
  func parameters() {
    let needs = ModelNeeds(Self.small, threads: 2)
    #expect(needs.trained(embedding: true, vision: false) == 1_543_714_304)
    // A tied head learns with the embedding, whatever the preset says of the latter.
    #expect(needs.trained(embedding: false, vision: false) == 1_543_714_304)
    #expect(needs.trained(embedding: true, vision: true) == Self.small.parameterCount)
    #expect(needs.adapters(rank: 64) == 73_859_072)
    let wide = ModelNeeds(Self.large, threads: 2)
    #expect(
      wide.trained(embedding: true, vision: false) - wide.trained(embedding: false, vision: false)
        == 152_064 * 3584)
  }

  @Test("A token costs two operations a weight of the blocks, and what its attention looks at")
  func operations() {
    let needs = ModelNeeds(Self.small, threads: 2)
    let blocks = Double(1_543_714_304 - 151_936 * 1536)
    let one = needs.forwardOperations(lengths: [1])
    #expect(abs(one - 2 * blocks) < 0.001 * one)
    // Samples do not look at each other; a longer one looks at more.
    let apart = needs.forwardOperations(lengths: [1000, 1000])
    #expect(apart == 2 * needs.forwardOperations(lengths: [1000]))
    #expect(needs.forwardOperations(lengths: [2000]) > 1.03 * apart)
    let images = needs.encodingOperations(patches: [1024])
    #expect(images > 1024 * 2 * 0.6e9 && images < 1024 * 2 * 0.8e9)
    #expect(needs.encodingOperations(patches: []) == 0)
  }

  @Test("More tokens, patches or threads never take less memory; a gradient takes more")
  func memory() {
    let needs = ModelNeeds(Self.small, threads: 2)
    #expect(needs.forwardBytes(tokens: 2000) == 2 * needs.forwardBytes(tokens: 1000))
    let encoding = needs.encodingBytes(patches: 4096, largestImage: 2048)
    #expect(encoding < needs.encodingBytes(patches: 4096, largestImage: 4096))
    #expect(
      encoding < ModelNeeds(Self.small, threads: 8).encodingBytes(patches: 4096, largestImage: 2048)
    )
    let kept = needs.trainingBytes(tokens: 1000, recomputed: 99, loraRank: nil)
    #expect(kept > needs.forwardBytes(tokens: 1000))
    #expect(kept < needs.trainingBytes(tokens: 1000, recomputed: 99, loraRank: 64))
    #expect(5 * kept < needs.trainingBytes(tokens: 1000, recomputed: 0, loraRank: nil))
  }

  @Test("Attention's scores count, and no count is too large to be added up")
  func scores() {
    let needs = ModelNeeds(Self.small, threads: 2)
    #expect(
      needs.forwardBytes(tokens: 100, scores: 10_000) - needs.forwardBytes(tokens: 100) == 80_000)
    let most = needs.encodingBytes(patches: 1 << 40, largestImage: .max)
    #expect(most > 1 << 56 && most + needs.scoreBytes(.max) + 2 * needs.scoreBytes(.max) > most)
  }
}
