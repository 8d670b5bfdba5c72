import Failures
import Foundation
import TestSupport
import Testing

@testable import Imaging

@Suite struct ProcessingTests {
  struct Expected: Decodable {
    struct Resize: Decodable {
      var from: [Int]
      var to: [Int]
      var crc: UInt32
      var rgb: Data?
    }
    struct Process: Decodable {
      var image: [Int]
      var config: Config
      var grid: [Int]
      var count: Int
      var step: Int
      var values: [Float]
      var sum: Double
    }
    struct Config: Codable {
      var patchSize: Int
      var mergeSize: Int
      var temporalPatchSize: Int
      var imageMean: [Double]
      var imageStd: [Double]
      var size: [String: Int]

      enum CodingKeys: String, CodingKey {
        case patchSize = "patch_size"
        case mergeSize = "merge_size"
        case temporalPatchSize = "temporal_patch_size"
        case imageMean = "image_mean"
        case imageStd = "image_std"
        case size
      }
    }
    var resize: [Resize]
    var process: [Process]
    var sizes: [[Size]]
    /// Five numbers, then a size or null.
    enum Size: Decodable {
      case number(Int)
      case pair([Int])
      case none

      init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
          self = .none
        } else if let number = try? container.decode(Int.self) {
          self = .number(number)
        } else {
          self = .pair(try container.decode([Int].self))
        }
      }
    }
  }

  let expected: Expected

  init() throws {
    expected = try Goldens.decode("processing.json", as: Expected.self)
  }

  @Test("Bicubic resizing equals Pillow's, bit for bit, up and down")
  func resizing() throws {
    for example in expected.resize {
      let image = try RGBImage(
        width: example.from[1], height: example.from[0],
        pixels: formula(height: example.from[0], width: example.from[1]))
      let resized = try image.resized(width: example.to[1], height: example.to[0])
      if let rgb = example.rgb { #expect(resized.pixels == [UInt8](rgb)) }
      #expect(crc(resized.pixels) == example.crc, "\(example.from) to \(example.to)")
    }
  }

  @Test("Grids and patches equal transformers' Qwen2VLImageProcessor, for any shape and setting")
  func patches() throws {
    for example in expected.process {
      let folder = NSTemporaryDirectory() + "vlsi-processor-" + UUID().uuidString
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: folder) }
      try JSONEncoder().encode(example.config)
        .write(to: URL(fileURLWithPath: folder + "/preprocessor_config.json"))
      let processor = try ImageProcessor(directory: folder)
      let image = try RGBImage(
        width: example.image[1], height: example.image[0],
        pixels: formula(height: example.image[0], width: example.image[1]))
      let (resized, grid) = try processor.prepared(image, isAlone: true)
      #expect([grid.time, grid.height, grid.width] == example.grid)
      let values = try processor.patches(
        pixels: resized.pixels, height: resized.height, width: resized.width)
      try #require(values.count == example.count)
      #expect(values.count == grid.patches * processor.patchLength)
      for (index, value) in example.values.enumerated() {
        #expect(abs(values[index * example.step] - value) <= 1e-6)
      }
      let sum = values.reduce(0.0) { $0 + Double($1) }
      #expect(abs(sum - example.sum) <= 1e-7 * Double(values.count))
    }
  }

  @Test("Sizes after smart_resize equal transformers', refusals included")
  func sizes() throws {
    for row in expected.sizes {
      let numbers = row.compactMap { if case .number(let value) = $0 { value } else { nil } }
      var processor = ImageProcessor()
      processor.patchSize = numbers[2] / 2
      processor.minPixels = numbers[3]
      processor.maxPixels = numbers[4]
      if case .pair(let size) = row[5] {
        let found = try processor.smartResize(height: numbers[0], width: numbers[1])
        #expect([found.height, found.width] == size, "\(numbers)")
      } else {
        let failure = failure {
          _ = try processor.smartResize(height: numbers[0], width: numbers[1], place: "a.png")
        }
        #expect(failure?.code == .badData && failure?.place == "a.png")
      }
    }
  }

  @Test("Pixels that do not divide into patches are refused")
  func wrongShapes() {
    let processor = ImageProcessor()
    for (height, width, count) in [(28, 28, 5), (27, 28, 27 * 28 * 3), (0, 0, 0), (-28, 28, 0)] {
      #expect(throws: Failure.self) {
        try processor.patches(
          pixels: [UInt8](repeating: 0, count: count), height: height, width: width)
      }
    }
  }

  @Test(
    "Both dialects of the settings read, wherever they stand; bad ones are refused naming the setting"
  )
  func dialects() throws {
    let folder = NSTemporaryDirectory() + "vlsi-processor-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func read(_ text: String) throws -> ImageProcessor {
      try text.write(
        toFile: folder + "/preprocessor_config.json", atomically: true, encoding: .utf8)
      return try ImageProcessor(directory: folder)
    }
    #expect(throws: Failure.self) { try ImageProcessor(directory: folder) }
    let hub = try read(
      """
      {"min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2,
       "merge_size": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
       "image_processor_type": "Qwen2VLImageProcessor"}
      """)
    let new = try read(
      """
      {"size": {"shortest_edge": 3136, "longest_edge": 12845056}, "patch_size": 14,
       "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 3}
      """)
    #expect(hub == new)
    #expect(hub.fingerprint == new.fingerprint)
    #expect(hub.fingerprint != ImageProcessor().fingerprint)
    // As transformers reads them: what stands in processor_config.json counts first.
    let nested = folder + "/processor_config.json"
    try #"{"image_processor": {"patch_size": 16}, "processor_class": "Qwen2VLProcessor"}"#
      .write(toFile: nested, atomically: true, encoding: .utf8)
    #expect(try read(#"{"patch_size": 14}"#).patchSize == 16)
    try #"{"processor_class": "Qwen2VLProcessor"}"#
      .write(toFile: nested, atomically: true, encoding: .utf8)
    #expect(try read(#"{"patch_size": 14}"#).patchSize == 14)
    for (text, word) in [
      ("{\"patch_size\": 0}", "patch_size"), ("{\"merge_size\": 99}", "merge_size"),
      ("{\"min_pixels\": 100, \"max_pixels\": 50}", "min_pixels"),
      ("{\"image_std\": [0, 1, 1]}", "image_std"),
      ("{\"image_mean\": [1]}", "image_mean"), ("{\"resample\": 0}", "resampling"),
      ("{\"do_resize\": false}", "do_resize"), ("{", "invalid JSON"), ("[]", "settings"),
      ("{\"patch_size\": \"x\"}", "patch_size"), ("{\"size\": 224}", "size"),
      ("{\"size\": {\"shortest_edge\": \"x\"}}", "size"),
      ("{\"image_processor_type\": \"CLIPImageProcessor\"}", "another model's"),
      ("<!DOCTYPE html><html>", "an HTML page"),
    ] {
      #expect { try read(text) } throws: {
        ($0 as? Failure)?.code == .badData && "\($0)".contains(word)
      }
    }
  }
}
