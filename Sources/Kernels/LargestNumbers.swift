/// The largest of the numbers seen so far, as a heap whose root is the smallest of them. Of equal
/// numbers the one with the lower index stays.
public struct LargestNumbers: Sendable {
  /// How many are kept.
  public let count: Int
  public private(set) var values: [Float] = []
  public private(set) var indices: [Int32] = []

  public init(count: Int) {
    self.count = count
  }

  /// The smallest of those kept, once there are `count`.
  public var smallest: Float? { values.count == count ? values.first : nil }

  /// Takes up numbers whose indices are `rows`, in rising order; `highest` is the largest of them.
  public mutating func add(_ numbers: UnsafePointer<Float>, _ rows: Range<Int>, highest: Float) {
    if values.count == count, highest <= values[0] { return }
    for i in 0..<rows.count {
      if values.count < count {
        values.append(numbers[i])
        indices.append(Int32(rows.lowerBound + i))
        rise(values.count - 1)
      } else if numbers[i] > values[0] {
        values[0] = numbers[i]
        indices[0] = Int32(rows.lowerBound + i)
        sink()
      }
    }
  }

  /// From the largest number to the smallest.
  public var descending: [(index: Int32, value: Float)] {
    zip(indices, values).sorted { $0.1 != $1.1 ? $0.1 > $1.1 : $0.0 < $1.0 }
      .map { (index: $0.0, value: $0.1) }
  }

  /// Whether entry `a` leaves the heap before entry `b`.
  private func leaves(_ a: Int, before b: Int) -> Bool {
    values[a] != values[b] ? values[a] < values[b] : indices[a] > indices[b]
  }

  private mutating func rise(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard leaves(child, before: parent) else { return }
      values.swapAt(child, parent)
      indices.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func sink() {
    var parent = 0
    while true {
      var first = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < values.count {
        if leaves(child, before: first) { first = child }
      }
      if first == parent { return }
      values.swapAt(parent, first)
      indices.swapAt(parent, first)
      parent = first
    }
  }
}
