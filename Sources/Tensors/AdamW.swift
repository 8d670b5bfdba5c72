import Glibc
import Kernels

/// AdamW (Loshchilov and Hutter), as torch.optim.AdamW computes it, with clipping by global norm.
public final class AdamW {
  public struct Settings: Sendable, Equatable, Codable {
    public var beta1: Float
    public var beta2: Float
    public var epsilon: Float
    public var weightDecay: Float
    /// The largest norm of all gradients together; nil or 0 does not clip.
    public var clipNorm: Float?
    /// Whether vectors (norms, biases) decay like matrices, as torch does unless told otherwise.
    public var decaysVectors: Bool
    public var moments: MomentStorage

    public init(
      beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8, weightDecay: Float = 0.01,
      clipNorm: Float? = nil, decaysVectors: Bool = true, moments: MomentStorage = .float32
    ) {
      self.beta1 = beta1
      self.beta2 = beta2
      self.epsilon = epsilon
      self.weightDecay = weightDecay
      self.clipNorm = clipNorm
      self.decaysVectors = decaysVectors
      self.moments = moments
    }
  }

  /// How the moments lie in memory.
  public enum MomentStorage: String, Sendable, Codable, CaseIterable {
    /// Eight bytes a parameter.
    case float32
    /// Two bytes a parameter; those of at most 4,096 numbers stay float32, as in bitsandbytes.
    case blockwise8

    public static let smallest = 4096
  }

  public let settings: Settings
  public let parameters: [Parameter]
  /// Which part of each parameter this process moves.
  public let sharding: Sharding
  /// Steps taken.
  public var steps = 0
  /// The moments of this process's part of every parameter, in order.
  public let moments: [Moments]

  /// An optimizer of the trainable ones among `parameters`.
  public init(_ parameters: [Parameter], _ settings: Settings, sharding: Sharding = .whole) {
    self.settings = settings
    self.parameters = parameters.filter(\.trainable)
    self.sharding = sharding
    moments = self.parameters.map {
      Moments(count: $0.count, part: sharding.part(of: $0.count), settings.moments)
    }
  }

  /// The norm of all gradients together, in a process that has them all.
  public func gradientNorm() -> Float { Float(gradientSquares().squareRoot()) }

  /// The sum of squares of the gradients of this process's part.
  public func gradientSquares() -> Double {
    parameters.reduce(0) { total, parameter in
      let part = sharding.part(of: parameter.count)
      return total
        + (parameter.gradient.map { sumOfSquares($0.pointer + part.lowerBound, part.count) } ?? 0)
    }
  }

  /// The place of the first parameter whose gradient holds a number that is not finite, in this
  /// process's part.
  public var placeOfBadGradient: Int? {
    parameters.firstIndex { parameter in
      let part = sharding.part(of: parameter.count)
      return parameter.gradient.map {
        firstNonFinite($0.pointer + part.lowerBound, part.count) != nil
      } ?? false
    }
  }

  /// Changes this process's part of every parameter by its gradient and clears the gradients. Returns
  /// the gradients' norm before clipping.
  @discardableResult
  public func step(learningRate: Float) -> Float {
    let norm = gradientNorm()
    step(learningRate: learningRate, norm: norm)
    return norm
  }

  /// As the other form, for a caller that looked at `gradientNorm` first: a gradient that is not
  /// finite must not reach a weight.
  public func step(learningRate: Float, norm: Float) {
    steps += 1
    var scale: Float = 1
    if let clip = settings.clipNorm, clip > 0, norm > clip { scale = clip / (norm + 1e-6) }
    var numbers = AdamStep(
      learningRate: learningRate, beta1: settings.beta1, beta2: settings.beta2,
      epsilon: settings.epsilon, weightDecay: settings.weightDecay,
      correction1: Float(1 - pow(Double(settings.beta1), Double(steps))),
      correction2: Float(1 - pow(Double(settings.beta2), Double(steps))),
      gradientScale: scale, number: steps)
    for (parameter, moment) in zip(parameters, moments) {
      guard let all = parameter.mutableValues, let gradients = parameter.gradient else { continue }
      let part = sharding.part(of: parameter.count)
      let (values, gradient) = (all + part.lowerBound, gradients.pointer + part.lowerBound)
      let decays = settings.decaysVectors || parameter.shape.count > 1
      numbers.weightDecay = decays ? settings.weightDecay : 0
      switch moment {
      case .float32(let first, let second):
        adamW(
          values, gradient: gradient, first: first.pointer, second: second.pointer, part.count,
          numbers)
      case .blockwise8(let first, let second):
        adamW(values, gradient: gradient, first: first, second: second, numbers)
      }
      parameter.clearGradient()
    }
  }
}
