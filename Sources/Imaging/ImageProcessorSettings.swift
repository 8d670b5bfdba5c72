import Failures

/// What `preprocessor_config.json` says, as it stands there.
///
/// Both dialects: `min_pixels` and `max_pixels`, or `size` with its edges in pixels.
struct ImageProcessorSettings: Decodable {
  struct Size: Decodable {
    var shortestEdge: Int?
    var longestEdge: Int?
    var minPixels: Int?
    var maxPixels: Int?
  }
  var patchSize: Int?
  var temporalPatchSize: Int?
  var mergeSize: Int?
  var minPixels: Int?
  var maxPixels: Int?
  var size: Size?
  var rescaleFactor: Double?
  var imageMean: [Float]?
  var imageStd: [Float]?
  var resample: Int?
  var doResize: Bool?
  var doRescale: Bool?
  var doNormalize: Bool?
}

extension ImageProcessor {
  /// The settings over Qwen2-VL's own, checked.
  init(_ settings: ImageProcessorSettings, place: String) throws {
    patchSize = settings.patchSize ?? patchSize
    temporalPatchSize = settings.temporalPatchSize ?? temporalPatchSize
    mergeSize = settings.mergeSize ?? mergeSize
    minPixels =
      settings.minPixels ?? settings.size?.shortestEdge ?? settings.size?.minPixels ?? minPixels
    maxPixels =
      settings.maxPixels ?? settings.size?.longestEdge ?? settings.size?.maxPixels ?? maxPixels
    rescaleFactor = settings.rescaleFactor ?? rescaleFactor
    mean = settings.imageMean ?? mean
    deviation = settings.imageStd ?? deviation
    for (name, flag) in [
      ("do_resize", settings.doResize), ("do_rescale", settings.doRescale),
      ("do_normalize", settings.doNormalize),
    ] where flag == false {
      throw Failure(.badData, "\(name) is off", at: place, expected: "Qwen2-VL's processing")
    }
    if let resample = settings.resample, resample != 3 {
      throw Failure(
        .badData, "unknown resampling filter", at: place, expected: "3, bicubic",
        found: "\(resample)")
    }
    try check(place)
  }
}
