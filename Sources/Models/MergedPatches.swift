import Imaging

/// Families that see an image in its own shape, as a grid of patches of which merge × merge
/// neighbours become one token, with M-RoPE over the tokens' grid: Qwen2-VL and those after it.
protocol MergedPatches: ModelConfig {
  var merge: (patchSize: Int, temporalPatchSize: Int, mergeSize: Int) { get }
}

extension MergedPatches {
  public func positions(_ grid: ImageGrid) -> (time: Int, height: Int, width: Int)? {
    let side = merge.mergeSize
    return (grid.time, grid.height / side, grid.width / side)
  }

  public func imageTokens(_ grid: ImageGrid) -> Int? {
    let side = merge.mergeSize
    guard grid.original == nil, grid.height % side == 0, grid.width % side == 0 else { return nil }
    let frame = (grid.height / side).multipliedReportingOverflow(by: grid.width / side)
    let all = frame.partialValue.multipliedReportingOverflow(by: grid.time)
    return frame.overflow || all.overflow ? nil : all.partialValue
  }

  public func processorMatches(
    _ processor: ImageProcessor
  ) -> [(what: String, here: String, there: String)] {
    let (patch, frames, side) = merge
    return [
      ("kind of image processing", processor.tiling == nil ? "whole" : "tiles", "whole"),
      ("patch size", "\(processor.patchSize)", "\(patch)"),
      ("temporal patch size", "\(processor.temporalPatchSize)", "\(frames)"),
      ("merge size", "\(processor.mergeSize)", "\(side)"),
    ]
  }
}

extension ModelConfig {
  /// Throws 65 where an encoder's width does not divide into heads that can be turned by row and column.
  func requireHeads(_ width: Int, _ heads: Int, place: String) throws {
    try ConfigSection.require(
      width % heads == 0 && width / heads % 4 == 0,
      "the vision encoder's width does not divide into heads", at: place,
      "a multiple of 4 for each of \(heads) heads", "hidden_size \(width)")
  }

  /// Throws 65 where the merger's output does not fit the language model.
  func requireOutput(_ width: Int, _ name: String, place: String) throws {
    try ConfigSection.require(
      width == text.hiddenSize, "the merger's output is not as wide as the language model",
      at: place, "vision_config.\(name) \(text.hiddenSize)", "\(width)")
  }
}
