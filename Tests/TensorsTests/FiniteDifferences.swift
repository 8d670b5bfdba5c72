import Kernels
import Tensors
import Testing

/// Normal-looking numbers from a fixed seed.
struct Draw {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next() -> Float {
    var total: Float = 0
    for _ in 0..<6 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      total += Float(state >> 40) / Float(1 << 24)
    }
    return (total - 3) * 1.4
  }

  mutating func numbers(_ count: Int) -> [Float] { (0..<count).map { _ in next() } }
}

/// Checks an op's gradients against central differences: of L = Σ w ⊙ op(…) for random w, the
/// derivative by every element of every input, 1e-3 of the largest. `input` shapes become tensors
/// that want a gradient, `weights` become trainable parameters.
func checkGradients(
  input shapes: [[Int]], weights weightShapes: [[Int]] = [], seed: UInt64 = 1,
  tolerance: Double = 1e-3, sourceLocation: SourceLocation = #_sourceLocation,
  _ op: (Tape, [Tensor], [Parameter]) -> Tensor
) {
  var draw = Draw(seed)
  var inputs = shapes.map { draw.numbers($0.reduce(1, *)) }
  var weights = weightShapes.map { draw.numbers($0.reduce(1, *)) }

  func parameters() -> [Parameter] {
    zip(weights, weightShapes).enumerated().map { index, pair in
      Parameter("weight \(index)", shape: pair.1, values: pair.0, trainable: true)
    }
  }
  func tensors(_ needsGradient: Bool) -> [Tensor] {
    zip(inputs, shapes).map { Tensor($0, $1, needsGradient: needsGradient) }
  }

  // The analytic gradients, through a frozen row of random numbers.
  let tape = Tape(recording: true)
  let leaves = tensors(true), learned = parameters()
  let output = op(tape, leaves, learned)
  let probe = draw.numbers(output.count)
  let row = Parameter("probe", shape: [1, output.count], values: probe)
  tape.backward(tape.linear(output.reshaped([1, output.count]), row))

  func loss() -> Double {
    let found = op(Tape(recording: false), tensors(false), parameters()).array
    return zip(found, probe).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }
  func compare(_ name: String, _ gradient: [Float], change: (Int, Float) -> Void) {
    let step: Float = 1e-2
    let measured = gradient.indices.map { index -> Double in
      change(index, step)
      let above = loss()
      change(index, -2 * step)
      let below = loss()
      change(index, step)
      return (above - below) / Double(2 * step)
    }
    let scale = max(1e-6, measured.map(abs).max() ?? 0)
    for (index, value) in measured.enumerated() {
      let difference = abs(value - Double(gradient[index])) / scale
      #expect(
        difference < tolerance,
        "\(name)[\(index)]: gradient \(gradient[index]), measured \(value)",
        sourceLocation: sourceLocation)
      if difference >= tolerance { return }
    }
  }
  for index in inputs.indices {
    let gradient = leaves[index].gradient ?? [Float](repeating: 0, count: inputs[index].count)
    compare("input \(index)", gradient) { inputs[index][$0] += $1 }
  }
  for index in weights.indices {
    let gradient = learned[index].gradient?.array ?? []
    #expect(gradient.count == weights[index].count, sourceLocation: sourceLocation)
    compare("weight \(index)", gradient) { weights[index][$0] += $1 }
  }
}
