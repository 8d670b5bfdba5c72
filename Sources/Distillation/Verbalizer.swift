import Failures
import Kernels
import Models
import Tensors

/// The verbalizer of one target layer: a small network f whose output, through the backbone's own
/// language head, says what the layer knows. The paper's is the verb-FFN,
/// f(h) = D( silu(G x) ⊙ U x ) with G, U, D [d, d] (METHOD.md, "Verb-FFN"); `VerbalizerForm` lists
/// its variants.
///
/// Two options of ours: x = RMS-normalised h, by a copy of the backbone's final norm (else x = h),
/// and a residual, f(h) = x + D(…) with D starting at zero, so that an untrained verbalizer is the
/// logit lens.
public final class Verbalizer {
  /// The layer k whose output it reads, counted from 1.
  public let layer: Int
  public let form: VerbalizerForm
  /// The weights that learn, in the order of the form's.
  public let parameters: [Parameter]
  /// The final norm's weight [d], never trained; nil when the input is taken as it is.
  public let norm: Parameter?
  private let byName: [String: Parameter]
  /// Of a form of decoder blocks.
  private let decoders: [DecoderBlock]

  /// - Parameters:
  ///   - parameter: the weight of that name within the verbalizer and that shape.
  init(
    layer: Int, form: VerbalizerForm, norm: Parameter?,
    parameter: (VerbalizerForm.Weight) throws -> Parameter
  ) rethrows {
    self.layer = layer
    self.form = form
    self.norm = norm
    let named = try form.weights.map { ($0.name, try parameter($0)) }
    parameters = named.map(\.1)
    let byName = Dictionary(named, uniquingKeysWith: { first, _ in first })
    self.byName = byName
    decoders =
      form.architecture != .decoder
      ? []
      : (1...form.depth).map { block in
        DecoderBlock(
          form.backbone,
          WeightScope(prefix: VerbalizerForm.prefix(block)) { name, shape in
            byName[name] ?? Parameter(declared: name, shape: shape)
          })
      }
  }

  /// An untrained verbalizer. The numbers depend on `seed` and `layer` alone.
  /// - Parameter finalNorm: the weight of the backbone's final norm [d].
  public convenience init(layer: Int, form: VerbalizerForm, finalNorm: [Float], seed: UInt64) {
    var generator = SplitMix64(seed: seed &+ UInt64(layer) &* 0x9E6C_63D0_676A_9A99)
    self.init(
      layer: layer, form: form,
      norm: form.inputNorm
        ? Parameter(
          Self.name(layer, Self.normName), shape: [form.backbone.width], values: finalNorm) : nil
    ) { weight in
      let count = weight.shape.reduce(1, *)
      let values =
        switch weight.start {
        case .zero: Buffer(zeros: count)
        case .one: Buffer([Float](repeating: 1, count: count))
        case .random:
          generator.normals(count, deviation: 1 / Double(weight.shape[1]).squareRoot())
        }
      return Parameter(Self.name(layer, weight.name), shape: weight.shape, values: values)
    }
  }

  static let normName = "norm.weight"

  static func name(_ layer: Int, _ part: String) -> String { "layers.\(layer).\(part)" }

  /// The weight of that name within the verbalizer, which its own code asks for: a missing one is a
  /// bug.
  subscript(_ name: String) -> Parameter {
    guard let parameter = byName[name] else { preconditionFailure("no weight \(name)") }
    return parameter
  }

  /// Lets the weights learn.
  public func train() { parameters.forEach { $0.train() } }

  // MARK: Forward

  /// f(h) [n, d] for the layer's hidden states [n, d].
  /// - Parameter answers: the rows that belong to one answer each, in order and without gaps
  ///   (see `answers`): within them a decoder block attends, the others do not look.
  public func forward(_ tape: Tape, _ hidden: Tensor, answers: [Range<Int>]) -> Tensor {
    let x = norm.map { tape.rmsNorm(hidden, $0, epsilon: form.backbone.epsilon) } ?? hidden
    var y = x
    for block in 1...form.depth {
      let prefix = VerbalizerForm.prefix(block)
      switch form.architecture {
      case .verbFFN, .ffn: y = feedForward(tape, y, prefix)
      case .mlp:
        y = tape.linear(block == 1 ? y : tape.silu(y), self[prefix + "linear.weight"])
        if block == form.depth, form.residual { y = tape.add(x, y) }
      case .decoder: y = decoder(tape, y, decoders[block - 1], answers)
      }
    }
    return y
  }

  private func feedForward(_ tape: Tape, _ x: Tensor, _ prefix: String) -> Tensor {
    let product = tape.gatedSiLU(
      tape.linear(x, self[prefix + "gate.weight"]), tape.linear(x, self[prefix + "up.weight"]))
    let y = tape.linear(product, self[prefix + "down.weight"])
    return form.residual ? tape.add(x, y) : y
  }

  /// Rotary positions count from each answer's start: attention sees only how far apart two are.
  private func decoder(
    _ tape: Tape, _ x: Tensor, _ block: DecoderBlock, _ answers: [Range<Int>]
  ) -> Tensor {
    let shape = block.shape
    let (cosine, sine) = DecoderBlock.rotaryTables(
      positions: [answers.flatMap { (0..<Int32($0.count)) }],
      axes: [Int](repeating: 0, count: shape.headSize / 2), theta: shape.ropeTheta)
    let layout = AttentionLayout(
      samples: answers.map { [AttentionLayout.Block(rows: $0)] }, causal: true)
    return block.forward(tape, x, cosine: cosine, sine: sine) { tape, q, k, v in
      tape.attention(q, k, v, heads: shape.attention, layout: layout)
    }
  }

  /// The stretches of positions that follow each other without a gap: a sample's answers, since turns
  /// of the user lie between them. Rows count from `start`.
  public static func answers(_ positions: [Int32], from start: Int = 0) -> [Range<Int>] {
    var found: [Range<Int>] = []
    var first = 0
    for row in 1..<max(1, positions.count) where positions[row] != positions[row - 1] + 1 {
      found.append(start + first..<start + row)
      first = row
    }
    if !positions.isEmpty { found.append(start + first..<start + positions.count) }
    return found
  }
}
