import StageKit

/// What a run takes on several machines, from what it takes on this one.
///
/// The model: what one machine does with `threads` threads, a node does in `threads / cores` of the time.
/// Shares divide the samples; ranks, one to a node, the passes of an optimizer step, or the layers of
/// verbalize. A step of align and finetune then sends the sums of the gradients and brings the weights
/// back, 8 (n - 1) / n bytes a weight from each node in float32, which is counted as if nothing of it
/// went on beside arithmetic. The disk is one that all nodes share, as fast as this machine's.
public struct ClusterPlan: Sendable {
  public struct Machines: Sendable, Equatable {
    public var nodes: Int
    /// Of a node.
    public var cores: Int
    /// Bytes a second that a node sends while it receives as many.
    public var network: Double

    public init(nodes: Int, cores: Int, network: Double) {
      (self.nodes, self.cores, self.network) = (nodes, cores, network)
    }
  }

  public enum Bound: String, Sendable {
    case arithmetic, network, disk
    /// What is done once however many nodes there are.
    case start
  }

  public struct Cost: Sendable, Equatable {
    public let name: String
    /// Nodes that have something to do.
    public let nodes: Int
    public let seconds: Double
    /// What takes longest of it.
    public let bound: Bound
    /// Bytes that each node sends in an optimizer step.
    public let sent: Double
    /// Bytes of memory on each node: ranks share the optimizer's moments.
    public let memory: Int
  }

  public let machines: Machines
  public let stages: [Cost]

  public var seconds: Double { stages.reduce(0) { $0 + $1.seconds } }

  /// - Parameters:
  ///   - stages: with times
  ///   - threads: of this machine, that the times are of
  ///   - reading: bytes a second of the shared disk
  ///   - writing: likewise
  public init(
    _ stages: [StageCost], threads: Int, reading: Double, writing: Double, on machines: Machines
  ) {
    self.machines = machines
    self.stages = stages.compactMap { stage in
      stage.seconds.map { seconds in
        ClusterPlan.cost(
          stage, seconds, faster: Double(machines.cores) / Double(threads),
          disk: Double(stage.reads) / reading + Double(stage.writes) / writing, machines)
      }
    }
  }

  private static func cost(
    _ stage: StageCost, _ seconds: Double, faster: Double, disk: Double, _ machines: Machines
  ) -> Cost {
    var nodes = machines.nodes
    let optimizer = stage.optimizerSeconds / faster
    let work = max(0, seconds - stage.fixedSeconds) / faster - optimizer
    var arithmetic = (work + optimizer) / Double(nodes)
    var sent = 0.0
    switch stage.spread {
    case .shares: break
    case .layers(let count):
      nodes = min(nodes, max(1, count))
      arithmetic = (work + optimizer) * part(count, nodes)
    case .passes(let count, let learned):
      nodes = min(nodes, max(1, count))
      arithmetic = work * part(count, nodes) + optimizer / Double(nodes)
      sent = 8 * Double(learned) * Double(nodes - 1) / Double(nodes)
    }
    let network = Double(stage.steps ?? 0) * sent / machines.network
    // Shares read and write while they compute; a training reads little at a time.
    let waits = max(0, disk - arithmetic)
    let parts: [(Bound, Double)] = [
      (.arithmetic, arithmetic), (.network, network), (.disk, waits), (.start, stage.fixedSeconds),
    ]
    return Cost(
      name: stage.name, nodes: nodes, seconds: parts.reduce(0) { $0 + $1.1 },
      bound: parts.max { $0.1 < $1.1 }?.0 ?? .arithmetic, sent: sent,
      memory: stage.memory - stage.sharedMemory + (stage.sharedMemory + nodes - 1) / nodes)
  }

  /// Of so many pieces, the part that the busiest of `nodes` has.
  private static func part(_ count: Int, _ nodes: Int) -> Double {
    count == 0 ? 1 : Double((count + nodes - 1) / nodes) / Double(count)
  }
}
