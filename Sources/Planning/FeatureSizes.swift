import Distillation

extension FeatureReader {
  /// About how many bytes all hidden states take when they are decoded: a shard holds little else,
  /// and Zstandard leaves three quarters of them.
  public var decodedBytes: Int { artifact.manifest.shards.reduce(0) { $0 + $1.bytes } * 4 / 3 }

  /// About how many supervised positions the fullest shard has.
  public var positionsOfShard: Int {
    (artifact.manifest.shards.map(\.bytes).max() ?? 0) * 4 / 3 / (2 * width * (layers.count + 1))
  }
}
