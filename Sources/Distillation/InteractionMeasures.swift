/// What is measured over the batches of one optimizer step of interaction. Student layers count from
/// 0, in the order of the verbalizers.
public final class InteractionMeasures {
  private let studentLayers: Int
  private var batches: [Batch] = []

  /// Of one batch.
  private struct Batch {
    /// Its place among the passes of the step.
    var pass: Int
    var last = 0.0
    var lastSquares = 0.0
    var intermediate: [Double]
    /// Of the gradients that `gradientNorms` and `lastGradientNorm` tell about.
    var squares: [Double]
    /// One for each student layer; none where no teacher is matched.
    var matches: [Match] = []
  }

  /// What is kept of a match.
  public struct Match: Sendable, Equatable {
    /// The teacher layers chosen, from 0.
    public var chosen: [Int]
    /// Of the choice, in nats, and of one that knows nothing.
    public var entropy: Double
    public var maximumEntropy: Double
  }

  public init(studentLayers: Int) { self.studentLayers = studentLayers }

  /// What several processes measured of the passes of one step.
  public init(of parts: [InteractionMeasures]) {
    studentLayers = parts.first?.studentLayers ?? 0
    batches = parts.flatMap(\.batches).sorted { $0.pass < $1.pass }
  }

  // MARK: Measuring

  /// What follows is of this pass.
  public func begin(pass: Int) {
    let zeros = [Double](repeating: 0, count: studentLayers)
    batches.append(Batch(pass: pass, intermediate: zeros, squares: zeros))
  }

  private func change(_ body: (inout Batch) -> Void) {
    if batches.isEmpty { begin(pass: 0) }
    body(&batches[batches.count - 1])
  }

  func add(term: Double, layer: Int) { change { $0.intermediate[layer] += term } }
  func add(lastTerm: Double) { change { $0.last += lastTerm } }
  func add(squares: Double, layer: Int) { change { $0.squares[layer] += squares } }
  func add(lastSquares: Double) { change { $0.lastSquares += lastSquares } }
  func add(_ matches: [LayerMatch]) {
    change { batch in
      batch.matches = matches.map {
        Match(chosen: $0.chosen, entropy: $0.entropy, maximumEntropy: $0.maximumEntropy)
      }
    }
  }

  // MARK: What was measured

  /// Each student layer's term without its weight, a mean over the step's supervised positions.
  public var intermediate: [Double] { sums(\.intermediate) }
  /// The last layer's term, as those.
  public var last: Double { batches.reduce(0) { $0 + $1.last } }
  /// The matches of each batch, one for each student layer.
  public var matches: [[Match]] { batches.map(\.matches).filter { !$0.isEmpty } }

  /// Norms of the gradients of the weighted terms in what they read: each layer's output at the
  /// supervised positions.
  public var gradientNorms: [Double] { sums(\.squares).map { $0.squareRoot() } }
  /// The same of the last layer's term, in what enters the head.
  public var lastGradientNorm: Double { batches.reduce(0) { $0 + $1.lastSquares }.squareRoot() }

  /// The entropy of each student layer's choice in nats, a mean over the batches.
  public var entropies: [Double] { mean(\.entropy) }
  /// What the entropies would be of choices that know nothing.
  public var maximumEntropies: [Double] { mean(\.maximumEntropy) }

  private func sums(_ value: (Batch) -> [Double]) -> [Double] {
    (0..<studentLayers).map { i in batches.reduce(0) { $0 + value($1)[i] } }
  }

  private func mean(_ value: (Match) -> Double) -> [Double] {
    let matches = matches
    return (0..<studentLayers).map { i in
      matches.reduce(0) { $0 + value($1[i]) / Double(matches.count) }
    }
  }

  // MARK: On the way between processes

  /// All of it as numbers.
  public var words: [Double] {
    var words = [Double(studentLayers)]
    for batch in batches {
      words += [Double(batch.pass), batch.last, batch.lastSquares]
      words += batch.intermediate
      words += batch.squares
      words.append(Double(batch.matches.count))
      for match in batch.matches {
        words += [match.entropy, match.maximumEntropy, Double(match.chosen.count)]
        words += match.chosen.map { Double($0) }
      }
    }
    return words
  }

  /// What `words` said.
  public convenience init(words: [Double]) {
    var rest = words[...]
    func take(_ count: Int) -> [Double] {
      defer { rest = rest.dropFirst(count) }
      return Array(rest.prefix(count))
    }
    func whole() -> Int { Int(take(1)[0]) }
    let layers = whole()
    self.init(studentLayers: layers)
    while !rest.isEmpty {
      let head = take(3)
      var batch = Batch(
        pass: Int(head[0]), last: head[1], lastSquares: head[2], intermediate: take(layers),
        squares: take(layers))
      batch.matches = (0..<whole()).map { _ in
        let entropies = take(2)
        return Match(
          chosen: take(whole()).map { Int($0) }, entropy: entropies[0],
          maximumEntropy: entropies[1])
      }
      batches.append(batch)
    }
  }
}
