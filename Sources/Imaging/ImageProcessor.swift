import Artifacts
import Failures
import Foundation

/// Turns images into the patches that the vision encoder reads: in their own shape, as transformers'
/// `Qwen2VLImageProcessor` does, or in tiles (`ImageTiling`).
public struct ImageProcessor: Sendable, Equatable {
  /// Side of a patch in pixels.
  public var patchSize = 14
  /// Frames in a patch; a single image is repeated over them.
  public var temporalPatchSize = 2
  /// Patches merged into one visual token, along each side.
  public var mergeSize = 2
  /// Fewest and most pixels after resizing.
  public var minPixels = 56 * 56
  public var maxPixels = 28 * 28 * 1280
  public var rescaleFactor = 1.0 / 255
  /// Mean and deviation of red, green and blue, in units of rescaled values.
  public var mean: [Float] = [0.48145466, 0.4578275, 0.40821073]
  public var deviation: [Float] = [0.26862954, 0.26130258, 0.27577711]

  /// How images are cut into tiles; nil where they keep their own shape.
  public var tiling: ImageTiling?

  /// Qwen2-VL's own settings.
  public init() {}

  /// Reads `processor_config.json` or `preprocessor_config.json` in a model's folder.
  ///
  /// - Parameter patchSize: that of the model's encoder, which the settings of tiles do not tell.
  /// - Throws: `Failure`, 66 where neither has the settings, 65 where a value is out of range or
  ///   asks for what is not supported.
  public init(directory: String, patchSize: Int? = nil) throws {
    try self.init(ImageProcessorSettings(directory: directory), patchSize: patchSize)
  }

  /// - Throws: `Failure(.badData)` naming the setting that is out of range.
  func check(_ place: String) throws {
    for (name, value, range) in [
      ("patch_size", patchSize, 1...1024), ("temporal_patch_size", temporalPatchSize, 1...16),
      ("merge_size", mergeSize, 1...16), ("min_pixels", minPixels, 1...RGBImage.mostPixels),
      ("max_pixels", maxPixels, 1...RGBImage.mostPixels),
    ] where !range.contains(value) {
      throw Failure(
        .badData, "\(name) is out of range", at: place,
        expected: "\(range.lowerBound) to \(range.upperBound)", found: "\(value)")
    }
    guard minPixels <= maxPixels else {
      throw Failure(
        .badData, "min_pixels is above max_pixels", at: place, found: "\(minPixels), \(maxPixels)")
    }
    try tiling?.check(place)
    guard mean.count == 3, deviation.count == 3, deviation.allSatisfy({ $0 > 0 }),
      mean.allSatisfy(\.isFinite), rescaleFactor.isFinite, rescaleFactor > 0
    else {
      throw Failure(
        .badData, "image_mean and image_std are out of range", at: place,
        expected: "three numbers each, deviations above 0")
    }
  }

  /// Numbers in a patch, C · T · P · P.
  public var patchLength: Int { 3 * temporalPatchSize * patchSize * patchSize }

  /// The size that an image is resized to: both sides multiples of patch · merge, the pixels
  /// within bounds, the shape kept as well as possible.
  ///
  /// - Parameter place: the image, for messages.
  /// - Throws: `Failure(.badData)` for a shape more than 200 times as long as wide.
  public func smartResize(
    height: Int, width: Int, place: String? = nil
  ) throws -> (height: Int, width: Int) {
    try smartResize(
      height: height, width: width, minPixels: minPixels, maxPixels: maxPixels, leastSide: 0,
      place: place)
  }

  /// - Parameter leastSide: what a side is rounded up to, in units of patch · merge.
  func smartResize(
    height: Int, width: Int, minPixels: Int, maxPixels: Int, leastSide: Double, place: String?
  ) throws -> (height: Int, width: Int) {
    guard height > 0, width > 0,
      Double(max(height, width)) / Double(min(height, width)) <= 200
    else {
      throw Failure(
        .badData, "the image is too narrow", at: place,
        expected: "at most 200 times as long as wide",
        found: "\(width) x \(height)")
    }
    let factor = Double(patchSize * mergeSize)
    let (tall, wide) = (Double(height), Double(width))
    var newHeight = max(leastSide, (tall / factor).rounded(.toNearestOrEven)) * factor
    var newWidth = max(leastSide, (wide / factor).rounded(.toNearestOrEven)) * factor
    if newHeight * newWidth > Double(maxPixels) {
      let beta = (tall * wide / Double(maxPixels)).squareRoot()
      newHeight = max(factor, (tall / beta / factor).rounded(.down) * factor)
      newWidth = max(factor, (wide / beta / factor).rounded(.down) * factor)
    } else if newHeight * newWidth < Double(minPixels) {
      let beta = (Double(minPixels) / (tall * wide)).squareRoot()
      newHeight = (tall * beta / factor).rounded(.up) * factor
      newWidth = (wide * beta / factor).rounded(.up) * factor
    }
    // Where min_pixels is tiny a side can round to nothing; the reference fails there.
    guard newHeight >= 1, newWidth >= 1 else {
      throw Failure(
        .badData, "the image is too small", at: place, found: "\(width) x \(height)",
        advice: "Raise min_pixels.")
    }
    return (Int(newHeight), Int(newWidth))
  }

  /// The image at the size that the encoder sees.
  ///
  /// - Parameter place: the image, for messages.
  public func resize(_ image: RGBImage, place: String? = nil) throws -> RGBImage {
    let size = try smartResize(height: image.height, width: image.width, place: place)
    return try image.resized(width: size.width, height: size.height)
  }

  /// An image as the encoder sees it, with its grid: its tiles below one another where it has some.
  ///
  /// - Parameters:
  ///   - isAlone: it is its conversation's only image; tiles are for such alone.
  ///   - place: the image, for messages.
  public func prepared(
    _ image: RGBImage, isAlone: Bool, place: String? = nil
  ) throws -> (pixels: RGBImage, grid: ImageGrid) {
    guard let tiling else {
      let resized = try resize(image, place: place)
      return (
        resized, ImageGrid(height: resized.height / patchSize, width: resized.width / patchSize)
      )
    }
    let tiles = isAlone ? try tiling.tiles(image) : [try tiling.single(image, mean: mean)]
    // What does not fill a patch at the right and lower edges is not seen.
    let side = tiling.tile / patchSize
    let seen = try tiles.map {
      try $0.cropped(top: 0, left: 0, height: side * patchSize, width: side * patchSize)
    }
    return (
      try RGBImage(
        width: side * patchSize, height: tiles.count * side * patchSize,
        pixels: seen.flatMap(\.pixels)),
      ImageGrid(
        time: tiles.count, height: side, width: side,
        original: isAlone ? ImageTiling.Size(height: image.height, width: image.width) : nil)
    )
  }

  /// The patches of a resized image: [h · w, C · T · P · P], the patches of one visual token
  /// together, tokens row by row; values normalised.
  ///
  /// - Parameter pixels: [height, width, 3], both sides multiples of patch · merge.
  /// - Throws: `Failure(.badData)` where the shape does not fit.
  public func patches(pixels: [UInt8], height: Int, width: Int) throws -> [Float] {
    try pixels.withUnsafeBufferPointer { try patches(pixels: $0, height: height, width: width) }
  }

  /// The same from memory that someone else owns.
  public func patches(
    pixels: UnsafeBufferPointer<UInt8>, height: Int, width: Int
  ) throws -> [Float] {
    let block = patchSize * mergeSize
    guard height > 0, width > 0, height % block == 0, width % block == 0,
      pixels.count == height * width * 3
    else {
      throw Failure(
        .badData, "an image does not divide into patches",
        expected: "sides of multiples of \(block)",
        found: "\(width) x \(height), \(pixels.count) bytes")
    }
    let table = normalized()
    let count = height * width * 3 * temporalPatchSize
    return [Float](unsafeUninitializedCapacity: count) { target, filled in
      var position = 0
      let side = patchSize
      for blockY in 0..<height / block {
        for blockX in 0..<width / block {
          for patch in 0..<mergeSize * mergeSize {
            let top = blockY * block + patch / mergeSize * side
            let left = blockX * block + patch % mergeSize * side
            for channel in 0..<3 {
              let start = position
              for y in 0..<side {
                var source = ((top + y) * width + left) * 3 + channel
                for _ in 0..<side {
                  target[position] = table[channel * 256 + Int(pixels[source])]
                  position += 1
                  source += 3
                }
              }
              for _ in 1..<temporalPatchSize {
                for index in start..<start + side * side {
                  target[position] = target[index]
                  position += 1
                }
              }
            }
          }
        }
      }
      filled = count
    }
  }

  /// What each 8-bit value becomes, [3, 256].
  private func normalized() -> [Float] {
    (0..<3).flatMap { channel in
      (0..<256).map { (Float(Double($0) * rescaleFactor) - mean[channel]) / deviation[channel] }
    }
  }

  /// A digest of the settings that decide the pixels.
  public var fingerprint: String {
    Fingerprint.text(
      "\(patchSize) \(temporalPatchSize) \(mergeSize) \(minPixels) \(maxPixels) "
        + "\(rescaleFactor) \(mean) \(deviation)"
        + (tiling.map { " \($0.tile) \($0.pinpoints.map { [$0.height, $0.width] })" } ?? ""))
  }
}
