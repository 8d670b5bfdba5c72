import Artifacts
import Failures

/// The image processor's settings as they stand in a checkpoint's folder.
///
/// transformers 5 keeps them inside `processor_config.json`, under `image_processor`, and there they
/// count before `preprocessor_config.json`, where every release before has them. Two dialects:
/// `min_pixels` and `max_pixels`, or `size` with its edges in pixels.
struct ImageProcessorSettings {
  private let json: JSON
  let place: String

  /// - Throws: `Failure`, 66 where there are none, 65 where they are no JSON object.
  init(directory: String) throws {
    let nested = Files.join(directory, "processor_config.json")
    if Files.exists(nested) {
      let whole = try JSON(file: nested, limit: 1 << 24)
      if let inner = whole["image_processor"], inner != .null {
        try self.init(inner, place: "\(nested), image_processor")
        return
      }
    }
    let path = Files.join(directory, "preprocessor_config.json")
    guard Files.exists(path) else {
      throw Failure(
        .inputMissing, "no settings of an image processor", at: directory,
        expected: "preprocessor_config.json, or processor_config.json with \"image_processor\"",
        advice: "Take that file from the checkpoint that the model was made from")
    }
    try self.init(JSON(file: path, limit: 1 << 24), place: path)
  }

  private init(_ json: JSON, place: String) throws {
    guard json.asObject != nil else {
      throw Failure(
        .badData, "the image processor's settings do not read", at: place, expected: "an object",
        found: json.kind)
    }
    self.json = json
    self.place = place
  }

  func value<T>(_ name: String, _ kind: String, _ read: (JSON) -> T?) throws -> T? {
    guard let found = json[name], found != .null else { return nil }
    guard let value = read(found) else {
      throw Failure(
        .badData, "\(name) of the image processor's settings does not read", at: place,
        expected: kind, found: String(found.text().prefix(60)))
    }
    return value
  }

  func int(_ name: String) throws -> Int? { try value(name, "a whole number", \.asInt) }
  func double(_ name: String) throws -> Double? { try value(name, "a number", \.asDouble) }
  func flag(_ name: String) throws -> Bool? { try value(name, "true or false", \.asBool) }

  func floats(_ name: String) throws -> [Float]? {
    try value(name, "a list of numbers") { list in
      let numbers = list.asArray?.map(\.asDouble) ?? [nil]
      return numbers.contains { $0 == nil } ? nil : numbers.compactMap { $0.map { Float($0) } }
    }
  }

  /// A bound by its own name, or by either name of an edge of `size`.
  func pixels(_ name: String, edge: String) throws -> Int? {
    if let own = try int(name) { return own }
    return try value("size", "shortest_edge and longest_edge in pixels") { size -> Int?? in
      guard size.asObject != nil else { return nil }
      guard let value = size[edge] ?? size[name], value != .null else { return .some(nil) }
      return value.asInt.map { .some($0) }
    } ?? nil
  }
}

extension ImageProcessor {
  /// The settings over Qwen2-VL's own, or those for tiles, checked.
  init(_ settings: ImageProcessorSettings, patchSize: Int? = nil) throws {
    let place = settings.place
    let type = try settings.value("image_processor_type", "a name", \.asString)
    let tiled = "LlavaOnevisionImageProcessor", whole = "Qwen2VLImageProcessor"
    if let type, !type.hasPrefix(whole), !type.hasPrefix(tiled) {
      throw Failure(
        .badData, "another model's image processor", at: place,
        expected: "\(whole) or \(tiled)", found: String(type.prefix(60)))
    }
    let pinpoints = try settings.value("image_grid_pinpoints", "a list") { $0 }
    if type?.hasPrefix(tiled) ?? (pinpoints != nil) {
      let size = try settings.value("size", "height and width in pixels") { size -> Int? in
        guard let height = size["height"]?.asInt, size["width"]?.asInt == height else { return nil }
        return height
      }
      tiling = ImageTiling(
        tile: size ?? 384, pinpoints: try ImageTiling.sizes(pinpoints, place: place))
      (self.patchSize, temporalPatchSize, mergeSize) = (patchSize ?? 14, 1, 1)
    } else {
      self.patchSize = try settings.int("patch_size") ?? self.patchSize
      temporalPatchSize = try settings.int("temporal_patch_size") ?? temporalPatchSize
      mergeSize = try settings.int("merge_size") ?? mergeSize
      minPixels = try settings.pixels("min_pixels", edge: "shortest_edge") ?? minPixels
      maxPixels = try settings.pixels("max_pixels", edge: "longest_edge") ?? maxPixels
    }
    rescaleFactor = try settings.double("rescale_factor") ?? rescaleFactor
    mean = try settings.floats("image_mean") ?? mean
    deviation = try settings.floats("image_std") ?? deviation
    for name in ["do_resize", "do_rescale", "do_normalize"]
    where try settings.flag(name) == false {
      throw Failure(.badData, "\(name) is off", at: place, expected: "the published processing")
    }
    if let resample = try settings.int("resample"), resample != 3 {
      throw Failure(
        .badData, "unknown resampling filter", at: place, expected: "3, bicubic",
        found: "\(resample)")
    }
    try check(place)
  }
}
