/// The examples of one optimizer step, split into forward passes. The loss of a step is the mean
/// over the supervised positions of all of them together, so that accumulation changes nothing.
public struct MicroBatches {
  /// The samples of each forward pass, by their indices in the data set.
  public let passes: [[Int]]
  /// Of the whole step; at least 1.
  public let supervisedPositions: Float
  private let reader: ExampleReader

  /// The examples of step `step`: `samples` × `accumulation`, `samples` to a forward pass, or fewer
  /// where they hold more than `tokens` tokens together; a longer sample is a pass of its own.
  /// Throws what `ExampleReader.size` throws.
  public init(
    step: Int, order: inout DataOrder, reader: ExampleReader, samples: Int, accumulation: Int,
    tokens: Int
  ) throws {
    let count = samples * accumulation
    let indices = order.items(step * count..<(step + 1) * count).map { reader.indices[$0] }
    var passes: [[Int]] = []
    var room = 0
    var positions = 0
    for (place, index) in indices.enumerated() {
      let size = try reader.size(index)
      positions += size.supervisedPositions
      if place % samples == 0 || size.tokens > room {
        passes.append([])
        room = tokens
      }
      passes[passes.count - 1].append(index)
      room -= size.tokens
    }
    self.passes = passes
    self.reader = reader
    supervisedPositions = Float(max(1, positions))
  }

  /// The examples of a forward pass, read now: the pixels of a whole step may not fit into memory.
  /// Throws what `ExampleReader.example` throws.
  public func examples(_ pass: [Int]) throws -> [Example] { try pass.map(reader.example) }
}
