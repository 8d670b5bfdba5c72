import Checkpoints
import Kernels
import Tensors

/// Qwen2-VL (Wang et al. 2024; transformers' `Qwen2VLForConditionalGeneration`): a vision encoder
/// whose merged embeddings take the places of the image tokens in a language model.
public final class Qwen2VL {
  public let config: Qwen2VLConfig
  public let weights: Weights
  let vision: VisionEncoder
  let language: LanguageModel

  /// The parts that can learn.
  public enum Part: CaseIterable, Sendable {
    case vision, embedding, language, head
  }

  /// A model over the mapped weights of a checkpoint, everything frozen. Throws `Failure` (65) when
  /// a tensor is missing or has another shape than the configuration says.
  public convenience init(_ checkpoint: Checkpoint) throws {
    self.init(config: checkpoint.config, weights: try Weights(checkpoint))
  }

  public init(config: Qwen2VLConfig, weights: Weights) {
    self.config = config
    self.weights = weights
    vision = VisionEncoder(config: config, weights: weights)
    language = LanguageModel(config: config, weights: weights)
  }

  public var parameters: [Parameter] { weights.all }
  public var embedding: Parameter { weights["model.embed_tokens.weight"] }
  /// The language head [vocabulary, d]; the word embedding itself where the two are tied.
  public var head: Parameter {
    config.text.tieWordEmbeddings ? embedding : weights["lm_head.weight"]
  }
  public var finalNorm: Parameter { weights["model.norm.weight"] }

  /// Lets the given parts learn and freezes the others.
  public func train(_ parts: Set<Part>) {
    for parameter in parameters {
      let part: Part =
        parameter.name.hasPrefix("visual.")
        ? .vision
        : parameter === embedding ? .embedding : parameter === head ? .head : .language
      let wanted =
        parts.contains(part)
        || (part == .embedding && config.text.tieWordEmbeddings && parts.contains(.head))
      if wanted { parameter.train() } else { parameter.freeze() }
    }
  }

  /// What a forward pass gives.
  public struct Output {
    /// The outputs of the asked-for decoder blocks, counted from 1, [rows, d].
    public var hidden: [Int: Tensor]
    /// The last block's output after the final norm, [rows, d].
    public var last: Tensor
  }

  public func pack(_ samples: [ModelSample]) -> PackedBatch {
    PackedBatch(
      samples, imageToken: Int32(config.imageTokenID), mergeSize: config.vision.spatialMergeSize)
  }

  /// The merged visual embeddings of a batch [visual tokens, d], or nil without images.
  public func visualEmbeddings(
    _ batch: PackedBatch, tape: Tape, checkpointing: Bool = false
  ) -> Tensor? {
    batch.patches.isEmpty ? nil : vision(tape, batch, checkpointing: checkpointing)
  }

  /// The input embeddings of a batch [tokens, d], visual tokens in their places.
  public func embed(
    _ batch: PackedBatch, tape: Tape, visual: Tensor? = nil, checkpointing: Bool = false
  ) -> Tensor {
    let words = tape.embedding(batch.inputIDs, embedding)
    let visual = visual ?? visualEmbeddings(batch, tape: tape, checkpointing: checkpointing)
    guard let visual else { return words }
    return tape.replaceRows(words, at: batch.visualRows, by: visual)
  }

  /// Runs the model over a packed batch.
  /// - layers: the decoder blocks, from 1, whose outputs are wanted (`hidden_states[k]`).
  /// - rows: the packed rows wanted in the output; nil for all.
  /// - visual: merged visual embeddings computed before, [visual tokens, d].
  /// - checkpointing: keep only the blocks' inputs for the gradient.
  public func forward(
    _ batch: PackedBatch, tape: Tape, layers: Set<Int> = [], rows: [Int]? = nil,
    visual: Tensor? = nil, checkpointing: Bool = false
  ) -> Output {
    var x = embed(batch, tape: tape, visual: visual, checkpointing: checkpointing)
    let (cosine, sine) = language.rotaryTables(batch.positions)
    var hidden: [Int: Tensor] = [:]
    for layer in 0..<config.text.layers {
      let step: (Tape, Tensor) -> Tensor = { [language] tape, x in
        language.block(tape, x, layer, cosine: cosine, sine: sine) { tape, _, q, k, v in
          tape.attention(q, k, v, heads: language.heads, layout: batch.layout)
        }
      }
      x = checkpointing ? tape.checkpoint(x, step) : step(tape, x)
      if layers.contains(layer + 1) {
        hidden[layer + 1] = rows.map { tape.gatherRows(x, $0) } ?? x
      }
    }
    let wanted = rows.map { tape.gatherRows(x, $0) } ?? x
    return Output(hidden: hidden, last: language.norm(tape, wanted, "model.norm.weight"))
  }

  /// Logits [rows, vocabulary] of hidden states after the final norm [rows, d]: for a few rows only,
  /// training streams over the vocabulary instead.
  public func logits(_ last: Tensor, tape: Tape) -> Tensor { tape.linear(last, head) }
}
