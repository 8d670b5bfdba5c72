import Failures

/// The size that an entry of a data set asks of one image, as qwen-vl-utils' `fetch_image` takes
/// it: `resized_height` with `resized_width`, or `min_pixels` and `max_pixels`.
public struct RequestedSize: Sendable, Equatable {
  public var minPixels: Int?
  public var maxPixels: Int?
  public var height: Int?
  public var width: Int?

  /// Asks nothing.
  public init() {}

  public var isEmpty: Bool { self == RequestedSize() }
}

extension ImageProcessor {
  /// qwen-vl-utils' own bounds, in visual tokens of an image.
  private static let fewestTokens = 4
  private static let mostTokens = 16384

  /// The image as qwen-vl-utils' `fetch_image` hands it to the processor, which resizes it once
  /// more within the checkpoint's bounds.
  ///
  /// - Throws: `Failure(.badData)` for a size that cannot be.
  public func fetched(
    _ image: RGBImage, at size: RequestedSize, place: String? = nil
  ) throws -> RGBImage {
    if size.isEmpty { return image }
    guard tiling == nil else {
      throw Failure(
        .badData, "a size for one image, and the model sees images in tiles", at: place,
        advice: "Leave it out")
    }
    let token = patchSize * mergeSize * patchSize * mergeSize
    func bounded(_ value: Int?, _ name: String, _ most: Int) throws {
      guard let value, !(1...most).contains(value) else { return }
      throw Failure(
        .badData, "\(name) is out of range", at: place, expected: "1 to \(most)",
        found: "\(value)")
    }
    try bounded(size.minPixels, "min_pixels", RGBImage.mostPixels)
    try bounded(size.maxPixels, "max_pixels", RGBImage.mostPixels)
    try bounded(size.height, "resized_height", RGBImage.mostSide)
    try bounded(size.width, "resized_width", RGBImage.mostSide)
    guard (size.height == nil) == (size.width == nil) else {
      throw Failure(
        .badData, "resized_height and resized_width go together", at: place,
        found: "one of them")
    }
    let (fewest, most) = (Self.fewestTokens * token, Self.mostTokens * token)
    let asked = size.height != nil
    let (least, largest) =
      asked ? (fewest, most) : (size.minPixels ?? fewest, size.maxPixels ?? most)
    guard least <= largest else {
      throw Failure(
        .badData, "min_pixels is above max_pixels", at: place, found: "\(least), \(largest)")
    }
    let new = try smartResize(
      height: size.height ?? image.height, width: size.width ?? image.width, minPixels: least,
      maxPixels: largest, leastSide: 1, place: place)
    return try image.resized(width: new.width, height: new.height)
  }
}
