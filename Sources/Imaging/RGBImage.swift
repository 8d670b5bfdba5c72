import Artifacts
import Failures
import Kernels

/// An image of 8-bit red, green and blue.
public struct RGBImage: Sendable, Equatable {
  public let width: Int
  public let height: Int
  /// [height, width, 3], row-major.
  public let pixels: [UInt8]

  /// Images of more pixels are refused, as Pillow refuses them: a small file can claim any size.
  static let mostPixels = 178_956_970
  static let mostSide = 1 << 20
  /// Larger files are refused before they are read.
  public static let mostBytes = 1 << 30

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

  /// Reads a PNG, JPEG, WebP or GIF file, told apart by its first bytes.
  ///
  /// Gives what transformers' `convert_to_rgb` makes of Pillow's `exif_transpose(open(path))`:
  /// the first frame, turned upright as its metadata say, colours as stored, what is transparent
  /// laid over white.
  ///
  /// - Throws: `Failure`, 66 where the file cannot be read, 65 where it is no whole image.
  public init(contentsOf path: String) throws {
    try self.init(decoding: try Files.read(path, limit: RGBImage.mostBytes), place: path)
  }

  /// Decodes the bytes of a PNG, JPEG, WebP or GIF file.
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
    } else if GIFDecoder.signatures.contains(where: bytes.starts(with:)) {
      self = try GIFDecoder.decode(bytes, place: place)
    } else {
      throw Failure(
        .badData, "not an image that can be read", at: place, expected: "PNG, JPEG, WebP or GIF",
        found: bytes.isEmpty ? "an empty file" : "other content"
      ).naming(bytes)
    }
  }

  /// Refuses sizes that no image should have, before memory is asked for.
  static func check(width: Int, height: Int, place: String) throws {
    guard width > 0, height > 0, max(width, height) <= mostSide, height <= mostPixels / width else {
      throw Failure(
        .badData, "the image's size is out of range", at: place,
        expected: "1 to \(mostPixels) pixels, no side above \(mostSide)",
        found: "\(width) x \(height)")
    }
  }

  /// - Parameter rgba: [height, width, 4]
  init(width: Int, height: Int, overWhite rgba: [UInt8]) throws {
    let count = width * height
    guard rgba.count == count * 4 else {
      throw Failure(.software, "pixels do not fill the image", found: "\(rgba.count) bytes")
    }
    try self.init(
      width: width, height: height,
      pixels: [UInt8](unsafeUninitializedCapacity: count * 3) { target, filled in
        guard let target = target.baseAddress else { return }
        layOverWhite(rgba, count: count, to: target)
        filled = count * 3
      })
  }

  /// The image turned upright: orientation as in EXIF, 1 to 8; others leave it as it is.
  func oriented(_ orientation: Int) throws -> RGBImage {
    guard (2...8).contains(orientation) else { return self }
    let swaps = orientation >= 5
    let (newWidth, newHeight) = swaps ? (height, width) : (width, height)
    let (right, down) = (width - 1, (height - 1) * width)
    // The corner that comes to the top left, and the steps that lead right and down from there.
    let (first, stepRight, stepDown) =
      switch orientation {
      case 2: (right, -1, width)
      case 3: (right + down, -1, -width)
      case 4: (down, 1, -width)
      case 5: (0, width, 1)
      case 6: (down, -width, 1)
      case 7: (right + down, -width, -1)
      default: (right, width, -1)
      }
    return try RGBImage(
      width: newWidth, height: newHeight,
      pixels: [UInt8](unsafeUninitializedCapacity: pixels.count) { target, count in
        guard let target = target.baseAddress else { return }
        gatherPixels(
          pixels, first: first, right: stepRight, down: stepDown, height: newHeight,
          width: newWidth, to: target)
        count = pixels.count
      })
  }
}
