import Artifacts
import Foundation
import TestSupport
import Testing

@testable import Imaging

/// Decoding, resizing and patches beside Pillow and transformers themselves, where
/// VLSI_TORCH_PYTHON names a Python that has them (Tests/Goldens/make_image_goldens.py --compare).
@Suite struct PillowTests {
  private static var python: String? { ProcessInfo.processInfo.environment["VLSI_TORCH_PYTHON"] }

  /// A case without pixels is one that transformers refuses.
  struct Case: Decodable {
    var kind: String
    var file: String
    var size: String
    var processor: Int
    var decoded: UInt32
    var pixels: String?
    var values: String?
    var resized: [Int]?
    var grid: [Int]?
  }

  /// Pillow's milliseconds for one photograph.
  struct Timing: Decodable {
    var file: String
    var decode: Double
    var resize: Double
  }

  struct Index: Decodable {
    var cases: [Case]
    var timings: [Timing]
  }

  /// What was seen of one kind of file.
  struct Row {
    var images = 0
    var refused = 0
    var decodedEqual = 0
    var worstPixel = 0
    var leastEqual = 1.0
    var worstValue: Float = 0
  }

  @Test(
    "Some 1,600 images: pixels within 1 level and 99.9% equal, pixel_values within 1e-5",
    .enabled(if: python != nil, "needs a Python with Pillow and transformers: VLSI_TORCH_PYTHON"))
  func everyKind() throws {
    let folder = try TemporaryFolder()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(Self.python))
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Goldens/make_image_goldens.py")
    process.arguments = ["-W", "ignore", script.path, "--compare", folder.path]
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    let index = try JSONDecoder().decode(
      Index.self, from: Data(try Files.read(folder("index.json"))))
    let processors = try (0...4).map { try ImageProcessor(directory: folder("processor\($0)")) }

    var rows: [String: Row] = [:]
    for expected in index.cases {
      let row = try compare(expected, processors[expected.processor], folder)
      let name = "\(expected.file), \(expected.size)"
      #expect(row.worstPixel <= 1 && row.leastEqual >= 0.999, "\(name): \(row)")
      #expect(row.worstValue <= 1e-5, "\(name): \(row)")
      var sum = rows[expected.kind] ?? Row()
      sum.images += 1
      sum.refused += row.refused
      sum.decodedEqual += row.decodedEqual
      sum.worstPixel = max(sum.worstPixel, row.worstPixel)
      sum.leastEqual = min(sum.leastEqual, row.leastEqual)
      sum.worstValue = max(sum.worstValue, row.worstValue)
      rows[expected.kind] = sum
    }
    show(rows)
    try time(index.timings, folder)
  }

  private func show(_ rows: [String: Row]) {
    print("kind | images | refused by both | decoded alike | pixels differ by | equal | values by")
    for (kind, row) in rows.sorted(by: { $0.key < $1.key }) {
      print(
        "\(kind) | \(row.images) | \(row.refused) | \(row.decodedEqual) | \(row.worstPixel) | "
          + "\(row.leastEqual * 100)% | \(row.worstValue)")
    }
  }

  private func time(_ timings: [Timing], _ folder: TemporaryFolder) throws {
    var processor = ImageProcessor()
    processor.maxPixels = 800_000
    print("photograph | decode, ours | Pillow's | resize, ours | Pillow's (ms, best of nine)")
    for theirs in timings {
      let path = folder(theirs.file)
      let image = try RGBImage(contentsOf: path)
      let decode = try best { _ = try RGBImage(contentsOf: path) }
      let resize = try best { _ = try processor.resize(image) }
      let numbers = [decode, theirs.decode, resize, theirs.resize].map {
        String(format: "%.1f", $0)
      }
      print("\(theirs.file) | \(numbers.joined(separator: " | "))")
    }
  }

  private func best(_ work: () throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    return try (0..<9).map { _ in try clock.measure(work) / .milliseconds(1) }.min() ?? 0
  }

  private func compare(
    _ expected: Case, _ processor: ImageProcessor, _ folder: TemporaryFolder
  ) throws -> Row {
    var row = Row()
    let image = try RGBImage(contentsOf: folder(expected.file))
    row.decodedEqual = crc(image.pixels) == expected.decoded ? 1 : 0
    guard let pixels = expected.pixels, let values = expected.values else {
      #expect(failure { _ = try processor.resize(image) }?.code == .badData, "\(expected.size)")
      row.refused = 1
      return row
    }
    let (resized, grid) = try processor.prepared(image, isAlone: true)
    #expect([resized.height, resized.width] == expected.resized, "\(expected.size)")
    #expect([grid.time, grid.height, grid.width] == expected.grid, "\(expected.size)")
    let theirs = try Files.read(folder(pixels))
    try #require(theirs.count == resized.pixels.count)
    var equal = 0
    for (ours, theirs) in zip(resized.pixels, theirs) {
      if ours == theirs { equal += 1 }
      row.worstPixel = max(row.worstPixel, abs(Int(ours) - Int(theirs)))
    }
    row.leastEqual = Double(equal) / Double(theirs.count)
    let patches = try processor.patches(
      pixels: resized.pixels, height: resized.height, width: resized.width)
    try Files.read(folder(values)).withUnsafeBytes { raw in
      let theirs = raw.bindMemory(to: Float.self)
      try #require(theirs.count == patches.count)
      for (ours, theirs) in zip(patches, theirs) {
        row.worstValue = max(row.worstValue, abs(ours - theirs))
      }
    }
    for name in [expected.file, pixels, values] { try Files.removeTree(folder(name)) }
    return row
  }
}
