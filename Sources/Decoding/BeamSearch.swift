import Foundation
import Kernels

/// Beam search with the rules of transformers' `generate(num_beams=N)`: the N best unfinished
/// beginnings go on; a finished one scores its log-probability / length ^ penalty.
public struct BeamSearch: Sendable {
  /// When a search ends, apart from the longest answer: transformers' `early_stopping`.
  public enum EarlyStopping: String, CaseIterable, Sendable {
    /// Once the best open beam, at its present length, scores less than the worst finished one.
    case no
    /// As soon as N beams are finished.
    case yes
    /// Once no open beam can win any more, at whatever length.
    case never
  }

  public var beams: Int
  public var lengthPenalty: Float
  public var earlyStopping: EarlyStopping

  public init(beams: Int, lengthPenalty: Float = 1, earlyStopping: EarlyStopping = .no) {
    self.beams = beams
    self.lengthPenalty = lengthPenalty
    self.earlyStopping = earlyStopping
  }
}

/// One answer's search: a sequence for each open beam.
struct BeamsOfAnswer: AnswerSearch {
  private let settings: GenerationSettings
  private let prompt: [Int32]
  private let name: () -> String
  /// How many continuations keep all beams going whatever happens: the stop tokens decide.
  private let width: Int
  private var ledger: BeamLedger
  private var found: [BeamLedger.Candidate] = []

  init(
    _ search: BeamSearch, _ settings: GenerationSettings, prompt: [Int32], limit: Int,
    name: @escaping () -> String
  ) {
    self.settings = settings
    self.prompt = prompt
    self.name = name
    width = max(2, 1 + settings.stop.count) * search.beams
    ledger = BeamLedger(search, limit: limit)
  }

  mutating func take(
    _ sequence: Int, _ logits: UnsafeMutablePointer<Float>, _ count: Int
  ) throws {
    let running = ledger.running[sequence]
    try requireFinite(logits, count, name(), token: running.tokens.count)
    logSoftmax(logits, count)
    if settings.repetitionPenalty != 1 {
      penalise(logits, Set(prompt).union(running.tokens), settings.repetitionPenalty)
    }
    var largest = LargestNumbers(count: min(width, count))
    largest.add(logits, 0..<count, highest: maximum(logits, count))
    found += largest.descending.map {
      BeamLedger.Candidate(beam: sequence, token: $0.index, score: $0.value + running.score)
    }
  }

  mutating func advance() -> [(sequence: Int, token: Int32)] {
    let best = found.sorted {
      $0.score != $1.score ? $0.score > $1.score : ($0.beam, $0.token) < ($1.beam, $1.token)
    }
    found = []
    let chosen = ledger.advance(best.prefix(width), stop: settings.stop)
    return ledger.isOpen ? chosen.map { ($0.beam, $0.token) } : []
  }

  var answer: Answer { ledger.answer }
}

/// The open and the finished beams of one answer.
struct BeamLedger {
  /// A beginning with its log-probability.
  struct Beam {
    var tokens: [Int32]
    var score: Float
  }

  /// A beam's continuation by one token.
  struct Candidate {
    var beam: Int
    var token: Int32
    /// The whole log-probability.
    var score: Float
  }

  private let search: BeamSearch
  private let limit: Int
  /// From the best to the worst.
  private(set) var running = [Beam(tokens: [], score: 0)]
  /// Tokens with the stop token, from the best to the worst; at most as many as beams.
  private(set) var finished: [(beam: Beam, stops: Bool)] = []
  private(set) var isOpen: Bool

  init(_ search: BeamSearch, limit: Int) {
    self.search = search
    self.limit = limit
    isOpen = limit > 0
  }

  /// Takes the next step of the search, given the best continuations of all open beams from the
  /// best to the worst. Returns those that go on, in the order of the new open beams.
  mutating func advance(
    _ candidates: some Collection<Candidate>, stop: Set<Int32>
  ) -> [Candidate] {
    let length = (running.first?.tokens.count ?? 0) + 1
    let atLimit = length >= limit
    var going: [Candidate] = []
    for (rank, candidate) in candidates.enumerated() {
      let stops = stop.contains(candidate.token)
      if !stops, !atLimit {
        if going.count < search.beams { going.append(candidate) }
      } else if rank < search.beams {
        // Only the best N may finish: the others are there to keep N beams going.
        let beam = Beam(
          tokens: running[candidate.beam].tokens + [candidate.token],
          score: candidate.score / power(length))
        finished.append((beam, stops))
      }
    }
    // Stable: of equal scores the earlier stays ahead.
    finished = finished.enumerated().sorted {
      ($1.element.beam.score, $0.offset) < ($0.element.beam.score, $1.offset)
    }.prefix(search.beams).map(\.element)
    running = going.map { Beam(tokens: running[$0.beam].tokens + [$0.token], score: $0.score) }
    isOpen = canImprove(length)
    return going
  }

  private func power(_ length: Int) -> Float {
    Float(pow(Double(length), Double(search.lengthPenalty)))
  }

  private func canImprove(_ length: Int) -> Bool {
    guard let best = running.first else { return false }
    guard let worst = finished.last, finished.count == search.beams else { return true }
    switch search.earlyStopping {
    case .yes: return false
    case .no: return best.score / power(length) > worst.beam.score
    case .never:
      return best.score / power(search.lengthPenalty > 0 ? limit : length) > worst.beam.score
    }
  }

  /// The best finished answer, without its stop token.
  var answer: Answer {
    var answer = Answer()
    guard let best = finished.first else { return answer }
    answer.tokens = best.stops ? best.beam.tokens.dropLast() : best.beam.tokens
    answer.end = best.stops ? .stop : .length
    answer.score = best.beam.score
    return answer
  }
}
