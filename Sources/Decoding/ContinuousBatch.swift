import Kernels
import Models
import Tensors

/// How much is answered side by side.
public struct BatchBounds: Sendable {
  /// Answers that grow at a time, at least one.
  public var answers: Int
  /// Tokens of their prompts, a shared beginning counted once; one prompt may have more.
  public var tokens: Int

  public init(answers: Int, tokens: Int) {
    self.answers = answers
    self.tokens = tokens
  }

  public static let none = BatchBounds(answers: .max, tokens: .max)
}

extension VisionLanguageModel {
  /// Answers prompts side by side, and begins a waiting one as soon as an answer is complete
  /// (continuous batching; Yu et al. 2022, "Orca", section 4.1). Answers are numbered as their prompts
  /// come, the readouts of each in order.
  /// - readouts: who answers each prompt.
  /// - name, between, onToken: as `generate` has them.
  /// - next: the prompts that wait, asked for when there is room; nil once there are no more.
  /// - completed: called with each answer as it is complete.
  /// - Throws: 65 for logits that are not finite and a prompt that does not fit the model, and what
  ///   the closures throw.
  public func answer(
    readouts: [Readout], _ settings: GenerationSettings, bounds: BatchBounds,
    name: (Int) -> String, between: () throws -> Void, onToken: (Int, Int32) throws -> Void,
    next: () throws -> SharedPrompt?, completed: (Int, Answer) throws -> Void
  ) throws {
    try withoutActuallyEscaping(name) { name in
      try withoutActuallyEscaping(onToken) { onToken in
        var batch = ContinuousBatch(
          self, readouts: readouts, settings, bounds: bounds, name: name, onToken: onToken)
        while true {
          try batch.admit(next: next, completed: completed)
          if batch.isEmpty { return }
          try between()
          try batch.step(completed: completed)
        }
      }
    }
  }
}

/// The answers that grow at a time, and the prompts that come next.
private struct ContinuousBatch {
  /// An answer with the sequences of the session that it has.
  private struct Seat {
    let number: Int
    var search: any AnswerSearch
    var sequences: Int
    /// What its prompt takes of the bound.
    let tokens: Int
    let beginning: Beginning?
  }

  /// A prompt whose beginning has been run.
  private struct Waiting {
    let beginning: Beginning?
    let shared: [Int32]
    let ending: [Int32]
    let length: Int
  }

  private let model: VisionLanguageModel
  private let session: DecodingSession
  private let readouts: Int
  private let settings: GenerationSettings
  private let bounds: BatchBounds
  private let name: (Int) -> String
  private let onToken: (Int, Int32) throws -> Void
  private var seats: [Seat] = []
  private var waiting: [Waiting] = []
  /// The prompts that there was no room for.
  private var ahead: SharedPrompt?
  private var isExhausted = false
  private var numbered = 0
  /// The tokens that the sequences go on with.
  private var tokens: [Int32] = []

  init(
    _ model: VisionLanguageModel, readouts: [Readout], _ settings: GenerationSettings,
    bounds: BatchBounds, name: @escaping (Int) -> String,
    onToken: @escaping (Int, Int32) throws -> Void
  ) {
    self.model = model
    session = DecodingSession(model, readouts: readouts)
    self.readouts = readouts.count
    self.settings = settings
    self.bounds = bounds
    self.name = name
    self.onToken = onToken
  }

  var isEmpty: Bool { seats.isEmpty }

  /// Prompts whose answers grow: those of one have a seat for each readout.
  private var prompts: Int { (seats.count + readouts - 1) / readouts }

  private var tokensTaken: Int {
    var counted = Set<ObjectIdentifier>()
    let endings = seats.reduce(0) { $0 + $1.tokens } + waiting.reduce(0) { $0 + $1.ending.count }
    return (seats.map(\.beginning) + waiting.map(\.beginning)).reduce(endings) { sum, beginning in
      guard let beginning, counted.insert(ObjectIdentifier(beginning)).inserted else { return sum }
      return sum + beginning.count
    }
  }

  /// Fills the seats that are free.
  mutating func admit(
    next: () throws -> SharedPrompt?, completed: (Int, Answer) throws -> Void
  ) throws {
    while prompts < bounds.answers {
      if waiting.isEmpty {
        try fetch(next)
        if waiting.isEmpty { return }
      }
      let prompt = waiting.removeFirst()
      let known = prompt.shared.count + prompt.ending.count
      let limit = min(prompt.length, model.config.text.maxPositions - known)
      guard limit > 0 else {
        for _ in 0..<readouts {
          try completed(numbered, Answer())
          numbered += 1
        }
        continue
      }
      session.begin(prompt.beginning, prompt.ending)
      for readout in 0..<readouts {
        seats.append(
          Seat(
            number: numbered, search: search(prompt, limit), sequences: 1,
            tokens: readout == 0 ? prompt.ending.count : 0, beginning: prompt.beginning))
        numbered += 1
      }
    }
  }

  /// Runs the beginnings of the next prompts, as many as there is room for, in one pass.
  private mutating func fetch(_ next: () throws -> SharedPrompt?) throws {
    var fetched: [SharedPrompt] = []
    var tokens = tokensTaken, answers = prompts
    while answers < bounds.answers, !isExhausted {
      guard let prompt = try ahead ?? next() else {
        isExhausted = true
        break
      }
      ahead = nil
      if tokens > 0, tokens + prompt.tokens > bounds.tokens {
        ahead = prompt
        break
      }
      fetched.append(prompt)
      tokens += prompt.tokens
      answers += prompt.endings.count
    }
    let beginnings = fetched.compactMap(\.beginning).filter(fits)
    var run = beginnings.isEmpty ? [] : try session.run(beginnings)[...]
    for prompt in fetched {
      let beginning = prompt.beginning.flatMap { fits($0) ? run.popFirst() : nil }
      waiting += prompt.endings.enumerated().map { number, ending in
        Waiting(
          beginning: beginning, shared: prompt.beginning?.inputIDs ?? [], ending: ending,
          length: min(settings.maxNewTokens, prompt.lengths?[number] ?? .max))
      }
    }
  }

  /// A beginning that fills the model's positions has no answer, and is not run.
  private func fits(_ beginning: ModelSample) -> Bool {
    beginning.inputIDs.count < model.config.text.maxPositions
  }

  private func search(_ prompt: Waiting, _ limit: Int) -> any AnswerSearch {
    let number = numbered
    let name = { [name] in name(number) }
    let ids = prompt.shared + prompt.ending
    if case .beams(let search) = settings.method {
      return BeamsOfAnswer(search, settings, prompt: ids, limit: limit, name: name)
    }
    return TokenByToken(
      settings, number: number, prompt: ids, limit: limit, name: name,
      onToken: { [onToken] in try onToken(number, $0) })
  }

  /// One step of all answers; those that are complete leave their seats.
  mutating func step(completed: (Int, Answer) throws -> Void) throws {
    let vectors = session.step(tokens)
    let places = seats.indices.flatMap { seat in
      (0..<seats[seat].sequences).map { (seat: seat, sequence: $0) }
    }
    try model.forEachLogits(vectors) { row, logits, count in
      let (seat, sequence) = places[row]
      try seats[seat].search.take(sequence, logits, count)
    }
    var parents: [Int] = [], left: [Seat] = [], first = 0
    tokens = []
    for var seat in seats {
      let going = seat.search.advance()
      if going.isEmpty {
        try completed(seat.number, seat.search.answer)
      } else {
        parents += going.map { first + $0.sequence }
        tokens += going.map(\.token)
        first += seat.sequences
        seat.sequences = going.count
        left.append(seat)
        continue
      }
      first += seat.sequences
    }
    seats = left
    session.keep(parents)
  }
}
