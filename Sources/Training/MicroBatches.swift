/// The examples of one optimizer step, split into forward passes. The loss of a step is the mean
/// over the supervised positions of all of them together, so that accumulation changes nothing.
public struct MicroBatches {
  public let examples: [[Example]]
  /// Of the whole step; at least 1.
  public let supervisedPositions: Float

  /// Reads the examples of step `step`. Throws what `ExampleReader.example` throws.
  public init(
    step: Int, order: inout DataOrder, reader: ExampleReader, samples: Int, accumulation: Int
  ) throws {
    let count = samples * accumulation
    let indices = order.items(step * count..<(step + 1) * count).map { reader.indices[$0] }
    examples = try stride(from: 0, to: count, by: samples).map { start in
      try indices[start..<start + samples].map { try reader.example($0) }
    }
    supervisedPositions = Float(
      max(1, examples.joined().reduce(0) { $0 + $1.positions.count }))
  }
}
