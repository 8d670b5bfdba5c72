/// One step's numbers of AdamW; the bias corrections are 1 - betaᵗ.
public struct AdamStep: Sendable {
  public var learningRate: Float
  public var beta1: Float
  public var beta2: Float
  public var epsilon: Float
  public var weightDecay: Float
  public var correction1: Float
  public var correction2: Float
  /// What every gradient is multiplied by: clipping.
  public var gradientScale: Float

  public init(
    learningRate: Float, beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float,
    correction1: Float, correction2: Float, gradientScale: Float
  ) {
    self.learningRate = learningRate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.correction1 = correction1
    self.correction2 = correction2
    self.gradientScale = gradientScale
  }
}

/// AdamW as torch.optim.AdamW computes it, in place, over `count` numbers.
public func adamW(
  _ values: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>,
  first: UnsafeMutablePointer<Float>, second: UnsafeMutablePointer<Float>, _ count: Int,
  _ step: AdamStep
) {
  let decay = 1 - step.learningRate * step.weightDecay
  let rate = step.learningRate / step.correction1
  let root = 1 / step.correction2.squareRoot()
  parallelFor(count, grain: 1 << 14) { range in
    // Every operation is rounded alike in both forms, so an element's place does not matter.
    eights(range) { i in
      let g = load(gradient + i) * step.gradientScale
      let m = step.beta1 * load(first + i) + (1 - step.beta1) * g
      let v = step.beta2 * load(second + i) + (1 - step.beta2) * g * g
      store(m, first + i)
      store(v, second + i)
      store(
        load(values + i) * decay - rate * m / (v.squareRoot() * root + step.epsilon), values + i)
    } _: { rest in
      for i in rest {
        let g = gradient[i] * step.gradientScale
        let m = step.beta1 * first[i] + (1 - step.beta1) * g
        let v = step.beta2 * second[i] + (1 - step.beta2) * g * g
        first[i] = m
        second[i] = v
        values[i] = values[i] * decay - rate * m / (v.squareRoot() * root + step.epsilon)
      }
    }
  }
}
