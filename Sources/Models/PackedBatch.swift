import Failures
import Imaging
import Kernels
import Tensors

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

/// An image as patches, in the order of its family's image processor.
public struct ModelImage: Sendable {
  public var grid: ImageGrid
  /// [patches, channels · temporal patch · patch · patch]; empty where its visual embeddings are known.
  public var patches: [Float]

  public init(grid: ImageGrid, patches: [Float]) {
    self.grid = grid
    self.patches = patches
  }

  public var patchCount: Int { grid.patches }
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
  /// The packed rows that hold visual tokens, in the order of the visual embeddings.
  public let visualRows: [Int]
  public let images: [ImageGrid]
  /// All images' patches [patches, values of a patch]; empty where their embeddings are known.
  public let patches: [Float]

  public var count: Int { inputIDs.count }

  /// The patches as the vision encoder reads them [patches, values].
  func patchTensor(_ values: Int) -> Tensor { Tensor(patches, [patches.count / values, values]) }

  /// Packs `samples`. Throws `Failure(.badData)` for one that does not fit the model: see `problem`.
  public init(_ samples: [ModelSample], for config: any ModelConfig) throws {
    var ids: [Int32] = [], rows: [Range<Int>] = [], blocks: [[AttentionLayout.Block]] = []
    var positions: (time: [Int32], height: [Int32], width: [Int32]) = ([], [], [])
    var visualRows: [Int] = [], images: [ImageGrid] = [], patches: [Float] = []
    let imageToken = Int32(config.imageTokenID)
    for (number, sample) in samples.enumerated() {
      if let problem = PackedBatch.problem(sample, for: config) {
        throw Failure(.badData, problem, at: "sample \(number + 1) of the batch")
      }
      let start = ids.count
      ids += sample.inputIDs
      rows.append(start..<ids.count)
      blocks.append(Self.blocks(sample, start: start))
      Self.appendPositions(sample, config, to: &positions)
      for (offset, id) in sample.inputIDs.enumerated() where id == imageToken {
        visualRows.append(start + offset)
      }
      for image in sample.images {
        images.append(image.grid)
        patches += image.patches
      }
    }
    let known = samples.count { $0.images.contains { $0.patches.isEmpty } }
    if known > 0, !patches.isEmpty {
      throw Failure(.badData, "some images have patches and others none", at: "the batch")
    }
    inputIDs = ids
    sampleRows = rows
    self.positions = positions
    layout = AttentionLayout(samples: blocks, causal: true)
    self.visualRows = visualRows
    self.images = images
    self.patches = patches
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

  /// Text counts on with all three positions the same. With M-RoPE (Qwen2-VL, section 2.1;
  /// transformers' `get_rope_index`) an image spans its extent along each axis, and text goes on
  /// after the largest; else an image's tokens count as text.
  private static func appendPositions(
    _ sample: ModelSample, _ config: any ModelConfig,
    to positions: inout (time: [Int32], height: [Int32], width: [Int32])
  ) {
    var next: Int32 = 0, afterPrefix: Int32 = 0, image = 0, index = 0, segment: Int32 = 0
    let ids = sample.inputIDs, imageToken = Int32(config.imageTokenID)
    while index < ids.count {
      if let segments = sample.segments, segments[index] != segment {
        if segment == 0 { afterPrefix = next }
        segment = segments[index]
        next = afterPrefix
      }
      if ids[index] == imageToken, image < sample.images.count,
        let extent = config.positions(sample.images[image].grid)
      {
        for t in 0..<extent.time {
          for h in 0..<extent.height {
            for w in 0..<extent.width {
              positions.time.append(next + Int32(t))
              positions.height.append(next + Int32(h))
              positions.width.append(next + Int32(w))
            }
          }
        }
        next += Int32(max(extent.time, extent.height, extent.width))
        index += extent.time * extent.height * extent.width
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

  /// Why a sample does not fit together, or nil: what `mismatch` looks at, and grids against patches.
  public static func problem(_ sample: ModelSample, for config: any ModelConfig) -> String? {
    let grids = sample.images.map(\.grid)
    if let found = mismatch(
      ids: sample.inputIDs, segments: sample.segments, grids: grids, for: config)
    {
      return found.text
    }
    let length = config.encoder.patchDimension
    for (number, image) in sample.images.enumerated()
    where !image.patches.isEmpty && image.patches.count != image.patchCount * length {
      return "image \(number): \(image.patches.count) values for \(image.patchCount) patches"
    }
    return nil
  }
}
