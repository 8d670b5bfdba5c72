/// What is measured over the batches of one optimizer step of interaction. Student layers count from
/// 0, in the order of the verbalizers.
public final class InteractionMeasures {
  /// Each student layer's term without its weight, a mean over the step's supervised positions.
  public internal(set) var intermediate: [Double]
  /// The last layer's term, as those.
  public internal(set) var last = 0.0
  /// The matches of each batch, one for each student layer.
  public internal(set) var matches: [[LayerMatch]] = []
  /// Of the gradients that `gradientNorms` and `lastGradientNorm` tell about.
  var squares: [Double]
  var lastSquares = 0.0

  public init(studentLayers: Int) {
    intermediate = [Double](repeating: 0, count: studentLayers)
    squares = intermediate
  }

  /// Norms of the gradients of the weighted terms in what they read: each layer's output at the
  /// supervised positions.
  public var gradientNorms: [Double] { squares.map { $0.squareRoot() } }
  /// The same of the last layer's term, in what enters the head.
  public var lastGradientNorm: Double { lastSquares.squareRoot() }

  /// The entropy of each student layer's choice in nats, a mean over the batches.
  public var entropies: [Double] { mean(\.entropy) }
  /// What the entropies would be of choices that know nothing.
  public var maximumEntropies: [Double] { mean(\.maximumEntropy) }

  private func mean(_ value: (LayerMatch) -> Double) -> [Double] {
    squares.indices.map { i in
      matches.reduce(0) { $0 + value($1[i]) / Double(matches.count) }
    }
  }
}
