import Artifacts
import Kernels

/// What numbers tell about themselves.
struct NumberSummary {
  private(set) var count = 0
  private(set) var sum = 0.0
  private(set) var squares = 0.0
  private(set) var smallest = Double.infinity
  private(set) var largest = -Double.infinity
  /// Infinite values and NaNs; they enter nothing else.
  private(set) var notFinite = 0

  init() {}

  init(_ tensor: RawTensor) { add(tensor) }

  mutating func add(_ tensor: RawTensor) {
    switch tensor.type {
    case .float32, .float16, .bfloat16:
      guard let values = try? tensor.floats() else { return }
      add(values)
    case .uint8, .bool: addAll(tensor.bytes) { Double($0) }
    case .int8: addAll(tensor.bytes) { Double(Int8(bitPattern: $0)) }
    default: addAll(tensor.wideIntegers) { Double($0) }
    }
  }

  mutating func add(_ values: [Float]) {
    var sum = 0.0
    var squares = 0.0
    var low = Float.infinity
    var high = -Float.infinity
    var bad = 0
    for value in values {
      guard value.isFinite else {
        bad += 1
        continue
      }
      sum += Double(value)
      squares += Double(value) * Double(value)
      low = min(low, value)
      high = max(high, value)
    }
    count += values.count - bad
    notFinite += bad
    self.sum += sum
    self.squares += squares
    smallest = min(smallest, Double(low))
    largest = max(largest, Double(high))
  }

  mutating func add(_ value: Double) {
    guard value.isFinite else {
      notFinite += 1
      return
    }
    count += 1
    sum += value
    squares += value * value
    smallest = min(smallest, value)
    largest = max(largest, value)
  }

  private mutating func addAll<Element>(_ values: [Element], _ widen: (Element) -> Double) {
    for value in values { add(widen(value)) }
  }

  var mean: Double { count > 0 ? sum / Double(count) : .nan }
  var rootMeanSquare: Double { count > 0 ? (squares / Double(count)).squareRoot() : .nan }
  var deviation: Double {
    count > 0 ? max(0, squares / Double(count) - mean * mean).squareRoot() : .nan
  }

  /// Cells under `columns`.
  var cells: [String] {
    guard count > 0 else { return ["", "", "", "", notFinite > 0 ? "\(notFinite)" : ""] }
    return [
      Human.number(smallest), Human.number(largest), Human.number(mean), Human.number(deviation),
      notFinite > 0 ? "\(notFinite)" : "",
    ]
  }

  static let columns = [">min", ">max", ">mean", ">deviation", ">not finite"]

  var json: JSON {
    var members: [String: JSON] = ["count": .int(count), "not_finite": .int(notFinite)]
    if count > 0 {
      members["min"] = .number(smallest)
      members["max"] = .number(largest)
      members["mean"] = .number(mean)
      members["deviation"] = .number(deviation)
      members["rms"] = .number(rootMeanSquare)
    }
    return .object(members)
  }
}

extension RawTensor {
  /// The values of an integer tensor of any width.
  var wideIntegers: [Int] {
    bytes.withUnsafeBytes { raw in
      (0..<count).map { index in
        switch type {
        case .int64: Int(raw.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self))
        case .int32: Int(raw.loadUnaligned(fromByteOffset: 4 * index, as: Int32.self))
        case .int16: Int(raw.loadUnaligned(fromByteOffset: 2 * index, as: Int16.self))
        case .int8: Int(raw.loadUnaligned(fromByteOffset: index, as: Int8.self))
        default: Int(raw[index])
        }
      }
    }
  }

  var holdsFloats: Bool { [.float32, .float16, .bfloat16].contains(type) }
}
