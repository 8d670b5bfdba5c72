import Kernels

/// A float32 tensor, row-major. Most are matrices [rows, columns]: the last axis is `columns`, all
/// others together are `rows`. A tensor that came out of a recording tape has room for a gradient.
public final class Tensor {
  public let shape: [Int]
  let buffer: Buffer
  let slot: GradientSlot?

  /// The gradient of a tensor and of every view of it; made when the first contribution arrives.
  final class GradientSlot {
    var buffer: Buffer?
  }

  init(_ shape: [Int], buffer: Buffer, slot: GradientSlot?) {
    self.shape = shape
    self.buffer = buffer
    self.slot = slot
  }

  /// A tensor of unspecified values.
  public convenience init(_ shape: [Int], needsGradient: Bool = false) {
    self.init(
      shape, buffer: Buffer(count: shape.reduce(1, *)),
      slot: needsGradient ? GradientSlot() : nil)
  }

  /// A tensor of the given numbers; their count must be the product of `shape`.
  public convenience init(_ values: [Float], _ shape: [Int], needsGradient: Bool = false) {
    precondition(values.count == shape.reduce(1, *), "\(values.count) values for shape \(shape)")
    self.init(shape, buffer: Buffer(values), slot: needsGradient ? GradientSlot() : nil)
  }

  public var count: Int { shape.reduce(1, *) }
  public var columns: Int { shape.last ?? 1 }
  public var rows: Int { columns == 0 ? 0 : count / columns }
  /// The numbers, valid as long as the tensor lives.
  public var values: UnsafeMutablePointer<Float> { buffer.pointer }
  public var array: [Float] { Array(UnsafeBufferPointer(start: values, count: count)) }
  public var needsGradient: Bool { slot != nil }
  /// The number of a tensor of one element.
  public var scalar: Float { values[0] }

  /// The gradient after `Tape.backward`, or nil when none reached this tensor.
  public var gradient: [Float]? {
    slot?.buffer.map { Array(UnsafeBufferPointer(start: $0.pointer, count: count)) }
  }

  /// The same numbers (and the same gradient) in another shape.
  public func reshaped(_ shape: [Int]) -> Tensor {
    precondition(shape.reduce(1, *) == count, "\(self.shape) cannot be seen as \(shape)")
    return Tensor(shape, buffer: buffer, slot: slot)
  }

  /// The numbers as products see them, rounded in bfloat16; with the same gradient.
  public func seenByProducts() -> Tensor {
    guard let seen = Multiplier.current.seen(values, count) else { return self }
    return Tensor(shape, buffer: seen, slot: slot)
  }

  /// The same numbers, cut off from the tape.
  public func detached(needsGradient: Bool = false) -> Tensor {
    Tensor(shape, buffer: buffer, slot: needsGradient ? GradientSlot() : nil)
  }

  /// Where a backward step adds its contribution; zero before the first. Nil when no gradient is
  /// wanted.
  public func gradientSum() -> UnsafeMutablePointer<Float>? {
    guard let slot else { return nil }
    if let existing = slot.buffer { return existing.pointer }
    let fresh = Buffer(zeros: count)
    slot.buffer = fresh
    return fresh.pointer
  }

  /// As `gradientSum`, for steps that can overwrite: `beta` is 0 when nothing is there yet.
  func gradientTarget() -> (pointer: UnsafeMutablePointer<Float>, beta: Float)? {
    guard let slot else { return nil }
    if let existing = slot.buffer { return (existing.pointer, 1) }
    let fresh = Buffer(count: count)
    slot.buffer = fresh
    return (fresh.pointer, 0)
  }

  /// The gradient that arrived, for the step that made this tensor.
  public var arrivedGradient: UnsafeMutablePointer<Float>? { slot?.buffer?.pointer }
}
