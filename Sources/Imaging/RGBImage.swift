import Failures
import Foundation

/// An image of 8-bit red, green and blue.
public struct RGBImage: Sendable, Equatable {
  public let width: Int
  public let height: Int
  /// [height, width, 3], row-major.
  public let pixels: [UInt8]

  /// Images of more pixels are refused, as Pillow refuses them: a small file can claim any size.
  static let mostPixels = 178_956_970

  /// - Throws: `Failure(.software)` where the count of pixels is not width · height · 3.
  public init(width: Int, height: Int, pixels: [UInt8]) throws {
    guard width > 0, height > 0, pixels.count == width * height * 3 else {
      throw Failure(
        .software, "pixels do not fill the image", expected: "\(width) x \(height) x 3",
        found: "\(pixels.count) bytes")
    }
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// Reads a PNG, JPEG or WebP file, told apart by its first bytes.
  ///
  /// Gives what Pillow's `exif_transpose(open(path)).convert("RGB")` gives: colours as stored,
  /// alpha dropped, EXIF orientation applied, the first frame.
  ///
  /// - Throws: `Failure`, 66 where the file cannot be read, 65 where it is no whole image.
  public init(contentsOf path: String) throws {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw Failure(.inputMissing, "the image does not exist", at: path)
    }
    guard !isDirectory.boolValue, let data = FileManager.default.contents(atPath: path) else {
      throw Failure(.inputMissing, "the image cannot be read", at: path)
    }
    try self.init(decoding: [UInt8](data), place: path)
  }

  /// Decodes the bytes of a PNG, JPEG or WebP file.
  ///
  /// - Parameter place: the file, for messages.
  public init(decoding bytes: [UInt8], place: String) throws {
    if bytes.starts(with: PNGDecoder.signature) {
      self = try PNGDecoder.decode(bytes, place: place)
    } else if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
      self = try JPEGDecoder.decode(bytes, place: place)
    } else if bytes.count >= 12, bytes.starts(with: Array("RIFF".utf8)),
      bytes[8..<12].elementsEqual("WEBP".utf8)
    {
      self = try WebPDecoder.decode(bytes, place: place)
    } else {
      throw Failure(
        .badData, "not an image that can be read", at: place, expected: "PNG, JPEG or WebP",
        found: bytes.isEmpty ? "an empty file" : "other content")
    }
  }

  /// Refuses sizes that no image should have, before memory is asked for.
  static func check(width: Int, height: Int, place: String) throws {
    guard width > 0, height > 0, height <= mostPixels / width else {
      throw Failure(
        .badData, "the image's size is out of range", at: place,
        expected: "1 to \(mostPixels) pixels", found: "\(width) x \(height)")
    }
  }

  /// The image turned upright: orientation as in EXIF, 1 to 8; others leave it as it is.
  func oriented(_ orientation: Int) throws -> RGBImage {
    guard (2...8).contains(orientation) else { return self }
    let swaps = orientation >= 5
    let (newWidth, newHeight) = swaps ? (height, width) : (width, height)
    var result = [UInt8](repeating: 0, count: pixels.count)
    var target = 0
    for y in 0..<newHeight {
      for x in 0..<newWidth {
        let (sourceX, sourceY) =
          switch orientation {
          case 2: (width - 1 - x, y)
          case 3: (width - 1 - x, height - 1 - y)
          case 4: (x, height - 1 - y)
          case 5: (y, x)
          case 6: (y, height - 1 - x)
          case 7: (width - 1 - y, height - 1 - x)
          default: (width - 1 - y, x)
          }
        let source = (sourceY * width + sourceX) * 3
        result[target] = pixels[source]
        result[target + 1] = pixels[source + 1]
        result[target + 2] = pixels[source + 2]
        target += 3
      }
    }
    return try RGBImage(width: newWidth, height: newHeight, pixels: result)
  }
}
