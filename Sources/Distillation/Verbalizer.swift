import Failures
import Kernels
import Tensors

/// The verb-FFN of one target layer: f(h) = D( silu(G x) ⊙ U x ), with G, U, D [d, d], no bias
/// (METHOD.md, "Verb-FFN"). Followed by the backbone's language head it says what the layer knows.
///
/// Two options of ours: x = RMS-normalised h, by a copy of the backbone's final norm (else x = h),
/// and a residual, f(h) = x + D(…) with D starting at zero, so that an untrained verbalizer is the
/// logit lens.
public final class Verbalizer {
  /// The layer k whose output it reads, counted from 1.
  public let layer: Int
  /// G [d, d]
  public let gate: Parameter
  /// U [d, d]
  public let up: Parameter
  /// D [d, d]
  public let down: Parameter
  /// The final norm's weight [d], never trained; nil when the input is taken as it is.
  public let norm: Parameter?
  public let form: VerbalizerForm

  /// The weights that learn: 3 d² numbers.
  public var parameters: [Parameter] { [gate, up, down] }

  init(
    layer: Int, gate: Parameter, up: Parameter, down: Parameter, norm: Parameter?,
    form: VerbalizerForm
  ) {
    self.layer = layer
    self.gate = gate
    self.up = up
    self.down = down
    self.norm = norm
    self.form = form
  }

  /// An untrained verbalizer: G and U normal with deviation 1/√d, D zero behind a residual, else
  /// like them. The numbers depend on `seed` and `layer` alone.
  /// - Parameter finalNorm: the weight of the backbone's final norm [d].
  public convenience init(
    layer: Int, width: Int, form: VerbalizerForm, finalNorm: [Float], seed: UInt64
  ) {
    var generator = SplitMix64(seed: seed &+ UInt64(layer) &* 0x9E6C_63D0_676A_9A99)
    let deviation = 1 / Double(width).squareRoot()
    func matrix(_ part: Part, zero: Bool) -> Parameter {
      let values =
        zero
        ? [Float](repeating: 0, count: width * width)
        : (0..<width * width).map { _ in Float(generator.normal() * deviation) }
      return Parameter(Self.name(layer, part), shape: [width, width], values: values)
    }
    let gate = matrix(.gate, zero: false)
    let up = matrix(.up, zero: false)
    let down = matrix(.down, zero: form.residual)
    self.init(
      layer: layer, gate: gate, up: up, down: down,
      norm: form.inputNorm
        ? Parameter(Self.name(layer, .norm), shape: [width], values: finalNorm) : nil,
      form: form)
  }

  enum Part: String, CaseIterable {
    case gate, up, down, norm
  }

  static func name(_ layer: Int, _ part: Part) -> String {
    "layers.\(layer).\(part.rawValue).weight"
  }

  /// f(h) [n, d] for the layer's hidden states [n, d].
  public func forward(_ tape: Tape, _ hidden: Tensor) -> Tensor {
    let x = norm.map { tape.rmsNorm(hidden, $0, epsilon: form.epsilon) } ?? hidden
    let product = tape.gatedSiLU(tape.linear(x, gate), tape.linear(x, up))
    let y = tape.linear(product, down)
    return form.residual ? tape.add(x, y) : y
  }

  /// Lets G, U and D learn.
  public func train() { parameters.forEach { $0.train() } }
}

/// What the verb-FFNs of one backbone have in common.
public struct VerbalizerForm: Sendable, Equatable {
  /// RMS-normalise the input with the backbone's final norm.
  public var inputNorm: Bool
  /// Add the input to the output.
  public var residual: Bool
  /// Of the norm.
  public var epsilon: Float

  public init(inputNorm: Bool = true, residual: Bool = true, epsilon: Float = 1e-6) {
    self.inputNorm = inputNorm
    self.residual = residual
    self.epsilon = epsilon
  }

  /// Numbers that learn in the verb-FFNs of `layers` layers of width `width`.
  public static func parameterCount(width: Int, layers: Int) -> Int { 3 * width * width * layers }
}
