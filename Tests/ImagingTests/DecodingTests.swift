import Failures
import Foundation
import Testing

@testable import Imaging

@Suite struct DecodingTests {
  struct Expected: Decodable {
    var file: String
    var width: Int
    var height: Int
    var rgb: Data
  }

  static let folder = Goldens.folder + "/images/"

  @Test("PNG, JPEG and WebP of every kind decode to the pixels that Pillow gives")
  func pixelsEqualReference() throws {
    let cases = try Goldens.decode("images.json", as: [Expected].self)
    #expect(cases.count >= 35)
    for expected in cases {
      let image = try RGBImage(contentsOf: Self.folder + expected.file)
      #expect(image.width == expected.width && image.height == expected.height, "\(expected.file)")
      let worst = zip(image.pixels, expected.rgb).map { abs(Int($0) - Int($1)) }.max() ?? 0
      #expect(worst == 0 && image.pixels.count == expected.rgb.count, "\(expected.file): \(worst)")
    }
  }

  @Test(
    "A damaged image is bad data, 65, and the message names the file",
    arguments: [
      "cut.png", "spoilt.png", "cut.jpg", "header.jpg", "cut.webp", "empty.png", "text.png",
      "huge.png", "zero.png", "bomb.png", "short.png", "filter.png",
    ])
  func damaged(_ name: String) throws {
    let path = Self.folder + "bad-" + name
    do {
      _ = try RGBImage(contentsOf: path)
      Issue.record("\(name) was read")
    } catch let failure as Failure {
      #expect(failure.code == .badData)
      #expect(failure.place == path)
    }
  }

  @Test("Any prefix and any single changed byte of an image gives pixels or an error, never a trap")
  func fuzz() throws {
    for name in ["interlaced.png", "palette.png", "rgb.jpg", "exif6.jpg", "lossless.webp"] {
      let data = try #require(FileManager.default.contents(atPath: Self.folder + name))
      let whole = [UInt8](data)
      for length in stride(from: 0, to: whole.count, by: 3) {
        _ = try? RGBImage(decoding: Array(whole[..<length]), place: name)
      }
      for position in whole.indices {
        var changed = whole
        changed[position] ^= UInt8(truncatingIfNeeded: 1 << (position % 8)) | 0x81
        _ = try? RGBImage(decoding: changed, place: name)
      }
    }
  }

  @Test("A file that is not there and a folder in its place are missing input, 66")
  func missing() {
    for path in [Self.folder + "nothing.png", Self.folder] {
      #expect { try RGBImage(contentsOf: path) } throws: {
        ($0 as? Failure)?.code == .inputMissing
      }
    }
  }

  @Test("PNG encoding gives the pixels back, and the same bytes each time")
  func pngRoundTrip() throws {
    for (height, width) in [(1, 1), (17, 23), (64, 64), (200, 3)] {
      let image = try RGBImage(
        width: width, height: height, pixels: formula(height: height, width: width))
      let data = try image.pngData()
      #expect(try RGBImage(decoding: data, place: "memory") == image)
      #expect(try image.pngData() == data)
    }
    var noise: [UInt8] = []
    var state: UInt64 = 1
    for _ in 0..<64 * 64 * 3 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      noise.append(UInt8(truncatingIfNeeded: state >> 33))
    }
    let image = try RGBImage(width: 64, height: 64, pixels: noise)
    #expect(try RGBImage(decoding: image.pngData(), place: "memory") == image)
  }
}
