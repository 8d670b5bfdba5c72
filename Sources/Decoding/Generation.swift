import Failures
import Kernels
import Models
import Tensors

/// How answers are drawn from a model's distributions.
public struct GenerationSettings {
  public enum Method {
    /// The likeliest token, always.
    case greedy
    case sampling(Sampling)
    case beams(BeamSearch)
  }

  public var method = Method.greedy
  /// The longest answer; no answer goes beyond the model's positions either.
  public var maxNewTokens: Int
  /// Tokens that end an answer; they are no part of it.
  public var stop: Set<Int32>
  /// Makes tokens that occurred before, in the prompt too, less likely (Keskar et al. 2019,
  /// "CTRL", section 4.1; transformers' `RepetitionPenaltyLogitsProcessor`); 1 changes nothing.
  public var repetitionPenalty: Float = 1

  public init(method: Method = .greedy, maxNewTokens: Int, stop: Set<Int32>) {
    self.method = method
    self.maxNewTokens = maxNewTokens
    self.stop = stop
  }
}

/// What a readout answered.
public struct Answer: Sendable, Equatable {
  public enum End: String, Sendable {
    /// A stop token.
    case stop
    /// The longest answer allowed.
    case length
  }

  public var tokens: [Int32] = []
  public var end = End.length
  /// A beam search's: the answer's log-probability by its length to the power of the penalty.
  public var score: Float?

  public init() {}
}

extension VisionLanguageModel {
  /// How many tokens may follow a prompt; zero or less where it fills the model's positions.
  public func room(after prompt: ModelSample) -> Int {
    config.text.maxPositions - prompt.inputIDs.count
  }

  /// The answers of every readout to every prompt, side by side: prompt by prompt, the readouts in
  /// order. Equal to transformers' `generate`, for a readout that is the model's own. What prompts
  /// behind each other have in common is run once.
  /// - readouts: who answers; the model where nothing is given.
  /// - between: called between two steps, to stop by throwing.
  /// - name: what messages call an answer, by its place.
  /// - onToken: called with the answer's place and each new token, in order of generation; not
  ///   during a beam search, whose tokens are certain only at its end.
  public func generate(
    _ prompts: [ModelSample], readouts: [Readout]? = nil, _ settings: GenerationSettings,
    name: (Int) -> String = { "answer \($0 + 1)" },
    between: () throws -> Void, onToken: (Int, Int32) throws -> Void
  ) throws -> [Answer] {
    let readouts = readouts ?? [readout]
    var answers = [Answer](repeating: Answer(), count: prompts.count * readouts.count)
    var waiting = SharedPrompt.grouping(prompts, imageToken: Int32(config.imageTokenID))[...]
    try answer(
      readouts: readouts, settings, bounds: .none, name: name, between: between, onToken: onToken,
      next: { waiting.popFirst() }
    ) { answers[$0] = $1 }
    return answers
  }

  /// As the other `generate`, without a look at what happens on the way.
  public func generate(
    _ prompts: [ModelSample], readouts: [Readout]? = nil, _ settings: GenerationSettings
  ) throws -> [Answer] {
    try generate(prompts, readouts: readouts, settings, between: {}) { _, _ in }
  }

  /// Calls `body` with every row's logits, to be changed at will: a few rows' logits exist at once.
  func forEachLogits(
    _ vectors: Tensor, _ body: (Int, UnsafeMutablePointer<Float>, Int) throws -> Void
  ) rethrows {
    let tape = Tape(recording: false)
    let chunk = 64
    for start in stride(from: 0, to: vectors.rows, by: chunk) {
      let rows = Array(start..<min(start + chunk, vectors.rows))
      let part = rows.count == vectors.rows ? vectors : tape.gatherRows(vectors, rows)
      let logits = logits(part, tape: tape)
      for row in rows {
        try body(row, logits.values + (row - start) * logits.columns, logits.columns)
      }
      withExtendedLifetime(logits) {}
    }
  }
}
