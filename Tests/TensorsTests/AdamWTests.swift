import Foundation
import Kernels
import Tensors
import Testing

/// AdamW against its definition, line by line in double precision (Loshchilov and Hutter 2019,
/// algorithm 2, with torch's clipping by global norm).
@Suite struct AdamWTests {
  private struct Reference {
    let settings: AdamW.Settings
    var values: [[Double]]
    var first: [[Double]], second: [[Double]]
    var steps = 0

    init(_ values: [[Float]], _ settings: AdamW.Settings) {
      self.settings = settings
      self.values = values.map { $0.map(Double.init) }
      first = values.map { [Double](repeating: 0, count: $0.count) }
      second = first
    }

    mutating func step(_ gradients: [[Float]], learningRate: Double) -> Double {
      steps += 1
      let norm = gradients.joined().map { Double($0) * Double($0) }.reduce(0, +).squareRoot()
      var clip = 1.0
      if let limit = settings.clipNorm, limit > 0 { clip = min(1, Double(limit) / (norm + 1e-6)) }
      let beta1 = Double(settings.beta1), beta2 = Double(settings.beta2)
      for tensor in values.indices {
        for i in values[tensor].indices {
          let g = Double(gradients[tensor][i]) * clip
          values[tensor][i] *= 1 - learningRate * Double(settings.weightDecay)
          first[tensor][i] = beta1 * first[tensor][i] + (1 - beta1) * g
          second[tensor][i] = beta2 * second[tensor][i] + (1 - beta2) * g * g
          let m = first[tensor][i] / (1 - pow(beta1, Double(steps)))
          let v = second[tensor][i] / (1 - pow(beta2, Double(steps)))
          values[tensor][i] -= learningRate * m / (v.squareRoot() + Double(settings.epsilon))
        }
      }
      return norm
    }
  }

  private static let settings = [
    AdamW.Settings(), AdamW.Settings(weightDecay: 0, clipNorm: 0),
    AdamW.Settings(beta1: 0.9, beta2: 0.98, weightDecay: 0.05, clipNorm: 1),
    AdamW.Settings(beta1: 0.8, beta2: 0.95, epsilon: 1e-4, weightDecay: 0.1, clipNorm: 1e3),
  ]

  @Test(arguments: settings) func followsItsDefinition(settings: AdamW.Settings) {
    let shapes = [[7, 9], [13], [1], [40, 33]]
    var draw = Draw(17)
    let start = shapes.map { draw.numbers($0.reduce(1, *)) }
    let parameters = zip(shapes, start).map {
      Parameter("p", shape: $0, values: $1, trainable: true)
    }
    let optimizer = AdamW(parameters, settings)
    var reference = Reference(start, settings)
    for step in 0..<20 {
      // From tiny to large gradients: the clip takes hold in some steps only.
      let size = pow(Float(10), Float(step % 5) - 4)
      let gradients = shapes.map { draw.numbers($0.reduce(1, *)).map { $0 * size } }
      for (parameter, gradient) in zip(parameters, gradients) {
        parameter.gradientSum()?.update(from: gradient, count: gradient.count)
      }
      let rate: Float = step < 10 ? 1e-2 : 1e-3
      let norm = optimizer.step(learningRate: rate)
      let expected = reference.step(gradients, learningRate: Double(rate))
      #expect(abs(Double(norm) - expected) < 1e-6 * expected)
      #expect(parameters.allSatisfy { $0.gradient == nil })
    }
    for (parameter, expected) in zip(parameters, reference.values) {
      let error = zip(parameter.array, expected).map { abs(Double($0) - $1) }.max() ?? 0
      #expect(error < 3e-6, "\(error)")
    }
  }

  /// With eight-bit moments every weight stays near the float32 way: steps of a sign-like optimizer
  /// are at most the learning rate each, and the codes change them by some percent.
  @Test(arguments: [1e-4, 1e-1, 1e3] as [Float]) func eightBitMomentsFollow(size: Float) {
    let shape = [70, 90]
    var draw = Draw(5)
    let start = draw.numbers(6300)
    let scales = draw.numbers(6300).map { pow(10, $0) }
    let optimizers = AdamW.MomentStorage.allCases.map { moments in
      AdamW(
        [Parameter("w", shape: shape, values: start, trainable: true)],
        AdamW.Settings(weightDecay: 0, moments: moments))
    }
    for _ in 0..<50 {
      let gradient = zip(draw.numbers(6300), scales).map { ($0 + 0.3) * $1 * size }
      for optimizer in optimizers {
        optimizer.parameters[0].gradientSum()?.update(from: gradient, count: gradient.count)
        optimizer.step(learningRate: 1e-3)
      }
    }
    let (exact, coded) = (optimizers[0].parameters[0].array, optimizers[1].parameters[0].array)
    let moved = zip(exact, start).map { Double(abs($0 - $1)) }.reduce(0, +)
    let apart = zip(exact, coded).map { Double(abs($0 - $1)) }.reduce(0, +)
    #expect(moved / 6300 > 5e-3)
    #expect(apart < 0.12 * moved, "\(apart / moved)")
    // Nor was a single weight thrown off by a second moment that vanished.
    #expect(zip(exact, coded).allSatisfy { abs($0 - $1) < 50 * 1e-3 })
  }

  /// At beta2 = 0.999 the second moment's root moves by a fraction of a level a step. Where most of a
  /// block's gradients fall tenfold it must follow the float32 one down all the same, and where they
  /// rise, up: rounded to the nearest level it stays five times too high after 5,000 steps.
  @Test(arguments: [0.1, 10] as [Float]) func eightBitSecondMomentsMove(change: Float) {
    let count = 256 * 20
    var draw = Draw(23)
    let sizes = draw.numbers(count).map { pow(10, 0.5 * $0) }
    let stays = draw.numbers(count).map { $0 > 0.9 }
    let optimizers = AdamW.MomentStorage.allCases.map { moments in
      AdamW(
        [
          Parameter(
            "w", shape: [20, 256], values: [Float](repeating: 0, count: count), trainable: true)
        ], AdamW.Settings(weightDecay: 0, clipNorm: nil, moments: moments))
    }
    /// The coded root over the float32 one, of the weights whose gradients change.
    func ratios() -> [Float] {
      let exact = optimizers[0].moments[0].arrays.second,
        coded = optimizers[1].moments[0].arrays.second
      return (0..<count).filter { !stays[$0] }.map { coded[$0] / exact[$0].squareRoot() }.sorted()
    }
    for step in 0..<6000 {
      let noise = draw.numbers(count)
      for optimizer in optimizers {
        guard let sum = optimizer.parameters[0].gradientSum() else { continue }
        for i in 0..<count {
          sum[i] = noise[i] * sizes[i] * (step < 1000 || stays[i] ? 1 : change)
        }
        optimizer.step(learningRate: 1e-4)
      }
      guard step % 1000 == 999 else { continue }
      let sorted = ratios()
      #expect(abs(sorted[sorted.count / 2] - 1) < 0.05, "step \(step): \(sorted[sorted.count / 2])")
      #expect(sorted[sorted.count / 20] > 0.6 && sorted[sorted.count * 19 / 20] < 1.6)
      #expect(sorted[0] > 0.25 && (sorted.last ?? 9) < 4, "\(sorted[0]), \(sorted.last ?? 0)")
    }
  }

  private func weights(_ count: Int) -> Parameter {
    Parameter("w", shape: [count], values: [Float](repeating: 0, count: count), trainable: true)
  }

  @Test func smallParametersKeepExactMoments() {
    let (small, large) = (weights(4096), weights(4097))
    let kinds = AdamW([small, large], AdamW.Settings(moments: .blockwise8)).moments.map {
      if case .blockwise8 = $0 { true } else { false }
    }
    #expect(kinds == [false, true])
    #expect(Moments.byteCount(4096, .blockwise8) == 8 * 4096)
    #expect(Moments.byteCount(4097, .blockwise8) == 2 * (4097 + 4 * 17))
  }

  @Test func leavesAloneWhatHasNoGradient() {
    let frozen = Parameter("frozen", shape: [3], values: [1, 2, 3])
    let idle = Parameter("idle", shape: [2], values: [4, 5], trainable: true)
    let learning = Parameter("learning", shape: [2], values: [6, 7], trainable: true)
    let optimizer = AdamW([frozen, idle, learning], AdamW.Settings())
    learning.gradientSum()?.update(repeating: 1, count: 2)
    optimizer.step(learningRate: 0.1)
    #expect(frozen.array == [1, 2, 3])
    #expect(idle.array == [4, 5])
    #expect(learning.array[0] < 6)
    #expect(optimizer.parameters.map(\.name) == ["idle", "learning"])
  }
}
