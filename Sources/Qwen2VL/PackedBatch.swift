import Kernels

/// One conversation as the model sees it.
public struct ModelSample: Sendable {
  /// Token ids [n], every image's pad token repeated once for each of its visual tokens.
  public var inputIDs: [Int32]
  /// For questions asked independently about shared images, the question of every token [n], counting
  /// from 1; 0 marks the prefix that all of them see. Nil for an ordinary conversation.
  public var segments: [Int32]?
  public var images: [ModelImage]

  public init(inputIDs: [Int32], segments: [Int32]? = nil, images: [ModelImage] = []) {
    self.inputIDs = inputIDs
    self.segments = segments
    self.images = images
  }
}

/// An image as patches, in the order of transformers' Qwen2-VL image processor.
public struct ModelImage: Sendable {
  /// Patches along time, height and width.
  public var grid: (time: Int, height: Int, width: Int)
  /// [time · height · width, channels · temporal patch · patch · patch].
  public var patches: [Float]

  public init(grid: (time: Int, height: Int, width: Int), patches: [Float]) {
    self.grid = grid
    self.patches = patches
  }

  public var patchCount: Int { grid.time * grid.height * grid.width }
}

/// Samples packed into one long sequence. Attention is block-diagonal and positions start anew for
/// every sample, so that a sample's result does not depend on its neighbours.
public struct PackedBatch: Sendable {
  public let inputIDs: [Int32]
  /// The rows of each sample in the packed sequence.
  public let sampleRows: [Range<Int>]
  /// M-RoPE positions [n] along time, height and width.
  public let positions: (time: [Int32], height: [Int32], width: [Int32])
  public let layout: AttentionLayout
  /// The packed rows that hold visual tokens, in the order of the merged patches.
  public let visualRows: [Int]
  /// All images' patches [patches, values of a patch].
  public let patches: [Float]
  /// The row and column of every patch in its image [patches], in merge-block order.
  let patchPositions: (row: [Int32], column: [Int32])
  let visionLayout: AttentionLayout

  public var count: Int { inputIDs.count }

  /// Packs `samples`. The images' visual tokens must be as many as the image pads among the ids:
  /// `PackedBatch.check` says so for input that was not checked before.
  public init(_ samples: [ModelSample], imageToken: Int32, mergeSize: Int) {
    var ids: [Int32] = [], rows: [Range<Int>] = [], blocks: [[AttentionLayout.Block]] = []
    var positions: (time: [Int32], height: [Int32], width: [Int32]) = ([], [], [])
    var visualRows: [Int] = [], patches: [Float] = []
    var patchPositions: (row: [Int32], column: [Int32]) = ([], [])
    var visionBlocks: [[AttentionLayout.Block]] = []
    var patchCount = 0
    for sample in samples {
      let start = ids.count
      ids += sample.inputIDs
      rows.append(start..<ids.count)
      blocks.append(Self.blocks(sample, start: start))
      Self.appendPositions(sample, imageToken: imageToken, mergeSize: mergeSize, to: &positions)
      for (offset, id) in sample.inputIDs.enumerated() where id == imageToken {
        visualRows.append(start + offset)
      }
      for image in sample.images {
        patches += image.patches
        Self.appendPatchPositions(image.grid, mergeSize: mergeSize, to: &patchPositions)
        let frame = image.grid.height * image.grid.width
        for _ in 0..<image.grid.time {
          visionBlocks.append([.init(rows: patchCount..<patchCount + frame)])
          patchCount += frame
        }
      }
    }
    inputIDs = ids
    sampleRows = rows
    self.positions = positions
    layout = AttentionLayout(samples: blocks, causal: true)
    self.visualRows = visualRows
    self.patches = patches
    self.patchPositions = patchPositions
    visionLayout = AttentionLayout(samples: visionBlocks, causal: false)
  }

  private static func blocks(_ sample: ModelSample, start: Int) -> [AttentionLayout.Block] {
    let count = sample.inputIDs.count
    guard let segments = sample.segments else { return [.init(rows: start..<start + count)] }
    let prefix = start..<start + (segments.firstIndex { $0 != 0 } ?? count)
    var blocks = prefix.isEmpty ? [] : [AttentionLayout.Block(rows: prefix)]
    var first = prefix.count
    while first < count {
      var last = first
      while last < count, segments[last] == segments[first] { last += 1 }
      blocks.append(.init(rows: start + first..<start + last, prefix: prefix))
      first = last
    }
    return blocks
  }

  /// M-RoPE's positions (Qwen2-VL, section 2.1; transformers' `get_rope_index`): text counts on with
  /// all three the same, an image spans its merged grid, text goes on after the largest.
  private static func appendPositions(
    _ sample: ModelSample, imageToken: Int32, mergeSize: Int,
    to positions: inout (time: [Int32], height: [Int32], width: [Int32])
  ) {
    var next: Int32 = 0, afterPrefix: Int32 = 0, image = 0, index = 0, segment: Int32 = 0
    let ids = sample.inputIDs
    while index < ids.count {
      if let segments = sample.segments, segments[index] != segment {
        if segment == 0 { afterPrefix = next }
        segment = segments[index]
        next = afterPrefix
      }
      if ids[index] == imageToken, image < sample.images.count {
        let grid = sample.images[image].grid
        let height = grid.height / mergeSize, width = grid.width / mergeSize
        for t in 0..<grid.time {
          for h in 0..<height {
            for w in 0..<width {
              positions.time.append(next + Int32(t))
              positions.height.append(next + Int32(h))
              positions.width.append(next + Int32(w))
            }
          }
        }
        next += Int32(max(grid.time, height, width))
        index += grid.time * height * width
        image += 1
      } else {
        positions.time.append(next)
        positions.height.append(next)
        positions.width.append(next)
        next += 1
        index += 1
      }
    }
  }

  /// Patches come in blocks of mergeSize × mergeSize, so that a merged token's lie together.
  private static func appendPatchPositions(
    _ grid: (time: Int, height: Int, width: Int), mergeSize: Int,
    to positions: inout (row: [Int32], column: [Int32])
  ) {
    for _ in 0..<grid.time {
      for blockRow in 0..<grid.height / mergeSize {
        for blockColumn in 0..<grid.width / mergeSize {
          for row in 0..<mergeSize {
            for column in 0..<mergeSize {
              positions.row.append(Int32(blockRow * mergeSize + row))
              positions.column.append(Int32(blockColumn * mergeSize + column))
            }
          }
        }
      }
    }
  }

  /// Why a sample does not fit together, or nil: what `mismatch` looks at, and grids against patches.
  public static func problem(
    _ sample: ModelSample, imageToken: Int32, mergeSize: Int, patchSize: Int, vocabulary: Int
  ) -> String? {
    let grids = sample.images.map(\.grid)
    if let found = mismatch(
      ids: sample.inputIDs, segments: sample.segments, grids: grids, imageToken: imageToken,
      mergeSize: mergeSize, vocabulary: vocabulary)
    {
      return found.text
    }
    for (number, image) in sample.images.enumerated()
    where image.patches.count != image.patchCount * patchSize {
      return "image \(number): \(image.patches.count) values for \(image.patchCount) patches"
    }
    return nil
  }
}
