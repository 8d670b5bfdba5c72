import Artifacts
import Checkpoints
import Foundation
import Imaging
import Kernels
import TestSupport
import Testing

@testable import Decoding
@testable import Models

/// The tiny model of Qwen2-VL's real vocabulary that Tests/Goldens/make_generation_goldens.py
/// describes, its weights made by the same formula, in bfloat16 on disk and mapped.
enum FormulaModel {
  private static let folder = Result { try write() }

  /// A fresh model over the checkpoint, which is written once.
  static func load() throws -> VisionLanguageModel {
    try VisionLanguageModel(Checkpoint(directory: folder.get()("model")))
  }

  private static func write() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    let vocabulary = 151_936
    let config = Qwen2VLConfig(
      text: .init(
        hiddenSize: 48, layers: 3, heads: 4, keyValueHeads: 2, intermediateSize: 96,
        vocabularySize: vocabulary, ropeTheta: 1_000_000, mropeSection: [2, 2, 2],
        rmsNormEpsilon: 1e-6, tieWordEmbeddings: true, maxPositions: 256),
      vision: .init(
        depth: 1, embedDimension: 32, heads: 2, mlpRatio: 2, patchSize: 4, temporalPatchSize: 2,
        spatialMergeSize: 2, inChannels: 3, hiddenSize: 48),
      imageTokenID: 151_655, videoTokenID: 151_656, visionStartTokenID: 151_652,
      visionEndTokenID: 151_653, eosTokenID: 151_645)
    let tensors = config.tensorShapes.map { name, shape in
      OutputTensor(name, weight(name, shape))
    }
    try CheckpointWriter.write(to: folder("model"), config: config, tensors: tensors)
    return folder
  }

  /// `count` numbers in [-1/2, 1/2).
  static func uniform(_ name: String, _ count: Int) -> [Float] {
    let seed = name.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01B3
    }
    return (0..<count).map {
      Float(SplitMix64.stir(seed &+ UInt64($0)) >> 40) * 0x1p-24 - 0.5
    }
  }

  private static func weight(_ name: String, _ shape: [Int]) -> RawTensor {
    let isNorm = name.contains("norm") || name.contains("ln_q")
    let deviation =
      if isNorm || name.hasSuffix("bias") {
        0.3
      } else if name.contains("embed_tokens") {
        0.45
      } else {
        1.2 / Double(shape.dropFirst().reduce(1, *)).squareRoot()
      }
    let scale = Float(deviation * 12.0.squareRoot())
    let mean: Float = isNorm && name.hasSuffix("weight") ? 1 : 0
    let values = uniform(name, shape.reduce(1, *)).map { $0 * scale + mean }
    return RawTensor(values, as: .bfloat16, shape: shape)
  }
}

/// Tests/Goldens/generation.json: what transformers answers with the formula's model.
struct GenerationGoldens: Decodable {
  struct Prompt: Decodable {
    var ids: [Int32]
    var grids: [[Int]]
  }

  struct Greedy: Decodable {
    var prompt: Int
    var stop: [Int32]
    var repetitionPenalty: Float
    var ids: [Int32]
    var stopped: Bool
  }

  struct Beams: Decodable {
    var prompt: Int
    var stop: [Int32]
    var lengthPenalty: Float
    var earlyStopping: String
    var repetitionPenalty: Float
    var ids: [Int32]
    var stopped: Bool
    var score: Float
  }

  struct Warped: Decodable {
    struct Case: Decodable {
      var scale: Float
      var temperature: Float
      var topK: Int?
      var topP: Double?
      var kept: Int
      var first: [Int]
      var idSum: Int
      var probabilities: [Double]
    }
    var count: Int
    var cases: [Case]
  }

  var newTokens: Int
  var prompts: [Prompt]
  var greedy: [Greedy]
  var beams: [Beams]
  var warped: Warped

  init() throws {
    let file = Goldens.root.deletingLastPathComponent().appendingPathComponent("generation.json")
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    self = try decoder.decode(GenerationGoldens.self, from: Data(contentsOf: file))
  }

  /// A prompt with its images' patches.
  func sample(_ number: Int) -> ModelSample {
    let prompt = prompts[number], patch = 3 * 2 * 4 * 4
    let count = prompt.grids.reduce(0) { $0 + $1[1] * $1[2] }
    let patches = FormulaModel.uniform("prompt.\(number)", count * patch).map { $0 * 3 }
    var start = 0
    let images = prompt.grids.map { grid in
      let size = grid[1] * grid[2] * patch
      defer { start += size }
      return ModelImage(
        grid: ImageGrid(time: grid[0], height: grid[1], width: grid[2]),
        patches: Array(patches[start..<start + size]))
    }
    return ModelSample(inputIDs: prompt.ids, images: images)
  }
}
