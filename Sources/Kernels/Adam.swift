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
  /// Counted from 1.
  public var number: Int

  public init(
    learningRate: Float, beta1: Float, beta2: Float, epsilon: Float, weightDecay: Float,
    correction1: Float, correction2: Float, gradientScale: Float, number: Int
  ) {
    self.learningRate = learningRate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.correction1 = correction1
    self.correction2 = correction2
    self.gradientScale = gradientScale
    self.number = number
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

/// AdamW as the other form computes it, with both moments as eight-bit codes (Dettmers et al. 2022,
/// see `DynamicCode`): a block's moments are widened, moved and coded again. Of the second moment
/// the root is coded: that spans twice the decades of the moment itself, so that weights with small
/// gradients keep their pace beside others, and it is what the step divides by. At beta2 = 0.999 it
/// moves by a twentieth of a percent a step, a fraction of a level, so it is rounded by thresholds
/// that change from step to step.
/// - second: the root of the second moment
public func adamW(
  _ values: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>,
  first: BlockwiseNumbers, second: BlockwiseNumbers, _ step: AdamStep
) {
  let decay = 1 - step.learningRate * step.weightDecay
  let rate = step.learningRate / step.correction1
  let correction = 1 / step.correction2.squareRoot()
  let size = DynamicCode.block
  first.code.levels.withUnsafeBufferPointer { firstLevels in
    second.code.levels.withUnsafeBufferPointer { secondLevels in
      guard let firstLevels = firstLevels.baseAddress,
        let secondLevels = secondLevels.baseAddress
      else { return }
      parallelFor(first.blocks, grain: 64) { range in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * size) { scratch in
          guard let m = scratch.baseAddress else { return }
          let root = m + size
          for block in range {
            let start = block * size
            let count = min(size, first.count - start)
            let (firstScale, secondScale) = (first.scales[block], second.scales[block])
            let firstCodes = first.codes + start, secondCodes = second.codes + start
            for i in 0..<count {
              m[i] = firstLevels[Int(firstCodes[i])]
              root[i] = secondLevels[Int(secondCodes[i])]
            }
            // Every operation is rounded alike in both forms, so an element's place does not matter.
            let (x, gradient) = (values + start, gradient + start)
            eights(0..<count) { i in
              let g = load(gradient + i) * step.gradientScale
              let moment = step.beta1 * (load(m + i) * firstScale) + (1 - step.beta1) * g
              let before = load(root + i) * secondScale
              let square = step.beta2 * before * before + (1 - step.beta2) * g * g
              let now = square.squareRoot()
              store(moment, m + i)
              store(now, root + i)
              store(load(x + i) * decay - rate * moment / (now * correction + step.epsilon), x + i)
            } _: { rest in
              for i in rest {
                let g = gradient[i] * step.gradientScale
                m[i] = step.beta1 * (m[i] * firstScale) + (1 - step.beta1) * g
                let before = root[i] * secondScale
                root[i] = (step.beta2 * before * before + (1 - step.beta2) * g * g).squareRoot()
                x[i] = x[i] * decay - rate * m[i] / (root[i] * correction + step.epsilon)
              }
            }
            first.scales[block] = first.code.encode(m, count, to: firstCodes)
            second.scales[block] = second.code.encode(
              root, count, step: step.number, place: start, to: secondCodes)
          }
        }
      }
    }
  }
}
