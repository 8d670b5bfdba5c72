import Artifacts
import Failures

/// Seeing an image as a whole and in tiles, as transformers' `LlavaOnevisionImageProcessor` does: it
/// is fitted into the best of given sizes, the rest black, and cut into squares; the whole, squeezed
/// into one square, comes first. Of several images in one conversation each is one square, the rest
/// in the mean colour.
public struct ImageTiling: Sendable, Equatable {
  public struct Size: Sendable, Equatable {
    public var height: Int
    public var width: Int

    public init(height: Int, width: Int) {
      self.height = height
      self.width = width
    }
  }

  /// Side of a tile in pixels.
  public var tile: Int
  /// The sizes that tiles can fill together, in their order.
  public var pinpoints: [Size]

  public init(tile: Int, pinpoints: [Size]) {
    self.tile = tile
    self.pinpoints = pinpoints
  }

  /// Reads `image_grid_pinpoints`. Throws 65 for anything but pairs of sizes.
  public static func sizes(_ json: JSON?, place: String) throws -> [Size] {
    let pairs = (json?.asArray ?? []).map { ($0.asArray ?? []).map { $0.asInt ?? 0 } }
    guard !pairs.isEmpty, pairs.count <= 4096,
      pairs.allSatisfy({ $0.count == 2 && $0.allSatisfy((1...(1 << 16)).contains) })
    else {
      throw Failure(
        .badData, "bad or missing \"image_grid_pinpoints\"", at: place,
        expected: "pairs of a height and a width in pixels",
        found: json.map { String($0.text().prefix(60)) })
    }
    return pairs.map { Size(height: $0[0], width: $0[1]) }
  }

  /// The size that keeps the most of an image and, of such, wastes the least
  /// (transformers' `select_best_resolution`); nil where there is none to choose from.
  public static func best(_ sizes: [Size], for image: Size) -> Size? {
    var best: (size: Size, kept: Int, waste: Int)?
    for size in sizes {
      let scale = min(
        Double(size.width) / Double(image.width), Double(size.height) / Double(image.height))
      let kept = min(
        Int(Double(image.width) * scale) * Int(Double(image.height) * scale),
        image.width * image.height)
      let waste = size.width * size.height - kept
      if let found = best, (kept, -waste) <= (found.kept, -found.waste) { continue }
      best = (size, kept, waste)
    }
    return best?.size
  }

  /// Throws 65 for sizes that tiles do not fill.
  func check(_ place: String) throws {
    guard (1...4096).contains(tile), pinpoints.allSatisfy({ fits($0) }) else {
      throw Failure(
        .badData, "image_grid_pinpoints are no multiples of the tile", at: place,
        expected: "multiples of \(tile), at most \(ImageTiling.mostTiles) tiles each")
    }
  }

  private static let mostTiles = 256

  private func fits(_ size: Size) -> Bool {
    size.height % tile == 0 && size.width % tile == 0
      && size.height / tile * (size.width / tile) <= ImageTiling.mostTiles
  }

  /// The tiles of an image, the whole first.
  func tiles(_ image: RGBImage) throws -> [RGBImage] {
    let whole = try image.resized(width: tile, height: tile)
    let own = Size(height: image.height, width: image.width)
    guard let best = ImageTiling.best(pinpoints, for: own) else { return [whole] }
    let across = Double(best.width) / Double(image.width)
    let down = Double(best.height) / Double(image.height)
    let fitted =
      across < down
      ? Size(
        height: min(Int((Double(image.height) * across).rounded(.up)), best.height),
        width: best.width)
      : Size(
        height: best.height,
        width: min(Int((Double(image.width) * down).rounded(.up)), best.width))
    let padded = try image.resized(width: fitted.width, height: fitted.height)
      .placed(in: best, colour: [0, 0, 0])
    var tiles = [whole]
    for top in stride(from: 0, to: best.height, by: tile) {
      for left in stride(from: 0, to: best.width, by: tile) {
        tiles.append(try padded.cropped(top: top, left: left, height: tile, width: tile))
      }
    }
    return tiles
  }

  /// An image as one tile.
  func single(_ image: RGBImage, mean: [Float]) throws -> RGBImage {
    let side = max(image.height, image.width)
    return try image.placed(
      in: Size(height: side, width: side), colour: mean.map { UInt8(Int($0 * 255)) }
    ).resized(width: tile, height: tile)
  }
}

extension RGBImage {
  /// The image in the middle of a larger one, the odd pixel behind it.
  func placed(in size: ImageTiling.Size, colour: [UInt8]) throws -> RGBImage {
    if size == ImageTiling.Size(height: height, width: width) { return self }
    try RGBImage.check(width: size.width, height: size.height, place: "padding")
    let top = (size.height - height) / 2, left = (size.width - width) / 2
    var new = [UInt8](repeating: colour[0], count: size.height * size.width * 3)
    if Set(colour).count > 1 { for i in new.indices { new[i] = colour[i % 3] } }
    for row in 0..<height {
      let start = ((top + row) * size.width + left) * 3
      new.replaceSubrange(
        start..<start + width * 3, with: pixels[row * width * 3..<(row + 1) * width * 3])
    }
    return try RGBImage(width: size.width, height: size.height, pixels: new)
  }

  /// A part of the image.
  func cropped(top: Int, left: Int, height: Int, width: Int) throws -> RGBImage {
    var part: [UInt8] = []
    part.reserveCapacity(height * width * 3)
    for row in top..<top + height {
      let start = (row * self.width + left) * 3
      part += pixels[start..<start + width * 3]
    }
    return try RGBImage(width: width, height: height, pixels: part)
  }
}
