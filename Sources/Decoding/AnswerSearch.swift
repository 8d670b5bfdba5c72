import Failures
import Kernels

/// How one answer grows, step by step.
protocol AnswerSearch {
  /// Takes the logits [count], to be changed at will, behind one of its sequences, by its number
  /// among them. Throws 65 where they are not finite.
  mutating func take(_ sequence: Int, _ logits: UnsafeMutablePointer<Float>, _ count: Int) throws

  /// Once all have been taken: the sequences that go on, each with its next token. A sequence may
  /// go on in several ways, or in none; the answer is complete where none goes on.
  mutating func advance() -> [(sequence: Int, token: Int32)]

  /// The answer, once it is complete.
  var answer: Answer { get }
}

/// One sequence, each token from its own distribution: the likeliest, or one at random.
struct TokenByToken: AnswerSearch {
  private let settings: GenerationSettings
  private let limit: Int
  private let name: () -> String
  private let onToken: (Int32) throws -> Void
  private let choose: (UnsafeMutablePointer<Float>, Int) -> Int32
  private var seen: Set<Int32>
  private var going = false
  private(set) var answer = Answer()

  /// - Parameters:
  ///   - number: the answer's place, which its chance follows from
  ///   - limit: the longest answer
  init(
    _ settings: GenerationSettings, number: Int, prompt: [Int32], limit: Int,
    name: @escaping () -> String, onToken: @escaping (Int32) throws -> Void
  ) {
    self.settings = settings
    self.limit = limit
    self.name = name
    self.onToken = onToken
    seen = Set(settings.repetitionPenalty == 1 ? [] : prompt)
    if case .sampling(let sampling) = settings.method {
      var generator = sampling.generator(number)
      choose = { sampling.draw($0, $1, using: &generator) }
    } else {
      choose = { Int32(indexOfMaximum($0, $1)) }
    }
  }

  mutating func take(
    _ sequence: Int, _ logits: UnsafeMutablePointer<Float>, _ count: Int
  ) throws {
    going = false
    try requireFinite(logits, count, name(), token: answer.tokens.count)
    penalise(logits, seen, settings.repetitionPenalty)
    let token = choose(logits, count)
    if settings.stop.contains(token) {
      answer.end = .stop
      return
    }
    answer.tokens.append(token)
    try onToken(token)
    if settings.repetitionPenalty != 1 { seen.insert(token) }
    going = answer.tokens.count < limit
  }

  mutating func advance() -> [(sequence: Int, token: Int32)] {
    going ? answer.tokens.suffix(1).map { (0, $0) } : []
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
