import Kernels

/// Records what was computed so that gradients can flow back through it. An op is a method of the
/// tape: it computes its result and, while recording, notes how to pass the gradient on. A tape that
/// does not record only computes.
public final class Tape {
  public let recording: Bool
  private var steps: [() -> Void] = []
  /// Whether an op so far had an input or a weight that learns, recorded or not.
  private var sawLearning = false

  public init(recording: Bool) { self.recording = recording }

  /// A tensor for the result of an op, with room for a gradient when any input has.
  public func result(_ shape: [Int], needsGradient: Bool) -> Tensor {
    sawLearning = sawLearning || needsGradient
    return Tensor(shape, needsGradient: recording && needsGradient)
  }

  /// Notes the backward step of the op that made `output`. The step runs only if a gradient
  /// arrived, and gets it as [count of output].
  public func record(
    _ output: Tensor, _ step: @escaping (_ gradient: UnsafeMutablePointer<Float>) -> Void
  ) {
    guard recording, output.needsGradient else { return }
    steps.append {
      guard let gradient = output.arrivedGradient else { return }
      step(gradient)
      // Nobody asks for it again: every consumer of `output` ran before its maker.
      output.slot?.buffer = nil
    }
  }

  /// Calls `body` on the way back when everything recorded from here on has passed its gradient back.
  public func onReturn(_ body: @escaping () -> Void) {
    if recording { steps.append(body) }
  }

  /// Passes the gradient of the sum of `losses` (tensors of one element each) back to every
  /// parameter and tensor that took part. The tape is empty afterwards.
  public func backward(_ losses: Tensor...) { backward(losses) }

  public func backward(_ losses: [Tensor]) {
    for loss in losses where loss.needsGradient { loss.gradientSum()?[0] += 1 }
    runSteps()
  }

  private func runSteps() {
    while let step = steps.popLast() { step() }
  }

  /// Gradient checkpointing: computes `body` without keeping its intermediate tensors, and computes
  /// it again when its gradient is needed. The parameters inside learn as if it were recorded; where
  /// neither they nor the input learn, nothing is computed again.
  public func checkpoint(_ input: Tensor, _ body: @escaping (Tape, Tensor) -> Tensor) -> Tensor {
    guard recording else { return body(self, input) }
    let first = Tape(recording: false)
    let plain = body(first, input.detached())
    guard input.needsGradient || first.sawLearning else { return plain }
    sawLearning = true
    let output = Tensor(plain.shape, buffer: plain.buffer, slot: Tensor.GradientSlot())
    record(output) { gradient in
      let inner = Tape(recording: true)
      let again = input.detached(needsGradient: input.needsGradient)
      let result = body(inner, again)
      if let sum = result.gradientSum() { addScaled(gradient, 1, to: sum, result.count) }
      inner.runSteps()
      if let arrived = again.arrivedGradient, let target = input.gradientSum() {
        addScaled(arrived, 1, to: target, input.count)
      }
    }
    return output
  }
}
