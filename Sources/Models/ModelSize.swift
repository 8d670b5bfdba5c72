import Artifacts

/// A size that models of a family have, published or for trials: all that stands in a checkpoint's
/// folder but weights and tokenizer.
public struct ModelSize: Sendable {
  /// As `vlsi-synthesize checkpoint --like` takes it: `qwen2-vl-2b`.
  public var name: String
  public var config: any ModelConfig
  /// preprocessor_config.json.
  public var preprocessor: JSON
  /// What generation_config.json says of drawing tokens.
  public var sampling: JSON
  /// Members that the hub's config.json has besides.
  public var otherMembers: JSON = [:]
  /// Made for data/tokenizer, not for the family's own.
  public var isTiny = false

  /// The settings of `Qwen2VLImageProcessor`.
  static func preprocessor(
    patch: Int, minPixels: Int, maxPixels: Int, mean: [Double], deviation: [Double],
    processor: String
  ) -> JSON {
    [
      "do_convert_rgb": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
      "image_mean": .array(mean.map { .number($0) }),
      "image_std": .array(deviation.map { .number($0) }),
      "image_processor_type": "Qwen2VLImageProcessor", "processor_class": .string(processor),
      "min_pixels": .int(minPixels), "max_pixels": .int(maxPixels), "patch_size": .int(patch),
      "temporal_patch_size": 2, "merge_size": 2, "resample": 3,
      "rescale_factor": 0.00392156862745098,
      "size": ["longest_edge": .int(maxPixels), "shortest_edge": .int(minPixels)],
    ]
  }

  /// Of CLIP's training images.
  static let clip = (
    mean: [0.48145466, 0.4578275, 0.40821073], deviation: [0.26862954, 0.26130258, 0.27577711]
  )
}

extension ModelFamilies {
  /// All sizes of all families.
  public static var sizes: [ModelSize] { all.flatMap { $0.sizes } }
}
