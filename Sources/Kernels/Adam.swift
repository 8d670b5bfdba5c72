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
  let mover = AdamMover(step)
  parallelFor(count, grain: 1 << 14) { range in
    eights(range) { i in
      let now = mover.move(
        load(values + i), load(gradient + i), first: load(first + i), second: load(second + i))
      store(now.x, values + i)
      store(now.first, first + i)
      store(now.second, second + i)
    } _: { rest in
      let now = mover.move(
        load(values, only: rest), load(gradient, only: rest), first: load(first, only: rest),
        second: load(second, only: rest))
      for (lane, i) in rest.enumerated() {
        values[i] = now.x[lane]
        first[i] = now.first[lane]
        second[i] = now.second[lane]
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
  let mover = AdamMover(step)
  let size = DynamicCode.block
  parallelFor(first.blocks, grain: 64) { range in
    // Aligned, since a vector across two cache lines is read twice.
    withUnsafeTemporaryAllocation(byteCount: 16 * size, alignment: 64) { scratch in
      guard let m = scratch.bindMemory(to: Float.self).baseAddress else { return }
      let root = m + size
      for block in range {
        let start = block * size
        let rest = first.count - start
        guard rest < size else {
          mover.move(values + start, gradient + start, first, second, block, m, root)
          continue
        }
        // The last block is not full: its numbers are moved in a full one's room.
        let padded = m + 2 * size
        padded.initialize(repeating: 0, count: 2 * size)
        padded.update(from: values + start, count: rest)
        (padded + size).update(from: gradient + start, count: rest)
        mover.move(padded, padded + size, first, second, block, m, root)
        (values + start).update(from: padded, count: rest)
      }
    }
  }
}

/// What all numbers of a step have in common.
private struct AdamMover {
  let step: AdamStep
  /// What is left of a weight, how far one goes by its first moment, and what the root is multiplied by.
  let decay: Float, rate: Float, correction: Float

  init(_ step: AdamStep) {
    self.step = step
    decay = 1 - step.learningRate * step.weightDecay
    rate = step.learningRate / step.correction1
    correction = 1 / step.correction2.squareRoot()
  }

  /// Of eight weights with their gradients and moments: where they go.
  @inline(__always)
  func move(
    _ x: Lanes, _ gradient: Lanes, first: Lanes, second: Lanes
  ) -> (x: Lanes, first: Lanes, second: Lanes, root: Lanes) {
    let g = gradient * step.gradientScale
    let first = step.beta1 * first + (1 - step.beta1) * g
    let second = step.beta2 * second + (1 - step.beta2) * g * g
    let root = squareRoot(second)
    return (x * decay - rate * first / (root * correction + step.epsilon), first, second, root)
  }

  /// Of a block of weights and gradients [256], the moments being coded; `m` and `root` [256] are room.
  @inline(__always)
  func move(
    _ values: UnsafeMutablePointer<Float>, _ gradient: UnsafePointer<Float>,
    _ first: BlockwiseNumbers, _ second: BlockwiseNumbers, _ block: Int,
    _ m: UnsafeMutablePointer<Float>, _ root: UnsafeMutablePointer<Float>
  ) {
    first.decode(block, to: m)
    second.decode(block, to: root)
    let (firstScale, secondScale) = (first.scales[block], second.scales[block])
    var largest = Lanes(repeating: 0), largestRoot = Lanes(repeating: 0)
    for i in stride(from: 0, to: DynamicCode.block, by: 8) {
      let before = load(root + i) * secondScale
      let now = move(
        load(values + i), load(gradient + i), first: load(m + i) * firstScale,
        second: before * before)
      store(now.x, values + i)
      store(now.first, m + i)
      store(now.root, root + i)
      let size = magnitudes(now.first)
      largest = largest.replacing(with: size, where: size .> largest)
      largestRoot = largestRoot.replacing(with: now.root, where: now.root .> largestRoot)
    }
    first.encode(m, largest: largest.max(), block)
    second.encode(root, largest: largestRoot.max(), block, step: step.number)
  }
}
