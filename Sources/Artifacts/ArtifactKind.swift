/// What an artifact holds.
public enum ArtifactKind: String, Sendable, CaseIterable, Codable {
  case samples, features, verbalizers, targets, adapter, model, evaluation, report

  /// The meaning of each axis of a tensor of this kind.
  func axes(of tensor: String, rank: Int) -> [String] {
    let stem = tensor.split(separator: ".").first.map(String.init) ?? tensor
    let known: [String] =
      switch (self, stem) {
      case (.samples, "image_grid"): ["image", "t, h, w in patches"]
      case (.samples, "pixels"): ["row", "column", "red, green, blue"]
      case (.samples, _): ["position"]
      case (.features, "visual"): ["merged visual token", "width"]
      case (.features, "hidden"): ["supervised position", "width"]
      case (.targets, "projected"): ["supervised position", "width of the student"]
      case (.targets, "vector"): ["supervised position", "width of the teacher"]
      case (.targets, "indices"), (.targets, "probabilities"):
        ["supervised position", "rank from the most probable"]
      case (.evaluation, "answer"): ["generated token"]
      case (.features, _), (.targets, _): ["supervised position"]
      default: []
      }
    return rank == known.count ? known : (0..<rank).map { "axis \($0)" }
  }
}
