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
/// The readouts of a prompt and the beams of a search share the prompt's cache; a sequence runs only
/// as many blocks as its readout needs.
public final class DecodingSession {
  private let model: VisionLanguageModel
  private let readouts: [Readout]
  private let tape = Tape(recording: false)
  /// The keys and values of all prompts behind each other, by layer [tokens, width].
  private var promptKeys: [Tensor] = []
  private var promptValues: [Tensor] = []
  private var sequences: [Sequence] = []

  private struct Sequence {
    let prompt: Range<Int>
    let readout: Int
    var own: GrowingCache
    /// The answer's states so far [n, d], for a readout that looks back.
    var states: Tensor?
    /// The next token's position, the same along all three axes.
    var position: Int32
  }

  private var width: Int {
    model.language.heads.keyValueHeads * model.language.heads.size
  }

  /// The number of sequences.
  public var count: Int { sequences.count }

  /// Runs the prompts and keeps their keys and values. Every readout begins a sequence of every
  /// prompt: prompt by prompt, the readouts in order.
  /// Returns the session and what the head reads at each prompt's last token, [sequences, d]. Throws
  /// 65 for a prompt that does not fit the model.
  public static func start(
    _ model: VisionLanguageModel, prompts: [ModelSample], readouts: [Readout]
  ) throws -> (session: DecodingSession, vectors: Tensor) {
    let session = DecodingSession(model, readouts: readouts)
    return (session, try session.prefill(prompts))
  }

  private init(_ model: VisionLanguageModel, readouts: [Readout]) {
    self.model = model
    self.readouts = readouts
  }

  private func prefill(_ prompts: [ModelSample]) throws -> Tensor {
    let batch = try model.pack(prompts)
    let language = model.language
    for rows in batch.sampleRows {
      let last = [batch.positions.time, batch.positions.height, batch.positions.width]
        .compactMap { $0[rows].max() }.max()
      for readout in readouts.indices {
        sequences.append(
          Sequence(
            prompt: rows, readout: readout,
            own: GrowingCache(layers: readouts[readout].depth, width: width),
            position: (last ?? -1) + 1))
      }
    }
    let ends = batch.sampleRows.map { $0.upperBound - 1 }
    let vectors = Tensor([sequences.count, model.config.text.hiddenSize])
    var passage = model.enter(batch, tape: tape)
    for layer in 0..<(readouts.map(\.depth).max() ?? 0) {
      let x = model.block(layer, &passage, tape: tape) { [self] tape, q, k, v in
        promptKeys.append(k)
        promptValues.append(v)
        return tape.attention(q, k, v, heads: language.heads, layout: batch.layout)
      }
      for (number, readout) in readouts.enumerated() where readout.depth == layer + 1 {
        let members = prompts.indices.map { $0 * readouts.count + number }
        read(readout, tape.gatherRows(x, ends), members, into: vectors)
      }
    }
    return vectors
  }

  /// Appends one token to every sequence; returns what the head reads there, [sequences, d].
  public func step(_ tokens: [Int32]) -> Tensor {
    let language = model.language
    // The deepest first: what still runs are always the first rows. Rows of one readout lie together.
    let order = sequences.indices.sorted {
      let left = sequences[$0].readout, right = sequences[$1].readout
      return (-readouts[left].depth, left, $0) < (-readouts[right].depth, right, $1)
    }
    let places = order.map { sequences[$0].position }
    for index in sequences.indices {
      sequences[index].own.extend()
      sequences[index].position += 1
    }
    let vectors = Tensor([sequences.count, model.config.text.hiddenSize])
    var x = tape.embedding(order.map { tokens[$0] }, model.embedding)
    var (cosine, sine) = language.rotaryTables((places, places, places))
    for layer in 0..<(order.first.map { readouts[sequences[$0].readout].depth } ?? 0) {
      x = language.blocks[layer].forward(tape, x, cosine: cosine, sine: sine) {
        attend($0, Array(order.prefix($1.rows)), layer, $1, $2, $3)
      }
      var running = x.rows
      while running > 0, case let number = sequences[order[running - 1]].readout,
        readouts[number].depth == layer + 1
      {
        var first = running - 1
        while first > 0, sequences[order[first - 1]].readout == number { first -= 1 }
        read(
          readouts[number], tape.gatherRows(x, Array(first..<running)),
          Array(order[first..<running]), into: vectors)
        running = first
      }
      if running < x.rows {
        let rows = Array(0..<running)
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

  /// Attention of one new row for each of the sequences `order` names, once its key and value are
  /// in the cache.
  private func attend(
    _ tape: Tape, _ order: [Int], _ layer: Int, _ q: Tensor, _ k: Tensor, _ v: Tensor
  ) -> Tensor {
    let caches = order.enumerated().map { row, index in
      let sequence = sequences[index]
      sequence.own.put(
        layer: layer, key: k.values + row * width, value: v.values + row * width)
      let start = sequence.prompt.lowerBound * width
      return CachedKeys(
        prompt: CachedKeys.Stretch(
          keys: promptKeys[layer].values + start, values: promptValues[layer].values + start,
          length: sequence.prompt.count),
        own: sequence.own.stretch(layer: layer))
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

/// The keys and values that a sequence gathers after its prompt, by layer.
private struct GrowingCache {
  private let width: Int
  private var keys: [Buffer]
  private var values: [Buffer]
  private var length = 0
  private var capacity = 32

  init(layers: Int, width: Int) {
    self.width = width
    keys = (0..<layers).map { [capacity] _ in Buffer(count: capacity * width) }
    values = (0..<layers).map { [capacity] _ in Buffer(count: capacity * width) }
  }

  /// Makes room for one more token.
  mutating func extend() {
    if length == capacity {
      capacity *= 2
      self = copy()
    }
    length += 1
  }

  /// A cache of its own with the same content.
  func copy() -> GrowingCache {
    func copied(_ buffers: [Buffer]) -> [Buffer] {
      buffers.map { buffer in
        let other = Buffer(count: capacity * width)
        other.pointer.update(from: buffer.pointer, count: length * width)
        return other
      }
    }
    var other = self
    other.keys = copied(keys)
    other.values = copied(values)
    return other
  }

  /// Writes a layer's key and value of the last token [width].
  func put(layer: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>) {
    let place = (length - 1) * width
    (keys[layer].pointer + place).update(from: key, count: width)
    (values[layer].pointer + place).update(from: value, count: width)
  }

  func stretch(layer: Int) -> CachedKeys.Stretch {
    CachedKeys.Stretch(
      keys: keys[layer].pointer, values: values[layer].pointer, length: length)
  }
}
