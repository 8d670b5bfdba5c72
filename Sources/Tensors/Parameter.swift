import Kernels

/// A named weight: float32 in memory of its own, or as it lies in a mapped checkpoint (float32,
/// bfloat16 or float16), which stays on disk until it is touched and is widened panel by panel.
public final class Parameter {
  public let name: String
  public let shape: [Int]
  /// Whether `Tape.backward` gathers a gradient and the optimizer changes the values.
  public private(set) var trainable = false
  /// The gradient, summed over backward passes until `clearGradient`.
  public private(set) var gradient: Buffer?

  private enum Storage {
    case owned(Buffer)
    case mapped(UnsafeRawPointer, ElementType, owner: AnyObject)
    /// A shape without values yet.
    case declared
  }
  private var storage: Storage
  private var widened: Buffer?
  /// The memory of the last gradient, for the next one: fresh pages of a large weight take as long as
  /// its product.
  private var cleared: Buffer?
  /// The numbers in bfloat16, and whether they are those of now.
  private var rounded: (numbers: Buffer, isCurrent: Bool)?

  /// A parameter over memory that `owner` keeps alive.
  public init(
    _ name: String, shape: [Int], mapped pointer: UnsafeRawPointer, type: ElementType,
    owner: AnyObject
  ) {
    self.name = name
    self.shape = shape
    storage = .mapped(pointer, type, owner: owner)
  }

  /// A parameter that gets its values later, by `map`; until then only name and shape are there.
  public init(declared name: String, shape: [Int]) {
    self.name = name
    self.shape = shape
    storage = .declared
  }

  /// Takes the values from memory that `owner` keeps alive.
  public func map(_ pointer: UnsafeRawPointer, type: ElementType, owner: AnyObject) {
    storage = .mapped(pointer, type, owner: owner)
    widened = nil
    rounded = nil
  }

  public convenience init(_ name: String, shape: [Int], values: [Float], trainable: Bool = false) {
    self.init(name, shape: shape, values: Buffer(values), trainable: trainable)
  }

  /// A parameter that takes over its numbers' memory.
  public init(_ name: String, shape: [Int], values: Buffer, trainable: Bool = false) {
    precondition(values.count == shape.reduce(1, *), "\(name): \(values.count) for \(shape)")
    self.name = name
    self.shape = shape
    self.trainable = trainable
    storage = .owned(values)
  }

  public var count: Int { shape.reduce(1, *) }
  public var columns: Int { shape.dropFirst().reduce(1, *) }

  /// The weight as a matrix: the first axis are its rows, all others its columns.
  public var view: MatrixView {
    switch storage {
    case .owned(let buffer):
      MatrixView(
        UnsafeRawPointer(buffer.pointer), type: .float32, rows: shape.first ?? 1, columns: columns)
    case .mapped(let pointer, let type, _):
      MatrixView(pointer, type: type, rows: shape.first ?? 1, columns: columns)
    case .declared: preconditionFailure("\(name) has no values yet")
    }
  }

  /// Where it lies in a mapped checkpoint; nil where it has memory of its own.
  public var mappedBytes: MappedBytes? {
    guard case .mapped(let pointer, let type, let owner) = storage else { return nil }
    return MappedBytes(
      UnsafeRawBufferPointer(start: pointer, count: count * type.size), owner: owner)
  }

  /// The weight as products take it: as it lies, or, where it has memory of its own and products round
  /// their factors, rounded once and kept until it changes.
  public var factor: MatrixView {
    let view = view
    guard case .owned(let buffer) = storage, Precision.current == .bfloat16 else { return view }
    let numbers = rounded?.numbers ?? Buffer(count: (count + 1) / 2)
    if rounded?.isCurrent != true {
      parallelFor(count, grain: 1 << 15) { range in
        narrow(
          buffer.pointer + range.lowerBound, range.count, to: .bfloat16,
          at: UnsafeMutableRawPointer(numbers.pointer) + 2 * range.lowerBound)
      }
      rounded = (numbers, true)
    }
    return MatrixView(numbers.pointer, type: .bfloat16, rows: view.rows, columns: view.columns)
  }

  /// The numbers as float32; a narrow weight is widened once and kept, so ask only for small ones.
  public var floats: UnsafePointer<Float> {
    if let floats = view.floats { return floats }
    if let widened { return UnsafePointer(widened.pointer) }
    let buffer = widenedCopy()
    widened = buffer
    return UnsafePointer(buffer.pointer)
  }

  /// The numbers to change in place, before the weight is used again; nil while it lies in a mapped
  /// checkpoint.
  public var mutableValues: UnsafeMutablePointer<Float>? {
    rounded?.isCurrent = false
    return if case .owned(let buffer) = storage { buffer.pointer } else { nil }
  }

  public var array: [Float] { widenedCopy().array }

  private func widenedCopy() -> Buffer {
    let buffer = Buffer(count: count)
    let view = view
    widen(view.pointer, view.type, count, to: buffer.pointer)
    return buffer
  }

  /// Copies the weight to float32 memory of its own and lets it learn.
  public func train() {
    if case .owned = storage {} else { storage = .owned(widenedCopy()) }
    widened = nil
    trainable = true
  }

  /// Stops learning; the values stay as they are.
  public func freeze() {
    trainable = false
    (gradient, cleared) = (nil, nil)
  }

  /// Where backward steps add; nil for a frozen parameter.
  public func gradientSum() -> UnsafeMutablePointer<Float>? {
    guard let (pointer, beta) = gradientTarget() else { return nil }
    if beta == 0 {
      parallelFor(count, grain: 1 << 18) {
        (pointer + $0.lowerBound).update(repeating: 0, count: $0.count)
      }
    }
    return pointer
  }

  /// As `gradientSum`, for steps that can overwrite: `beta` is 0 when nothing is there yet.
  func gradientTarget() -> (pointer: UnsafeMutablePointer<Float>, beta: Float)? {
    guard trainable else { return nil }
    if let gradient { return (gradient.pointer, 1) }
    let buffer = cleared ?? Buffer(count: count)
    (gradient, cleared) = (buffer, nil)
    return (buffer.pointer, 0)
  }

  public func clearGradient() {
    if let gradient { cleared = gradient }
    gradient = nil
  }
}
