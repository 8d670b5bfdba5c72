import Artifacts
import Checkpoints
import Foundation
import Imaging
import Models
import TestSupport
import Testing

/// What every release of transformers saves is read alike: Tests/Goldens/make_dialect_goldens.py.
@Suite struct DialectTests {
  static let releases = ["4.45.2", "4.49.0", "4.52.4", "4.57.1", "5.24.0"]

  private func folder(_ release: String, _ name: String) -> String {
    URL(fileURLWithPath: golden("")).deletingLastPathComponent()
      .appending(path: "dialects/\(release)/\(name)").path
  }

  private static let vision = Qwen2VLConfig.Vision(
    depth: 32, embedDimension: 1280, heads: 16, mlpRatio: 4, patchSize: 14, temporalPatchSize: 2,
    spatialMergeSize: 2, inChannels: 3, hiddenSize: 1536)

  private static let two = Qwen2VLConfig(
    text: .init(
      hiddenSize: 1536, layers: 28, heads: 12, keyValueHeads: 2, intermediateSize: 8960,
      vocabularySize: 151_936, ropeTheta: 1e6, mropeSection: [16, 24, 24], rmsNormEpsilon: 1e-6,
      tieWordEmbeddings: true, maxPositions: 32_768),
    vision: vision, imageTokenID: 151_655, videoTokenID: 151_656, visionStartTokenID: 151_652,
    visionEndTokenID: 151_653, bosTokenID: 151_643, eosTokenID: 151_645, dtype: .bfloat16)

  private static var seven: Qwen2VLConfig {
    var config = two
    config.vision.hiddenSize = 3584
    config.text.hiddenSize = 3584
    config.text.heads = 28
    config.text.keyValueHeads = 4
    config.text.intermediateSize = 18_944
    config.text.vocabularySize = 152_064
    config.text.tieWordEmbeddings = false
    return config
  }

  @Test(arguments: releases)
  func `config.json of 2B and 7B, read and written again`(release: String) throws {
    for (name, expected) in [("2b", Self.two), ("7b", Self.seven)] {
      let folder = folder(release, name)
      let config = try #require(ModelFamilies.config(directory: folder) as? Qwen2VLConfig)
      #expect(config == expected)
      let bytes = try config.hubJSON(over: Files.read(folder + "/config.json"))
      let written = try JSON(parsing: bytes, place: "written")
      #expect(try Qwen2VLConfig(written, place: "written") == expected)
      #expect(written["text_config"] == nil)
      #expect(written["image_token_id"] == 151_655 && written["vision_start_token_id"] == 151_652)
    }
  }

  @Test(arguments: releases)
  func `the image processor, wherever it is kept`(release: String) throws {
    for name in ["2b", "7b"] {
      #expect(try ImageProcessor(directory: folder(release, name)) == hubProcessor)
    }
  }

  private var hubProcessor: ImageProcessor {
    var processor = ImageProcessor()
    processor.maxPixels = 12_845_056
    return processor
  }

  @Test func `the same weights are the same model, whichever release saved them`() throws {
    let prints = try Self.releases.map { release in
      try Checkpoint(directory: folder(release, "tiny")).fingerprint
    }
    #expect(Set(prints).count == 1)
  }

  /// transformers 5.24's `Qwen2VLConfig()`, but for the vision encoder's output, which does not fit
  /// its language model there.
  @Test func `a key that is left out has the reference's value`() throws {
    let json: JSON = ["model_type": "qwen2_vl", "vision_config": ["hidden_size": 8192]]
    let config = try Qwen2VLConfig(json, place: "config.json")
    var expected = Self.two
    expected.text = .init(
      hiddenSize: 8192, layers: 80, heads: 64, keyValueHeads: 8, intermediateSize: 29_568,
      vocabularySize: 152_064, ropeTheta: 1e6, mropeSection: [16, 24, 24], rmsNormEpsilon: 1e-5,
      tieWordEmbeddings: false, maxPositions: 32_768)
    expected.vision.hiddenSize = 8192
    expected.bosTokenID = nil
    expected.dtype = nil
    #expect(config == expected)
    #expect(try Qwen2VLConfig(json.with("text_config", .null), place: "config.json") == expected)
    // Of a null there are as many key/value heads as heads.
    let null = try Qwen2VLConfig(json.with("num_key_value_heads", .null), place: "config.json")
    #expect(null.text.keyValueHeads == 64)
  }

  @Test func `a tied head is said outside or in text_config`() throws {
    for (path, tied) in [
      ("tie_word_embeddings", true), ("text_config.tie_word_embeddings", true), ("unknown", false),
    ] {
      let json = try JSON(file: folder("5.24.0", "7b") + "/config.json").with(path, true)
      let config = try Qwen2VLConfig(json, place: "config.json")
      #expect(config.text.tieWordEmbeddings == tied)
      let bytes = try config.hubJSON(over: Array(json.text().utf8))
      #expect(try JSON(parsing: bytes, place: "written")["tie_word_embeddings"] == .bool(tied))
    }
  }

  // MARK: The other families

  static let familyReleases = ["4.57.1", "5.24.0"]

  /// A model's numbers, but for what follows from its tokenizer and weights, which a size leaves open.
  private func numbers(_ config: any ModelConfig) throws -> JSON {
    func kept(_ json: JSON) -> JSON {
      guard let members = json.asObject else { return json }
      return .object(
        members.filter { name, _ in
          !["token_id", "token_index", "dtype"].contains { name.hasSuffix($0) }
        }.mapValues(kept))
    }
    return kept(.object(config.members))
  }

  @Test(arguments: familyReleases)
  func `config.json of the smallest sizes is that of the published, and stays so`(
    release: String
  ) throws {
    for name in ["qwen2.5-vl-3b", "qwen3-vl-2b", "llava-onevision-0.5b"] {
      let folder = folder("families/" + release, name)
      let expected = try #require(ModelFamilies.sizes.first { $0.name == name })
      let config = try ModelFamilies.config(directory: folder)
      #expect(try numbers(config).text() == numbers(expected.config).text(), "\(name)")
      let written = try JSON(
        parsing: config.hubJSON(over: Files.read(folder + "/config.json")), place: "written")
      let again = try ModelFamilies.config(written, place: "written")
      #expect(try numbers(again) == numbers(expected.config), "\(name)")
      // The processor, wherever it is kept, is that of the hub's file.
      let file = try TemporaryFolder()
      try file.write(expected.preprocessor.text(), to: "preprocessor_config.json")
      #expect(
        try ImageProcessor(directory: folder) == ImageProcessor(directory: file.path), "\(name)")
    }
  }

  @Test(arguments: ["qwen2_5_vl-tiny", "qwen3_vl-tiny", "llava_onevision-tiny"])
  func `the same weights of another family are the same model, whichever release saved them`(
    name: String
  ) throws {
    let models = try Self.familyReleases.map {
      try Checkpoint(directory: folder("families/" + $0, name))
    }
    #expect(models[0].fingerprint == models[1].fingerprint)
  }
}
