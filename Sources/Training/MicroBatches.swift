/// The examples of one optimizer step, split into forward passes. The loss of a step is the mean
/// over the supervised positions of all of them together, so that accumulation changes nothing.
public struct MicroBatches {
  /// The step that they are of.
  public let step: Int
  /// The samples of each forward pass, by their indices in the data set.
  public let passes: [[Int]]
  /// Tokens of each of them.
  let tokens: [Int]
  /// Of the whole step; at least 1.
  public let supervisedPositions: Float
  /// Reads the examples of a pass only when it is its turn: the pixels of a whole step may not fit
  /// into memory.
  let reader: ExampleReader

  /// The examples of step `step`: `samples` × `accumulation`, `samples` to a forward pass, or fewer
  /// where they hold more than `tokens` tokens together; a longer sample is a pass of its own.
  /// Throws what `ExampleReader.size` throws.
  public init(
    step: Int, order: inout DataOrder, reader: ExampleReader, samples: Int, accumulation: Int,
    tokens: Int
  ) throws {
    self.step = step
    let count = samples * accumulation
    let indices = order.items(step * count..<(step + 1) * count).map { reader.indices[$0] }
    let sizes = try indices.map(reader.size)
    let places = Self.passes(sizes.map(\.tokens), samples: samples, tokens: tokens)
    passes = places.map { $0.map { indices[$0] } }
    self.tokens = places.map { $0.reduce(0) { $0 + sizes[$1].tokens } }
    self.reader = reader
    supervisedPositions = Float(max(1, sizes.reduce(0) { $0 + $1.supervisedPositions }))
  }

  /// How samples of these lengths fall into forward passes: the places of each pass.
  public static func passes(_ lengths: [Int], samples: Int, tokens: Int) -> [[Int]] {
    var passes: [[Int]] = []
    var room = 0
    for (place, length) in lengths.enumerated() {
      if place % samples == 0 || length > room {
        passes.append([])
        room = tokens
      }
      passes[passes.count - 1].append(place)
      room -= length
    }
    return passes
  }
}
