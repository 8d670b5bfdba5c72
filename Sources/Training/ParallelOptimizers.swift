import Failures
import Kernels
import Ranks
import Tensors

/// The optimizers of a training and the ranks that share it. Alone it is the optimizers.
///
/// Of one model all ranks have weights and gradients; each computes some passes of a step, the sums of
/// the gradients go where their moments are, and the moved weights come to all (data parallel, ZeRO
/// stage 1). Of models that learn side by side each has its rank, and nothing is exchanged.
public final class ParallelOptimizers {
  public let ranks: Ranks
  public let optimizers: [AdamW]
  /// Into how many parts the work divides that ranks share: the passes of the last step, or the models
  /// that learn side by side.
  public private(set) var parts = 1
  /// Parameters whose gradients are complete at the same time, in the order in which they are; empty
  /// where no gradient is exchanged.
  private let groups: [[Parameter]]
  /// The sums under way in this step.
  private var pending: [Pending] = []
  /// Groups whose sums have begun.
  private var begun = 0
  /// Whether this rank had a gradient of it, by parameter in the order of `groups`.
  private var hadGradient: [Double] = []

  /// One model.
  /// - Parameter blocks: the parameters of each decoder block, whose gradients are complete block after
  ///   block on the way back: their sums begin while that goes on
  public init(
    _ parameters: [Parameter], _ settings: AdamW.Settings, blocks: [[Parameter]], ranks: Ranks
  ) {
    self.ranks = ranks
    let optimizer = AdamW(
      parameters, settings, sharding: Sharding(rank: ranks.rank, count: ranks.count))
    optimizers = [optimizer]
    if ranks.count == 1 {
      groups = []
      return
    }
    let learning = Set(optimizer.parameters.map(ObjectIdentifier.init))
    var grouped = blocks.reversed().map { block in
      block.filter { learning.contains(ObjectIdentifier($0)) }
    }
    let inBlocks = Set(grouped.joined().map(ObjectIdentifier.init))
    grouped.append(optimizer.parameters.filter { !inBlocks.contains(ObjectIdentifier($0)) })
    groups = grouped
  }

  /// Models that learn side by side, by their parameters: dealt out to the ranks.
  public init(sideBySide models: [[Parameter]], _ settings: AdamW.Settings, ranks: Ranks) {
    self.ranks = ranks
    parts = models.count
    groups = []
    optimizers = models.enumerated().map { number, parameters in
      AdamW(
        parameters, settings,
        sharding: Sharding(rank: ranks.rank, count: ranks.count, owner: number % ranks.count))
    }
  }

  /// The passes of step `step` that this rank computes, ascending: the longest first to whoever has least,
  /// beginning with another rank in each step.
  /// - Parameter costs: of the step's passes, the same on all ranks
  public func passes(_ costs: [Int], of step: Int) -> [Int] {
    parts = costs.count
    return ParallelOptimizers.deal(costs, among: ranks.count, from: step)[ranks.rank]
  }

  static func deal(_ costs: [Int], among count: Int, from first: Int) -> [[Int]] {
    var dealt = [[Int]](repeating: [], count: count)
    var loads = [Int](repeating: 0, count: count)
    let order = (0..<count).map { ($0 + first) % count }
    let longestFirst = costs.indices.sorted { (costs[$1], $0) < (costs[$0], $1) }
    for pass in longestFirst {
      let rank = order.min { loads[$0] < loads[$1] } ?? 0
      dealt[rank].append(pass)
      loads[rank] += costs[pass]
    }
    return dealt.map { $0.sorted() }
  }

  /// Whether this rank trains the model of optimizer `number`, of models side by side.
  public func trains(_ number: Int) -> Bool { number % ranks.count == ranks.rank }

  // MARK: Gradients

  /// Called in a step's last pass when the gradients of a decoder block, from 0, and of those behind
  /// it are complete.
  public func completed(block: Int) {
    guard !groups.isEmpty else { return }
    begin(before: groups.count - 1 - block)
  }

  /// Called when a step's last pass is over, on every rank, those without a pass included.
  public func completedPasses() { begin(before: groups.count) }

  private func begin(before end: Int) {
    while begun < end {
      for parameter in groups[begun] {
        hadGradient.append(parameter.gradient == nil ? 0 : 1)
        // Where no pass had one it is zero.
        guard let sum = parameter.gradientSum() else { continue }
        pending.append(
          ranks.beginSumScattered(
            UnsafeMutableBufferPointer(start: sum, count: parameter.count),
            parts: sharding.parts(of: parameter.count)))
      }
      begun += 1
    }
  }

  private var sharding: Sharding { optimizers[0].sharding }

  /// Waits until this rank has the sums of the gradients of its part.
  /// - Parameter words: numbers of whom it may concern
  /// - Returns: the norm of each optimizer's gradients, and the sums over ranks of `words`
  /// - Throws: what `Ranks` throws
  public func sumGradients(
    with words: [Double] = []
  ) throws -> (norms: [Float], words: [Double]) {
    completedPasses()
    for exchange in pending { try exchange.wait() }
    let squares = optimizers.map { $0.gradientSquares() }
    let sums = try ranks.sum(squares + words + hadGradient)
    // What no rank had a gradient of does not move.
    let seen = sums.suffix(hadGradient.count)
    for (parameter, ranks) in zip(groups.joined(), seen) where ranks == 0 {
      parameter.clearGradient()
    }
    (pending, hadGradient, begun) = ([], [], 0)
    return (
      sums.prefix(squares.count).map { Float($0.squareRoot()) },
      Array(sums.dropFirst(squares.count).prefix(words.count))
    )
  }

  /// The parameter of an optimizer whose gradient holds a number that is not finite, on whichever rank.
  /// Throws what `Ranks` throws.
  public func parameterOfBadGradient(_ number: Int) throws -> Parameter? {
    let optimizer = optimizers[number]
    let places = try ranks.gather([optimizer.placeOfBadGradient.map { Double($0) } ?? -1])
    return places.compactMap(\.first).filter { $0 >= 0 }.min().map {
      optimizer.parameters[Int($0)]
    }
  }

  // MARK: Weights

  /// Moves the weights by the summed gradients; of one model they are those of all ranks then.
  /// - Parameter norms: what `sumGradients` gave
  public func step(learningRate: Float, norms: [Float]) throws {
    for (optimizer, norm) in zip(optimizers, norms) {
      optimizer.step(learningRate: learningRate, norm: norm)
    }
    if !groups.isEmpty { try exchangeWeights() }
  }

  /// Has all ranks hold all weights: those of models side by side lie where they are trained until
  /// then. Throws what `Ranks` throws.
  public func gatherWeights() throws {
    if groups.isEmpty, ranks.count > 1 { try exchangeWeights() }
  }

  private func exchangeWeights() throws {
    for optimizer in optimizers {
      for parameter in optimizer.parameters {
        guard let values = parameter.mutableValues else { continue }
        try ranks.gather(
          UnsafeMutableBufferPointer(start: values, count: parameter.count),
          parts: optimizer.sharding.parts(of: parameter.count))
      }
    }
  }
}
