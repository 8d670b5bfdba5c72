import Checkpoints
import Failures
import Kernels
import Tensors

/// A vision-language model: a vision encoder whose embeddings take the places of the image tokens in
/// a language model. What its family is, only its config knows.
public final class VisionLanguageModel {
  public let config: any ModelConfig
  public let weights = Weights()
  public let language: LanguageModel
  private let vision: any VisionEncoder
  /// Those of the vision encoder are the first so many.
  private let visionCount: Int

  /// The parts that can learn.
  public enum Part: CaseIterable, Sendable {
    /// The vision encoder with what joins it to the language model.
    case vision
    case embedding
    /// Decoder blocks and final norm.
    case language
    case head
  }

  /// A model over the mapped weights of a checkpoint, everything frozen. Throws `Failure` (65) when
  /// a tensor is missing or has another shape than the configuration says.
  public convenience init(_ checkpoint: Checkpoint) throws {
    self.init(config: checkpoint.config)
    try weights.map(checkpoint)
  }

  /// A model of shapes alone, until `weights.map` gives it values.
  public init(config: any ModelConfig) {
    self.config = config
    vision = config.visionEncoder(weights.scope)
    visionCount = weights.all.count
    language = LanguageModel(config.text, names: config.tensorNames, weights.scope)
  }

  // MARK: Parameters

  public var parameters: [Parameter] { weights.all }
  public var embedding: Parameter { language.embedding }
  /// The language head [vocabulary, d]; the word embedding itself where the two are tied.
  public var head: Parameter { language.head }
  public var finalNorm: Parameter { language.norm.weight }

  /// The parameters of some parts. A tied head and the embedding are one.
  public func parameters(of parts: Set<Part>) -> [Parameter] {
    parameters.enumerated().compactMap { number, parameter in
      let isWanted =
        if number < visionCount { parts.contains(.vision) } else if parameter === embedding {
          parts.contains(.embedding) || (parameter === head && parts.contains(.head))
        } else { parts.contains(parameter === head ? .head : .language) }
      return isWanted ? parameter : nil
    }
  }

  /// The parameters of each decoder block, those of its adapters included.
  public var blockParameters: [[Parameter]] {
    let all = parameters.dropFirst(visionCount) + LowRankAdapters.parameters(of: self)
    return language.blocks.indices.map { layer in
      let prefix = config.tensorNames.text + "layers.\(layer)."
      return all.filter { $0.name.hasPrefix(prefix) }
    }
  }

  /// Lets the given parts learn and freezes the others.
  public func train(_ parts: Set<Part>) {
    let learning = Set(parameters(of: parts).map(ObjectIdentifier.init))
    for parameter in parameters {
      if learning.contains(ObjectIdentifier(parameter)) {
        parameter.train()
      } else {
        parameter.freeze()
      }
    }
  }

  // MARK: Forward

  /// What of a pass keeps only its inputs for the gradient and is computed again.
  public struct Recomputation: Sendable, Equatable {
    /// The first so many decoder blocks.
    public var decoderBlocks: Int
    /// The blocks of the vision encoder.
    public var encoder: Bool

    public init(decoderBlocks: Int, encoder: Bool) {
      self.decoderBlocks = decoderBlocks
      self.encoder = encoder
    }

    public static let none = Recomputation(decoderBlocks: 0, encoder: false)
    public static let all = Recomputation(decoderBlocks: .max, encoder: true)
  }

  /// What a forward pass gives.
  public struct Output {
    /// The outputs of the asked-for decoder blocks, counted from 1, [rows, d].
    public var hidden: [Int: Tensor]
    /// The last block's output after the final norm, [rows, d].
    public var last: Tensor
  }

  /// Packs samples into one sequence. Throws 65 for one that does not fit the model.
  public func pack(_ samples: [ModelSample]) throws -> PackedBatch {
    try PackedBatch(samples, for: config)
  }

  /// The visual embeddings of a batch [visual tokens, `visualWidth` of the config], or nil without
  /// images.
  public func visualEmbeddings(
    _ batch: PackedBatch, tape: Tape, checkpointing: Bool = false
  ) -> Tensor? {
    batch.patches.isEmpty ? nil : vision(tape, batch, checkpointing: checkpointing)
  }

  /// A batch on its way through the decoder blocks.
  public struct Passage {
    /// What enters the next block [tokens, d].
    public var x: Tensor
    let cosine: Tensor
    let sine: Tensor
    let layout: AttentionLayout
    /// What is added to the visual tokens behind the first blocks, from 0, [visual tokens, d].
    var deep: [Int: Tensor] = [:]
    var visualRows: [Int] = []
  }

  /// The embedded batch, visual tokens in their places.
  /// - visual: visual embeddings computed before; needed where the batch has no patches.
  public func enter(
    _ batch: PackedBatch, tape: Tape, visual: Tensor? = nil, recomputing: Recomputation = .none
  ) -> Passage {
    let (cosine, sine) = language.rotaryTables(batch.positions)
    let words = tape.embedding(batch.inputIDs, embedding)
    let visual = visual ?? visualEmbeddings(batch, tape: tape, checkpointing: recomputing.encoder)
    guard let visual else {
      precondition(batch.visualRows.isEmpty, "neither patches nor visual embeddings")
      return Passage(x: words, cosine: cosine, sine: sine, layout: batch.layout)
    }
    let d = words.columns
    let levels = (0..<visual.columns / d).map { level in
      visual.columns == d ? visual : tape.columns(visual, level * d..<(level + 1) * d)
    }
    return Passage(
      x: tape.replaceRows(words, at: batch.visualRows, by: levels[0]), cosine: cosine, sine: sine,
      layout: batch.layout,
      deep: Dictionary(uniqueKeysWithValues: levels.dropFirst().enumerated().map { ($0, $1) }),
      visualRows: batch.visualRows)
  }

  /// Runs decoder block `layer`, counted from 0, and returns its output; `passage` goes on to the next.
  /// - Parameter attend: nil where the batch's tokens attend to each other
  public func block(
    _ layer: Int, _ passage: inout Passage, tape: Tape, checkpointing: Bool = false,
    attend: DecoderBlock.Attend? = nil
  ) -> Tensor {
    let block = language.blocks[layer]
    let (cosine, sine, layout) = (passage.cosine, passage.sine, passage.layout)
    let heads = language.heads
    let attend = attend ?? { $0.attention($1, $2, $3, heads: heads, layout: layout) }
    let step: (Tape, Tensor) -> Tensor = { tape, x in
      block.forward(tape, x, cosine: cosine, sine: sine, attend: attend)
    }
    let output =
      checkpointing ? tape.checkpoint(passage.x, step) : step(tape, passage.x)
    let deep = passage.deep.removeValue(forKey: layer)
    passage.x = deep.map { tape.addRows(output, at: passage.visualRows, $0) } ?? output
    return output
  }

  /// What left the last block, after the final norm [rows, d].
  /// - Parameter rows: the packed rows that are wanted; nil for all
  public func last(_ passage: Passage, rows: [Int]? = nil, tape: Tape) -> Tensor {
    language.norm(tape, rows.map { tape.gatherRows(passage.x, $0) } ?? passage.x)
  }

  /// Runs the model over a packed batch.
  /// - layers: the decoder blocks, from 1, whose outputs are wanted (`hidden_states[k]`).
  /// - rows: the packed rows wanted in the output; nil for all.
  /// - visual: visual embeddings computed before; needed where the batch has no patches.
  /// - completed: called on the way back when the gradients of a decoder block, from 0, are complete.
  public func forward(
    _ batch: PackedBatch, tape: Tape, layers: Set<Int> = [], rows: [Int]? = nil,
    visual: Tensor? = nil, recomputing: Recomputation = .none,
    completed: ((_ block: Int) -> Void)? = nil
  ) -> Output {
    var passage = enter(batch, tape: tape, visual: visual, recomputing: recomputing)
    var hidden: [Int: Tensor] = [:]
    for layer in language.blocks.indices {
      if let completed { tape.onReturn { completed(layer) } }
      let output = block(
        layer, &passage, tape: tape, checkpointing: layer < recomputing.decoderBlocks)
      if layers.contains(layer + 1) {
        hidden[layer + 1] = rows.map { tape.gatherRows(output, $0) } ?? output
      }
    }
    return Output(hidden: hidden, last: last(passage, rows: rows, tape: tape))
  }

  /// Logits [rows, vocabulary] of hidden states after the final norm [rows, d]: for a few rows only,
  /// training streams over the vocabulary instead.
  public func logits(_ last: Tensor, tape: Tape) -> Tensor { tape.linear(last, head) }
}
