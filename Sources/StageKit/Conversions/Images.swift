import Failures
import Imaging

/// A section that may bound the sizes of images.
public protocol PixelBounds: SettingsSection {
  var minPixels: Int? { get }
  var maxPixels: Int? { get }
}

extension PrepareSettings: PixelBounds {}
extension EvaluateSettings: PixelBounds {}

extension PixelBounds {
  /// A checkpoint's own image processor, with the preset's bounds where it has some.
  /// - Parameter place: what a refusal names: the preset, or the checkpoint's file without one.
  /// - Throws: 78 when the lower bound is above the upper one, or the checkpoint sees images in tiles.
  public func bounding(_ own: ImageProcessor, at place: String) throws -> ImageProcessor {
    var processor = own
    guard processor.tiling == nil || (minPixels == nil && maxPixels == nil) else {
      throw Failure(
        .badPreset, "\(Self.name).min_pixels and \(Self.name).max_pixels do not go with this model",
        at: place, advice: "It sees images in tiles, whose sizes its config.json has")
    }
    processor.minPixels = minPixels ?? processor.minPixels
    processor.maxPixels = maxPixels ?? processor.maxPixels
    guard processor.minPixels <= processor.maxPixels else {
      throw Failure(
        .badPreset, "\(Self.name).min_pixels is above \(Self.name).max_pixels", at: place,
        found: "\(processor.minPixels) and \(processor.maxPixels)")
    }
    return processor
  }
}
