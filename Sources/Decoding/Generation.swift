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
  /// order. Equal to transformers' `generate`, for a readout that is the model's own.
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
    // Where each answer starts, and how long it may be.
    let seats = prompts.flatMap { prompt in
      readouts.map { _ in
        (prompt: prompt.inputIDs, limit: min(settings.maxNewTokens, room(after: prompt)))
      }
    }
    guard seats.contains(where: { $0.limit > 0 }) else { return seats.map { _ in Answer() } }
    let (session, vectors) = try DecodingSession.start(self, prompts: prompts, readouts: readouts)
    if case .beams(let search) = settings.method {
      return try search.run(self, session, vectors, seats, settings, name, between)
    }
    return try speak(session, vectors, seats, settings, name, between, onToken)
  }

  /// As the other `generate`, without a look at what happens on the way.
  public func generate(
    _ prompts: [ModelSample], readouts: [Readout]? = nil, _ settings: GenerationSettings
  ) throws -> [Answer] {
    try generate(prompts, readouts: readouts, settings, between: {}) { _, _ in }
  }

  /// Token by token, each from its own distribution.
  private func speak(
    _ session: DecodingSession, _ first: Tensor, _ seats: [(prompt: [Int32], limit: Int)],
    _ settings: GenerationSettings, _ name: (Int) -> String, _ between: () throws -> Void,
    _ onToken: (Int, Int32) throws -> Void
  ) throws -> [Answer] {
    var answers = seats.map { _ in Answer() }
    var seen = seats.map { Set(settings.repetitionPenalty == 1 ? [] : $0.prompt) }
    var sampling: Sampling?
    if case .sampling(let chosen) = settings.method { sampling = chosen }
    var generators = sampling.map { sampling in seats.indices.map { sampling.generator($0) } } ?? []
    var active = Array(seats.indices)
    var vectors = first
    while true {
      var going: [Int] = [], tokens: [Int32] = []
      try forEachLogits(vectors) { row, logits, count in
        let seat = active[row]
        guard answers[seat].tokens.count < seats[seat].limit else { return }
        try requireFinite(logits, count, name(seat), token: answers[seat].tokens.count)
        penalise(logits, seen[seat], settings.repetitionPenalty)
        let token =
          sampling?.draw(logits, count, using: &generators[seat])
          ?? Int32(indexOfMaximum(logits, count))
        if settings.stop.contains(token) {
          answers[seat].end = .stop
          return
        }
        answers[seat].tokens.append(token)
        try onToken(seat, token)
        guard answers[seat].tokens.count < seats[seat].limit else { return }
        if settings.repetitionPenalty != 1 { seen[seat].insert(token) }
        going.append(row)
        tokens.append(token)
      }
      if going.isEmpty { return answers }
      if going.count < active.count { session.keep(going) }
      active = going.map { active[$0] }
      try between()
      vectors = session.step(tokens)
    }
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

/// Throws 65 for the logits of an answer's next token that are not all finite: whichever token was
/// chosen from them would mean nothing.
func requireFinite(
  _ logits: UnsafePointer<Float>, _ count: Int, _ answer: String, token: Int
) throws {
  guard let place = firstNonFinite(logits, count) else { return }
  throw Failure(
    .badData, "the model's logits are not finite", at: "\(answer), token \(token + 1)",
    found: "\(logits[place]) for token id \(place)",
    advice: "Look at the checkpoint with vlsi-dump --verify")
}

/// Divides positive and multiplies negative scores of the tokens `seen` by `penalty`.
func penalise(_ scores: UnsafeMutablePointer<Float>, _ seen: Set<Int32>, _ penalty: Float) {
  guard penalty != 1 else { return }
  for token in seen {
    let score = scores[Int(token)]
    scores[Int(token)] = score < 0 ? score * penalty : score / penalty
  }
}
