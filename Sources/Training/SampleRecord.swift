import Artifacts
import Failures
import Imaging
import Kernels
import Models

/// A record of the `samples` artifact, held against itself and the model: the one place where its
/// numbers are checked, before memory is planned or asked for by them.
struct SampleRecord {
  let ids: [Int32]
  let segments: [Int32]?
  let grids: [ImageGrid]
  /// Of each image [height · patch, width · patch, 3].
  let pixels: [RawTensor]
  /// The supervised positions and the token to be predicted at each of them [s].
  let positions: [Int32]
  let labels: [Int32]

  /// - Parameter context: the most tokens.
  /// - Throws: `Failure(.badData)` naming record and tensor.
  init(_ record: Record, config: any ModelConfig, context: Int, place: String) throws {
    let fields = RecordFields(
      record: record, place: place, advice: "Run vlsi-prepare again")
    let ids = try fields.integers("input_ids", [nil]).values
    guard ids.count <= context else {
      throw fields.failure(
        "input_ids", "more tokens than the context that the samples were prepared for",
        expected: "at most \(context)", found: "\(ids.count)")
    }
    let numbers =
      record.tensors["image_grid"] == nil ? [] : try fields.integers("image_grid", [nil, 3]).values
    let sizes =
      record.tensors["image_size"] == nil
      ? nil : try fields.integers("image_size", [numbers.count / 3, 2]).values
    let grids = stride(from: 0, to: numbers.count, by: 3).map { at in
      // Zero where an image was not tiled.
      let size = sizes.map {
        ImageTiling.Size(height: Int($0[at / 3 * 2]), width: Int($0[at / 3 * 2 + 1]))
      }
      return ImageGrid(
        time: Int(numbers[at]), height: Int(numbers[at + 1]), width: Int(numbers[at + 2]),
        original: size.flatMap { $0.height == 0 && $0.width == 0 ? nil : $0 })
    }
    let segments =
      record.tensors["segments"] == nil ? nil : try fields.integers("segments", [ids.count]).values
    if let found = PackedBatch.mismatch(
      ids: ids, segments: segments, grids: grids, for: config)
    {
      throw fields.failure(found.tensor, found.text)
    }
    pixels = try SampleRecord.pixels(fields, of: grids, patch: config.encoder.patchSize)
    let supervised = try fields.integers("supervised", [ids.count]).values
    if let row = supervised.firstIndex(where: { $0 != 0 && $0 != 1 }) {
      throw fields.failure(
        "supervised", "no yes or no at position \(row)", expected: "0 or 1",
        found: "\(supervised[row])")
    }
    let explicit =
      record.tensors["labels"] == nil ? nil : try fields.integers("labels", [ids.count]).values
    let vocabulary = config.text.vocabularySize
    if let explicit,
      let row = explicit.firstIndex(where: { $0 != -100 && !(0..<vocabulary).contains(Int($0)) })
    {
      throw fields.failure(
        "labels", "no token at position \(row)", expected: "-100, or 0 to \(vocabulary - 1)",
        found: "\(explicit[row])")
    }
    var positions: [Int32] = [], labels: [Int32] = []
    for row in ids.indices {
      if let label = explicit?[row], label >= 0 {
        positions.append(Int32(row))
        labels.append(label)
      } else if row + 1 < ids.count, supervised[row + 1] != 0 {
        positions.append(Int32(row))
        labels.append(ids[row + 1])
      }
    }
    (self.ids, self.segments, self.grids) = (ids, segments, grids)
    (self.positions, self.labels) = (positions, labels)
  }

  var size: ExampleReader.Size {
    ExampleReader.Size(
      tokens: ids.count, supervisedPositions: positions.count,
      patches: grids.map(\.patches), scores: scores)
  }

  /// Of the block of rows that looks at the most: its own rows and those of the prefix.
  private var scores: Int? {
    guard let segments else { return nil }
    var rows: [Int32: Int] = [:]
    for segment in segments { rows[segment, default: 0] += 1 }
    let prefix = rows[0] ?? 0
    return rows.map {
      AttentionLayout.scores(rows: $0.value, prefix: $0.key == 0 ? 0 : prefix)
    }.max()
  }

  private static func pixels(
    _ fields: RecordFields, of grids: [ImageGrid], patch: Int
  ) throws -> [RawTensor] {
    let named = fields.record.tensors.keys.filter { $0.hasPrefix("pixels.") }
    guard named.count == grids.count else {
      throw fields.failure(
        "image_grid", "not as many images as grids", expected: "\(named.count)",
        found: "\(grids.count)")
    }
    return try grids.enumerated().map { number, grid in
      // Tiles lie below one another; the grid was found to be no larger than its image tokens say.
      let shape = [grid.time * grid.height * patch, grid.width * patch, 3]
      let image = try fields.tensor("pixels.\(number)")
      guard grid.time == 1 || grid.original != nil, image.type == .uint8, image.shape == shape
      else {
        throw fields.failure(
          "pixels.\(number)", "does not fit its grid and the model's patches",
          expected: "one frame or tiles, U8 \(shape)",
          found: "\(grid.time) of \(image.type.rawValue) \(image.shape)",
          advice: "Were the samples prepared for a model with other patches?")
      }
      return image
    }
  }
}
