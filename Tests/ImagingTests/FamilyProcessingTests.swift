import Artifacts
import Failures
import Foundation
@testable import Models
import TestSupport
import Testing

@testable import Imaging

/// Other families' image processors against transformers': Tests/Goldens/images/families.json.
@Suite struct FamilyProcessingTests {
  private let goldens: JSON

  init() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Goldens/images/families.json").path
    goldens = try JSON(file: file, limit: 1 << 24)
  }

  private func processor(_ family: String, patchSize: Int? = nil) throws -> ImageProcessor {
    let folder = try TemporaryFolder()
    try folder.write(
      try #require(goldens[family]?["config"]).text(), to: "preprocessor_config.json")
    return try ImageProcessor(directory: folder.path, patchSize: patchSize)
  }

  private func integers(_ json: JSON?) -> [Int] { (json?.asArray ?? []).compactMap(\.asInt) }

  private func picture(_ shape: [Int]) throws -> RGBImage {
    try RGBImage(
      width: shape[1], height: shape[0], pixels: formula(height: shape[0], width: shape[1]))
  }

  @Test("Qwen3-VL's patches of 16 pixels, grids, tokens and sizes")
  func qwen3() throws {
    let processor = try processor("qwen3_vl")
    let config = try #require(ModelFamilies.sizes.first { $0.name == "qwen3-vl-2b" }).config
    for example in goldens["qwen3_vl"]?["process"]?.asArray ?? [] {
      let shape = integers(example["image"])
      let (image, grid) = try processor.prepared(picture(shape), isAlone: true)
      #expect([image.height, image.width] == integers(example["resized"]), "\(shape)")
      #expect([grid.time, grid.height, grid.width] == integers(example["grid"]), "\(shape)")
      #expect(config.imageTokens(grid) == example["tokens"]?.asInt, "\(shape)")
      let values = try processor.patches(
        pixels: image.pixels, height: image.height, width: image.width)
      try #require(values.count == example["count"]?.asInt)
      let step = try #require(example["step"]?.asInt)
      for (index, value) in (example["values"]?.asArray ?? []).enumerated() {
        let expected = Float(try #require(value.asDouble))
        #expect(abs(values[index * step] - expected) <= 1e-6, "\(shape), value \(index)")
      }
    }
    let sizes = goldens["qwen3_vl"]?["sizes"]?.asArray ?? []
    #expect(sizes.count == 300)
    for row in sizes {
      let row = row.asArray ?? []
      let (height, width) = (row[0].asInt ?? 0, row[1].asInt ?? 0)
      let found = try? processor.smartResize(height: height, width: width)
      #expect(
        found.map { [$0.height, $0.width] } ?? [] == integers(row[2]), "\(height) x \(width)")
    }
  }

  /// Compares tiles [tiles, 3, S, S] with patches: what does not fill a patch is not seen.
  private func expectTiles(
    _ example: JSON, _ patches: [Float], side: Int, patch: Int, tile: Int
  ) throws {
    let step = try #require(example["step"]?.asInt)
    for (number, value) in (example["values"]?.asArray ?? []).enumerated() {
      let index = number * step
      let column = index % tile, row = index / tile % tile
      let channel = index / tile / tile % 3, which = index / tile / tile / 3
      guard row < side * patch, column < side * patch else { continue }
      let place = (which * side + row / patch) * side + column / patch
      let found = patches[
        ((place * 3 + channel) * patch + row % patch) * patch + column % patch]
      let expected = Float(try #require(value.asDouble))
      #expect(abs(found - expected) <= 1e-6, "\(example["image"]?.text() ?? ""), value \(index)")
    }
  }

  @Test("LLaVA-OneVision's tiles, what of them is kept, tokens")
  func oneVision() throws {
    let size = try #require(ModelFamilies.sizes.first { $0.name == "llava-onevision-0.5b" })
    let config = try #require(size.config as? LlavaOneVisionConfig)
    let processor = try processor("llava_onevision", patchSize: config.vision.patchSize)
    #expect(config.processorMatches(processor).allSatisfy { $0.here == $0.there })
    for (key, isAlone) in [("process", true), ("squares", false)] {
      let examples = goldens["llava_onevision"]?[key]?.asArray ?? []
      #expect(examples.count >= 7)
      for example in examples {
        let shape = integers(example["image"])
        let (image, grid) = try processor.prepared(picture(shape), isAlone: isAlone)
        #expect(grid.time == example["tiles"]?.asInt ?? 1, "\(shape)")
        #expect(config.imageTokens(grid) == example["tokens"]?.asInt, "\(shape)")
        #expect(image.height == grid.time * 378 && image.width == 378)
        let patches = try processor.patches(
          pixels: image.pixels, height: image.height, width: image.width)
        try #require(patches.count == grid.patches * config.encoder.patchDimension)
        try expectTiles(example, patches, side: 27, patch: 14, tile: 384)
      }
    }
    let sizes = goldens["llava_onevision"]?["sizes"]?.asArray ?? []
    #expect(sizes.count == 300)
    for row in sizes {
      let row = integers(row)
      let original = ImageTiling.Size(height: row[0], width: row[1])
      let best = try #require(ImageTiling.best(config.pinpoints, for: original))
      #expect([best.height, best.width] == Array(row[2...3]), "\(row)")
      let view = try #require(config.view(original))
      #expect([view.shrunk.height, view.shrunk.width] == Array(row[6...7]), "\(row)")
      let grid = ImageGrid(time: view.tiles, height: 27, width: 27, original: original)
      #expect(config.imageTokens(grid) == row[8], "\(row)")
      // Other tiles than the picture's own are none of the model's.
      #expect(
        config.imageTokens(
          ImageGrid(time: view.tiles + 1, height: 27, width: 27, original: original)) == nil)
    }
  }
}
