import Artifacts
import Checkpoints
import Distillation
import Kernels
import StageKit
import Tensors
import Training

/// The memory that each stage takes at its peak, in bytes, mapped files not counted.
public enum StageMemory {
  /// A program with its tokenizer.
  static let standing = 28 << 20
  /// Of the blocks that stand by for reuse, those that a stage at its peak cannot use: the sizes of
  /// earlier passes. With what the heap keeps, half as much again as a pass takes may be left of them, and
  /// all but an eighth of what may stand by.
  /// - Parameter pass: bytes of the largest pass, of which they are
  static func idle(_ pass: Int) -> Int { min(BufferPool.limit / 8 * 7, pass / 2 * 3) }

  /// vlsi-extract over passes that go through the decoder blocks together.
  /// - Parameters:
  ///   - layers: that are stored, the last one included
  ///   - encodes: whether images are encoded; else their embeddings are known
  ///   - stores: whether these are stored
  ///   - fullness: as how many of the largest of these flights the largest of all may be
  static func extract(
    _ needs: ModelNeeds, _ flights: [[SampleSurvey.Pass]], layers: Int, encodes: Bool,
    stores: Bool, fullness: Double = 1
  ) -> Int {
    let d = needs.config.text.hiddenSize
    let passes = flights.joined()
    let atWork =
      passes.map { pass in
        needs.seeingBytes(
          pass, encodes: encodes,
          reading: needs.forwardBytes(tokens: pass.tokens, scores: pass.scores))
          // A layer's wanted states before they are rounded.
          + 4 * d * pass.positions
      }.max() ?? 0
    let waiting =
      flights.map { flight in
        flight.reduce(0) {
          $0 + needs.waitingBytes($1, stores: stores) + 2 * d * layers * $1.positions
        }
      }.max() ?? 0
    // What enters a block is a part of the pass at work too.
    let shared = 4 * d * (passes.map(\.tokens).max() ?? 0)
    let record = 2 * d * layers * (passes.map(\.largestPositions).max() ?? 0)
    return standing + idle(atWork) + atWork + ArtifactWriter.memory(record: record)
      + max(0, Int(fullness * Double(waiting)) - shared)
  }

  /// vlsi-evaluate: the prompts of a batch, its keys and values, its images.
  /// - Parameters:
  ///   - patches: of the pictures of the largest question
  ///   - text: the most tokens of a question beside them
  ///   - tokens: of a batch, at most
  ///   - batch: questions side by side, at most
  ///   - beams: of each
  ///   - answer: the longest, in tokens
  public static func evaluate(
    _ needs: ModelNeeds, patches: [Int], text: Int, tokens: Int, batch: Int, beams: Int, answer: Int
  ) -> Int {
    let config = needs.config
    let seen = patches.reduce(0, +)
    let largest = seen / config.encoder.patchesPerToken + text
    // As many of the largest as a batch takes, one at least.
    let count = min(batch, max(1, tokens / max(1, largest)))
    let prompt = largest * count
    var pass = SampleSurvey.Pass([])
    (pass.tokens, pass.patches) = (prompt, seen * count)
    (pass.largestImage, pass.scores) = (patches.max() ?? 0, AttentionLayout.scores(rows: largest))
    let cached = 2 * 4 * config.text.keyValueSize * config.text.layers
    let atWork = needs.seeingBytes(
      pass, encodes: true, reading: needs.forwardBytes(tokens: prompt, scores: pass.scores))
    // The rows of logits that exist at once, and those that are sorted for beams.
    let logits = 4 * config.text.vocabularySize * min(64, count * beams) * (beams > 1 ? 2 : 1)
    return standing + idle(atWork) + atWork + logits
      + cached * (prompt + count * beams * min(answer + 32, 2 * answer))
  }

  /// vlsi-verbalize: weights, gradients and two moments of every layer; a batch of all layers; one
  /// layer's forward and backward pass; decoded samples.
  /// - Parameters:
  ///   - features: bytes of all hidden states.
  ///   - ranks: to which the layers are dealt out; each has the weights of all
  public static func verbalize(
    _ form: VerbalizerForm, layers: Int, settings: VerbalizeSettings, features: Int, ranks: Int = 1
  ) -> Int {
    let own = (layers + ranks - 1) / ranks
    let count = form.parameterCount(layers: own)
    let others = form.parameterCount(layers: layers) - count
    let batch =
      settings.tokensPerBatch * (layers * form.backbone.width + form.numbersPerPosition)
    return standing + idle(4 * batch) + learning(count, settings.optimizer) + 4 * others
      + 4 * batch + min(settings.bytesKept, features)
  }

  /// vlsi-target: a group's states and targets of all layers; what one layer says.
  /// - Parameters:
  ///   - numbers: that the targets hold of a layer at a position
  ///   - positions: of the fullest shard; a group has up to `positionsPerPass` of them
  public static func target(
    _ form: VerbalizerForm, numbers: Int, layers: Int, positions: Int
  ) -> Int {
    let width = form.backbone.width
    // A verbalizer's forward pass alone keeps a third of what one with its gradient does.
    let perPosition =
      layers * (2 * width + 4 * numbers) + 4 * (form.numbersPerPosition / 3 + 2 * numbers)
    return standing + min(positions, positionsPerPass) * perPosition
  }

  /// Supervised positions that share a pass over the heads in vlsi-target.
  public static let positionsPerPass = 1024

  /// Bytes on disk of the saved states of a training of `count` numbers, the one that is being
  /// written included.
  static func trainingStates(_ count: Int, _ settings: OptimizerSettings) -> Int {
    TrainingState.mostCopies * (4 * count + moments(count, settings))
  }

  /// Bytes of so many weights that learn: themselves, their gradients, AdamW's moments, and in
  /// bfloat16 what products read.
  /// - Parameter ranks: that share the moments
  static func learning(_ count: Int, _ settings: OptimizerSettings, ranks: Int = 1) -> Int {
    count * (Precision.current == .bfloat16 ? 10 : 8)
      + (moments(count, settings) + ranks - 1) / ranks
  }

  /// Bytes of AdamW's moments of so many weights.
  static func moments(_ count: Int, _ settings: OptimizerSettings) -> Int {
    Moments.byteCount(count, settings.adamW.moments)
  }
}
