import Kernels

extension Tape {
  /// `x` itself; `body` sees its gradient [count of x] on the way back, when one arrives.
  public func observed(
    _ x: Tensor, _ body: @escaping (_ gradient: UnsafePointer<Float>, _ count: Int) -> Void
  ) -> Tensor {
    guard recording, x.needsGradient else { return x }
    let y = Tensor(x.shape, buffer: x.buffer, slot: Tensor.GradientSlot())
    record(y) { dy in
      body(dy, y.count)
      // Most often nothing else reads x: its gradient is then this very buffer.
      if let slot = x.slot, slot.buffer == nil {
        slot.buffer = y.slot?.buffer
      } else if let dx = x.gradientSum() {
        addScaled(dy, 1, to: dx, x.count)
      }
    }
    return y
  }
}
