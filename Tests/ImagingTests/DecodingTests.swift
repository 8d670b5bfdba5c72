import Artifacts
import Failures
import TestSupport
import Testing

@testable import Imaging

@Suite struct DecodingTests {
  struct Expected: Decodable {
    var file: String
    var width: Int
    var height: Int
    var crc: UInt32
  }

  static func bytes(_ name: String) throws -> [UInt8] {
    try Files.read(Files.join(Goldens.folder, name))
  }

  @Test("PNG, JPEG, WebP and GIF of every kind decode to the pixels that Pillow gives")
  func pixelsEqualReference() throws {
    let cases = try Goldens.decode("expected.json", as: [Expected].self)
    #expect(cases.count >= 90)
    for expected in cases {
      let image = try RGBImage(contentsOf: Files.join(Goldens.folder, expected.file))
      #expect(image.width == expected.width && image.height == expected.height, "\(expected.file)")
      #expect(crc(image.pixels) == expected.crc, "\(expected.file)")
    }
  }

  @Test("A damaged image is bad data, 65, and the message names the file")
  func damaged() throws {
    let names = try Files.list(Goldens.folder).filter { $0.hasPrefix("bad-") }
    #expect(names.count >= 24)
    for name in names {
      let path = Files.join(Goldens.folder, name)
      let failure = failure { _ = try RGBImage(contentsOf: path) }
      #expect(failure?.code == .badData && failure?.place == path, "\(name)")
    }
  }

  @Test(
    "A size that no image should have is refused by what the header says",
    arguments: [
      "bad-huge.png", "bad-huge.jpg", "bad-huge.webp", "bad-huge.gif",
    ])
  func sizes(_ name: String) throws {
    let failure = failure { _ = try RGBImage(decoding: Self.bytes(name), place: name) }
    #expect(failure?.what == "the image's size is out of range")
    #expect(failure?.found?.contains(" x ") == true)
  }

  @Test("Any prefix and any single changed byte of an image gives pixels or an error, never a trap")
  func changedBytes() throws {
    for name in [
      "rgb-interlaced.png", "indexed2.png", "rotated-text.png", "rgb.jpg", "exif6.jpg",
      "progressive.jpg", "cmyk.jpg", "lossless.webp", "lossy-alpha.webp", "animated.webp",
      "interlaced.gif", "animated.gif", "offset-clear.gif",
    ] {
      let whole = try Self.bytes(name)
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

  @Test("A file that is not there, a folder or a device in its place are missing input, 66")
  func missing() {
    for path in [Goldens.folder + "/nothing.png", Goldens.folder, "/dev/stdin", "/dev/zero"] {
      #expect(failure { _ = try RGBImage(contentsOf: path) }?.code == .inputMissing, "\(path)")
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
