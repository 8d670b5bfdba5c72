import Imaging

extension PackedBatch {
  /// What of a sample does not fit, by the name of its tensor in a record.
  public struct Mismatch: Sendable, Equatable {
    public var tensor: String
    public var text: String
  }

  /// Why tokens, questions and image grids do not fit together, or nil: ids against the vocabulary,
  /// questions in order, every image's pads in one run as long as its merged grid. Of numbers alone,
  /// before any pixel is looked at; no number is too large for it.
  public static func mismatch(
    ids: [Int32], segments: [Int32]?, grids: [ImageGrid], for config: any ModelConfig
  ) -> Mismatch? {
    let vocabulary = config.text.vocabularySize, imageToken = Int32(config.imageTokenID)
    if let row = ids.firstIndex(where: { $0 < 0 || Int($0) >= vocabulary }) {
      return Mismatch(
        tensor: "input_ids",
        text: "token \(ids[row]) at position \(row) lies outside the vocabulary of \(vocabulary)")
    }
    var visual: [Int] = []
    for (number, grid) in grids.enumerated() {
      guard grid.time > 0, grid.height > 0, grid.width > 0, let count = config.imageTokens(grid)
      else {
        return Mismatch(
          tensor: "image_grid",
          text: "image \(number): a grid of \(grid) cannot be merged into the model's tokens")
      }
      visual.append(count)
    }
    let pads = ids.count { $0 == imageToken }
    // Of counts that each are at most 2³¹ cubed over merge², a sum can overflow.
    let expected = visual.reduce((0, false)) { sum, count in
      let next = sum.0.addingReportingOverflow(count)
      return (next.partialValue, sum.1 || next.overflow)
    }
    guard !expected.1, pads == expected.0 else {
      return Mismatch(
        tensor: "image_grid",
        text: "\(pads) image tokens for \(expected.1 ? "endless" : "\(expected.0)") visual features"
      )
    }
    return mismatch(segments, ids.count)
      ?? mismatch(ids, segments, runs: visual, imageToken: imageToken)
  }

  private static func mismatch(_ segments: [Int32]?, _ count: Int) -> Mismatch? {
    guard let segments else { return nil }
    var text: String?
    if segments.count != count {
      text = "\(segments.count) segments for \(count) tokens"
    } else if let first = segments.first, first < 0 {
      text = "the segment \(first) at position 0 is negative"
    } else if let row = segments.indices.dropFirst().first(where: {
      segments[$0] < segments[$0 - 1]
    }) {
      text =
        "the segment \(segments[row]) at position \(row) stands behind \(segments[row - 1])"
        + ": the shared prefix is 0 and comes first, the questions count up"
    } else if let last = segments.last, Int(last) > count {
      text = "question \(last) of a sample of \(count) tokens"
    }
    return text.map { Mismatch(tensor: "segments", text: $0) }
  }

  /// Positions are given to an image as a whole: its pads lie side by side, in one question.
  private static func mismatch(
    _ ids: [Int32], _ segments: [Int32]?, runs: [Int], imageToken: Int32
  ) -> Mismatch? {
    var image = 0, row = 0
    while row < ids.count {
      guard ids[row] == imageToken, image < runs.count else {
        row += 1
        continue
      }
      let end = row + runs[image]
      guard end <= ids.count, ids[row..<end].allSatisfy({ $0 == imageToken }),
        segments.map({ $0[row] == $0[end - 1] }) ?? true
      else {
        return Mismatch(
          tensor: "input_ids",
          text: "image \(image): its \(runs[image]) image tokens from position \(row) on "
            + "do not lie side by side")
      }
      row = end
      image += 1
    }
    return nil
  }
}
