import Failures
import Imaging

extension PrepareSettings {
  /// A checkpoint's own image processor, with the preset's bounds where it has some.
  /// - Parameter place: what a refusal names: the preset, or the checkpoint's file without one.
  /// - Throws: 78 when the lower bound is above the upper one, or the checkpoint sees images in tiles.
  public func bounding(_ own: ImageProcessor, at place: String) throws -> ImageProcessor {
    var processor = own
    guard processor.tiling == nil || (minPixels == nil && maxPixels == nil) else {
      throw Failure(
        .badPreset, "prepare.min_pixels and prepare.max_pixels do not go with this model",
        at: place, advice: "It sees images in tiles, whose sizes its config.json has")
    }
    processor.minPixels = minPixels ?? processor.minPixels
    processor.maxPixels = maxPixels ?? processor.maxPixels
    guard processor.minPixels <= processor.maxPixels else {
      throw Failure(
        .badPreset, "prepare.min_pixels is above prepare.max_pixels", at: place,
        found: "\(processor.minPixels) and \(processor.maxPixels)")
    }
    return processor
  }
}
