import Models
import Tensors

/// What the verbalizers of one backbone have in common: their architecture (the paper's ablation,
/// METHOD.md, "Verb-FFN") and two options of ours.
///
/// With x the RMS-normalised state (or the state as it is), a verbalizer of depth 1 is
///
/// | architecture | f(h) | numbers |
/// |---|---|---|
/// | verb-ffn | D( silu(G x) ⊙ U x ), all d × d | 3 d² |
/// | ffn | the same with the backbone's intermediate width i | 3 d i |
/// | mlp | A x | d² |
/// | decoder | a decoder block of the backbone | 3 d i + 2 d² + 2 d kv, norms and biases |
///
/// and one of depth n is n of them behind one another, with a SiLU between the layers of an mlp.
public struct VerbalizerForm: Sendable, Equatable {
  public enum Architecture: String, Sendable, CaseIterable {
    /// The paper's: a gated FFN without expansion.
    case verbFFN = "verb-ffn"
    /// The backbone's FFN.
    case ffn
    /// A square matrix.
    case mlp
    /// The backbone's decoder block.
    case decoder
  }

  public var architecture: Architecture
  /// How many blocks stand behind one another.
  public var depth: Int
  /// RMS-normalise the input with the backbone's final norm.
  public var inputNorm: Bool
  /// Start as the identity, so that an untrained verbalizer is the logit lens: what is learned is
  /// added to its input and starts at zero. A decoder block adds its input in any case; for it the
  /// option is the start alone.
  public var residual: Bool
  /// The backbone's decoder block, from which the weights' shapes follow.
  public var backbone: DecoderShape

  public init(
    architecture: Architecture = .verbFFN, depth: Int = 1, inputNorm: Bool = true,
    residual: Bool = true, backbone: DecoderShape
  ) {
    self.architecture = architecture
    self.depth = depth
    self.inputNorm = inputNorm
    self.residual = residual
    self.backbone = backbone
  }

  // MARK: Weights

  /// How a weight starts.
  enum Start {
    /// Normal with deviation 1 / √columns.
    case random
    case zero, one
  }

  /// A weight of one block that learns, with its name within the block.
  struct Weight {
    var name: String
    var shape: [Int]
    var start = Start.random
  }

  /// The weights of block `block`, from 1, in the order in which they are made and stored.
  func weights(ofBlock block: Int) -> [Weight] {
    let d = backbone.width
    let last: Start = residual ? .zero : .random
    switch architecture {
    case .verbFFN, .ffn:
      let inner = architecture == .ffn ? backbone.intermediate : d
      return [
        Weight(name: "gate.weight", shape: [inner, d]),
        Weight(name: "up.weight", shape: [inner, d]),
        Weight(name: "down.weight", shape: [d, inner], start: last),
      ]
    case .mlp:
      return [
        Weight(name: "linear.weight", shape: [d, d], start: block == depth ? last : .random)
      ]
    case .decoder:
      // A block's weights under the names that they have in the backbone's checkpoint.
      var declared: [Weight] = []
      _ = DecoderBlock(
        backbone,
        WeightScope { name, shape in
          let start: Start =
            if name.hasSuffix(".bias") { .zero } else if shape.count == 1 {
              .one
            } else if name.hasSuffix("o_proj.weight") || name.hasSuffix("down_proj.weight") {
              last
            } else { .random }
          declared.append(Weight(name: name, shape: shape, start: start))
          return Parameter(declared: name, shape: shape)
        })
      return declared
    }
  }

  /// Where a block's names stand among a verbalizer's: the first one's own, later ones under their
  /// number.
  static func prefix(_ block: Int) -> String { block == 1 ? "" : "block\(block)." }

  /// All weights that learn, with their names within the verbalizer.
  var weights: [Weight] {
    (1...depth).flatMap { block in
      weights(ofBlock: block).map { weight in
        Weight(name: Self.prefix(block) + weight.name, shape: weight.shape, start: weight.start)
      }
    }
  }

  /// The numbers that learn in the verbalizers of `layers` layers.
  public func parameterCount(layers: Int) -> Int {
    weights.reduce(0) { $0 + $1.shape.reduce(1, *) } * layers
  }

  /// The numbers that one position takes in a forward and a backward pass, roughly.
  public var numbersPerPosition: Int {
    let d = backbone.width
    let block =
      switch architecture {
      case .verbFFN: 10 * d
      case .ffn: 4 * d + 6 * backbone.intermediate
      case .mlp: 4 * d
      case .decoder: 20 * max(d, backbone.querySize) + 6 * backbone.intermediate
      }
    return 4 * d + depth * block
  }
}
