import Kernels
import Tensors

/// Token-by-token decoding of several sequences side by side, with their keys and values cached.
public final class DecodingSession {
  private let model: Qwen2VL
  private let layers: Set<Int>
  private let tape = Tape(recording: false)
  private var sequences: [Sequence]

  /// One sequence's cache: for each layer the keys and the values [capacity, width].
  private struct Sequence {
    var keys: [Buffer]
    var values: [Buffer]
    var length: Int
    /// The next token's position, the same along all three axes.
    var position: Int32

    func copy() -> Sequence {
      Sequence(
        keys: keys.map { $0.copy() }, values: values.map { $0.copy() }, length: length,
        position: position)
    }
  }

  private var width: Int {
    model.language.heads.keyValueHeads * model.language.heads.size
  }

  /// The number of sequences.
  public var count: Int { sequences.count }

  /// Runs the prompts and keeps their keys and values.
  /// - layers: decoder blocks, from 1, whose outputs every step gives.
  /// - capacity: how many tokens may follow each prompt.
  /// Returns the session and the output at each prompt's last token, [prompts, d].
  public static func start(
    _ model: Qwen2VL, prompts: [ModelSample], layers: Set<Int> = [], capacity: Int
  ) -> (session: DecodingSession, output: Qwen2VL.Output) {
    let session = DecodingSession(model, layers: layers)
    return (session, session.prefill(prompts, capacity: capacity))
  }

  private init(_ model: Qwen2VL, layers: Set<Int>) {
    self.model = model
    self.layers = layers
    sequences = []
  }

  private func prefill(_ prompts: [ModelSample], capacity: Int) -> Qwen2VL.Output {
    let batch = model.pack(prompts)
    let blocks = model.config.text.layers
    sequences = batch.sampleRows.map { rows in
      let room = (rows.count + capacity) * width
      return Sequence(
        keys: (0..<blocks).map { _ in Buffer(count: room) },
        values: (0..<blocks).map { _ in Buffer(count: room) }, length: rows.count,
        position: max(
          batch.positions.time[rows].max() ?? 0, batch.positions.height[rows].max() ?? 0,
          batch.positions.width[rows].max() ?? 0) + 1)
    }
    let last = batch.sampleRows.map { $0.upperBound - 1 }
    let x = model.embed(batch, tape: tape)
    return run(x, positions: batch.positions, wanted: last) { [self] tape, layer, q, k, v in
      for (sequence, rows) in zip(sequences, batch.sampleRows) {
        let start = rows.lowerBound * width, count = rows.count * width
        sequence.keys[layer].pointer.update(from: k.values + start, count: count)
        sequence.values[layer].pointer.update(from: v.values + start, count: count)
      }
      return tape.attention(q, k, v, heads: model.language.heads, layout: batch.layout)
    }
  }

  /// Appends one token to every sequence; returns the output there, [sequences, d].
  public func step(_ tokens: [Int32]) -> Qwen2VL.Output {
    let places = sequences.map(\.position)
    for index in sequences.indices {
      sequences[index].length += 1
      sequences[index].position += 1
    }
    let x = tape.embedding(tokens, model.embedding)
    return run(x, positions: (places, places, places), wanted: nil) {
      [self] tape, layer, q, k, v in
      for (row, sequence) in sequences.enumerated() {
        let at = (sequence.length - 1) * width
        (sequence.keys[layer].pointer + at).update(from: k.values + row * width, count: width)
        (sequence.values[layer].pointer + at).update(from: v.values + row * width, count: width)
      }
      let y = tape.result(q.shape, needsGradient: false)
      let caches = sequences.map {
        CachedKeys(
          keys: $0.keys[layer].pointer, values: $0.values[layer].pointer, length: $0.length)
      }
      cachedAttention(q: q.values, caches: caches, heads: model.language.heads, into: y.values)
      return y
    }
  }

  /// Keeps the sequences that `parents` names, in that order: drops finished ones, or follows the
  /// best beams. A sequence named twice is copied.
  public func keep(_ parents: [Int]) {
    var taken = Set<Int>()
    sequences = parents.map { taken.insert($0).inserted ? sequences[$0] : sequences[$0].copy() }
  }

  private func run(
    _ input: Tensor, positions: (time: [Int32], height: [Int32], width: [Int32]), wanted: [Int]?,
    attend: LanguageModel.Attend
  ) -> Qwen2VL.Output {
    let language = model.language
    let (cosine, sine) = language.rotaryTables(positions)
    var x = input
    var hidden: [Int: Tensor] = [:]
    for layer in 0..<model.config.text.layers {
      x = language.block(tape, x, layer, cosine: cosine, sine: sine, attend: attend)
      if layers.contains(layer + 1) {
        hidden[layer + 1] = wanted.map { tape.gatherRows(x, $0) } ?? x
      }
    }
    let last = wanted.map { tape.gatherRows(x, $0) } ?? x
    return Qwen2VL.Output(
      hidden: hidden, last: language.norm(tape, last, "model.norm.weight"))
  }
}
