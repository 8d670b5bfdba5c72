import Foundation
import Kernels
import Models
import Tensors

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

  /// Searches an answer for every sequence of a fresh session.
  func run(
    _ model: VisionLanguageModel, _ session: DecodingSession, _ first: Tensor,
    _ seats: [(prompt: [Int32], limit: Int)], _ settings: GenerationSettings,
    _ name: (Int) -> String, _ between: () throws -> Void
  ) throws -> [Answer] {
    // The stop tokens decide how many continuations keep N beams going whatever happens.
    let width = max(2, 1 + settings.stop.count) * beams
    var ledgers = seats.map { BeamLedger(self, limit: $0.limit) }
    // Whose beam each row is, and which.
    var rows = seats.indices.map { (seat: $0, beam: 0) }
    var vectors = first
    while true {
      var found = [[BeamLedger.Candidate]](repeating: [], count: seats.count)
      try model.forEachLogits(vectors) { row, logits, count in
        let (seat, beam) = rows[row]
        guard ledgers[seat].isOpen else { return }
        let running = ledgers[seat].running[beam]
        try requireFinite(logits, count, name(seat), token: running.tokens.count)
        logSoftmax(logits, count)
        if settings.repetitionPenalty != 1 {
          penalise(
            logits, Set(seats[seat].prompt).union(running.tokens), settings.repetitionPenalty)
        }
        var largest = LargestNumbers(count: min(width, count))
        largest.add(logits, 0..<count, highest: maximum(logits, count))
        found[seat] += largest.descending.map {
          BeamLedger.Candidate(beam: beam, token: $0.index, score: $0.value + running.score)
        }
      }
      var parents: [Int] = [], tokens: [Int32] = [], next: [(seat: Int, beam: Int)] = []
      for seat in seats.indices where ledgers[seat].isOpen {
        let place = Dictionary(
          uniqueKeysWithValues: rows.enumerated().filter { $1.seat == seat }
            .map { ($1.beam, $0) })
        let best = found[seat].sorted {
          $0.score != $1.score
            ? $0.score > $1.score : ($0.beam, $0.token) < ($1.beam, $1.token)
        }
        let chosen = ledgers[seat].advance(best.prefix(width), stop: settings.stop)
        guard ledgers[seat].isOpen else { continue }
        for (beam, choice) in chosen.enumerated() {
          guard let row = place[choice.beam] else { continue }
          parents.append(row)
          tokens.append(choice.token)
          next.append((seat, beam))
        }
      }
      if parents.isEmpty { return ledgers.map(\.answer) }
      session.keep(parents)
      rows = next
      try between()
      vectors = session.step(tokens)
    }
  }
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
