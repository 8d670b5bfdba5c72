import Kernels
import Models
import Tensors

/// Where answers are read out of the decoder: behind all blocks, which is the model itself, or behind
/// one of them, through a verbalizer.
public struct Readout {
  /// The decoder blocks that run for it; its states are the outputs of the last of them.
  public let depth: Int
  /// Whether `vectors` needs all states of an answer so far, not only the newest.
  public let looksBack: Bool
  /// From states [n, d], of which each range is one answer's, to what the language head reads
  /// [n, d].
  public let vectors: (Tape, Tensor, _ answers: [Range<Int>]) -> Tensor

  public init(
    depth: Int, looksBack: Bool = false,
    vectors: @escaping (Tape, Tensor, [Range<Int>]) -> Tensor
  ) {
    self.depth = depth
    self.looksBack = looksBack
    self.vectors = vectors
  }
}

extension VisionLanguageModel {
  /// The model's own readout: all blocks and the final norm.
  public var readout: Readout {
    Readout(depth: config.text.layers) { [language] tape, x, _ in language.norm(tape, x) }
  }
}

/// Token-by-token decoding of several sequences side by side, with their keys and values cached.
/// Sequences may begin and end at any step. Those that share a beginning share its cache; a sequence
/// runs only as many blocks as its readout needs.
public final class DecodingSession {
  private let model: VisionLanguageModel
  private let readouts: [Readout]
  private let tape = Tape(recording: false)
  private var sequences: [Sequence] = []

  private struct Sequence {
    let beginning: Beginning?
    let readout: Int
    /// The tokens that the next step reads.
    var pending: [Int32]
    var own: GrowingCache
    /// The answer's states so far [n, d], for a readout that looks back.
    var states: Tensor?
    /// The next token's position, the same along all three axes.
    var position: Int32
  }

  private var width: Int {
    model.language.heads.keyValueHeads * model.language.heads.size
  }

  public init(_ model: VisionLanguageModel, readouts: [Readout]) {
    self.model = model
    self.readouts = readouts
  }

  /// The number of sequences.
  public var count: Int { sequences.count }

  /// Runs beginnings of prompts in one pass, their images included. Throws 65 for one that does not
  /// fit the model.
  public func run(_ beginnings: [ModelSample]) throws -> [Beginning] {
    let batch = try model.pack(beginnings)
    let heads = model.language.heads
    var keys = beginnings.map { _ in [Tensor]() }, values = keys
    var passage = model.enter(batch, tape: tape)
    for layer in 0..<(readouts.map(\.depth).max() ?? 0) {
      _ = model.block(layer, &passage, tape: tape) { [self] tape, q, k, v in
        for (number, rows) in batch.sampleRows.enumerated() {
          keys[number].append(part(rows, of: k))
          values[number].append(part(rows, of: v))
        }
        return tape.attention(q, k, v, heads: heads, layout: batch.layout)
      }
    }
    return beginnings.indices.map { number in
      let rows = batch.sampleRows[number]
      let last = [batch.positions.time, batch.positions.height, batch.positions.width]
        .compactMap { $0[rows].max() }.max()
      return Beginning(
        keys: keys[number], values: values[number], count: rows.count, next: (last ?? -1) + 1)
    }
  }

  /// Rows of keys or values, apart from the pass that they were computed in: they live longer.
  private func part(_ rows: Range<Int>, of tensor: Tensor) -> Tensor {
    if rows.count == tensor.rows { return tensor }
    return tape.gatherRows(tensor, Array(rows))
  }

  /// Begins a sequence of every readout, in their order: behind a beginning the prompt goes on with
  /// `ending` [at least one token], which the next step reads.
  public func begin(_ beginning: Beginning?, _ ending: [Int32]) {
    for readout in readouts.indices {
      sequences.append(
        Sequence(
          beginning: beginning, readout: readout, pending: ending,
          own: GrowingCache(layers: readouts[readout].depth, width: width),
          position: beginning?.next ?? 0))
    }
  }

  /// Appends one token to every sequence that has been going, and to each that has just begun its
  /// prompt's ending; returns what the head reads behind them, [sequences, d].
  /// - Parameter tokens: of those that have been going, in their order
  public func step(_ tokens: [Int32]) -> Tensor {
    let language = model.language
    for (index, token) in tokens.enumerated() { sequences[index].pending.append(token) }
    let news = sequences.map(\.pending)
    // The deepest first: what still runs are always the first rows. Rows of one readout lie together.
    let order = sequences.indices.sorted {
      let left = sequences[$0].readout, right = sequences[$1].readout
      return (-readouts[left].depth, left, $0) < (-readouts[right].depth, right, $1)
    }
    var places: [Int32] = []
    // Where the rows of each end, in this order.
    var ends: [Int] = []
    for index in order {
      let start = sequences[index].position, count = news[index].count
      places += (0..<Int32(count)).map { start + $0 }
      ends.append(places.count)
      sequences[index].own.extend(by: count)
      sequences[index].position += Int32(count)
      sequences[index].pending = []
    }
    let vectors = Tensor([sequences.count, model.config.text.hiddenSize])
    var x = tape.embedding(order.flatMap { news[$0] }, model.embedding)
    var (cosine, sine) = language.rotaryTables((places, places, places))
    // The first so many of the order still run.
    var running = order.count
    for layer in 0..<(order.first.map { readouts[sequences[$0].readout].depth } ?? 0) {
      x = language.blocks[layer].forward(tape, x, cosine: cosine, sine: sine) {
        [running] tape, q, k, v in
        attend(tape, order.prefix(running).map { ($0, news[$0].count) }, layer, q, k, v)
      }
      let before = running
      while running > 0, case let number = sequences[order[running - 1]].readout,
        readouts[number].depth == layer + 1
      {
        var first = running - 1
        while first > 0, sequences[order[first - 1]].readout == number { first -= 1 }
        read(
          readouts[number], tape.gatherRows(x, (first..<running).map { ends[$0] - 1 }),
          Array(order[first..<running]), into: vectors)
        running = first
      }
      if running > 0, running < before {
        let rows = Array(0..<ends[running - 1])
        x = tape.gatherRows(x, rows)
        (cosine, sine) = (tape.gatherRows(cosine, rows), tape.gatherRows(sine, rows))
      }
    }
    return vectors
  }

  /// Writes what the head reads for the newest states [n, d] of the sequences `members`, which have
  /// one readout, to their rows of `vectors`.
  private func read(
    _ readout: Readout, _ newest: Tensor, _ members: [Int], into vectors: Tensor
  ) {
    let d = newest.columns
    var states = newest
    var answers = members.indices.map { $0..<$0 + 1 }
    if readout.looksBack {
      for (row, index) in members.enumerated() {
        let before = sequences[index].states
        let count = before?.rows ?? 0
        let all = Tensor([count + 1, d])
        if let before { all.values.update(from: before.values, count: count * d) }
        (all.values + count * d).update(from: newest.values + row * d, count: d)
        sequences[index].states = all
      }
      let parts = members.compactMap { sequences[$0].states }
      states = Tensor([parts.reduce(0) { $0 + $1.rows }, d])
      var start = 0
      answers = parts.map { part in
        defer { start += part.rows }
        (states.values + start * d).update(from: part.values, count: part.count)
        return start..<start + part.rows
      }
    }
    let wanted = readout.vectors(tape, states, answers)
    for (index, rows) in zip(members, answers) {
      (vectors.values + index * d).update(
        from: wanted.values + (rows.upperBound - 1) * d, count: d)
    }
    withExtendedLifetime(wanted) {}
  }

  /// Attention of the new rows of some sequences, once their keys and values are in the caches.
  private func attend(
    _ tape: Tape, _ members: [(index: Int, count: Int)], _ layer: Int, _ q: Tensor, _ k: Tensor,
    _ v: Tensor
  ) -> Tensor {
    var row = 0
    let caches = members.map { index, count in
      let sequence = sequences[index]
      sequence.own.put(
        layer: layer, count: count, keys: k.values + row * width, values: v.values + row * width)
      row += count
      return CachedKeys(
        beginning: sequence.beginning?.stretch(layer: layer),
        own: sequence.own.stretch(layer: layer), rows: count)
    }
    let y = tape.result(q.shape, needsGradient: false)
    cachedAttention(q: q.values, caches: caches, heads: model.language.heads, into: y.values)
    return y
  }

  /// Keeps the sequences that `parents` names, in that order: drops finished ones, or follows the
  /// best beams. A sequence named twice is copied.
  public func keep(_ parents: [Int]) {
    var taken = Set<Int>()
    sequences = parents.map { index in
      var sequence = sequences[index]
      if !taken.insert(index).inserted { sequence.own = sequence.own.copy() }
      return sequence
    }
  }
}
