/// Normal-looking numbers from a fixed seed.
struct Draw {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next() -> Float {
    var total: Float = 0
    for _ in 0..<6 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      total += Float(state >> 40) / Float(1 << 24)
    }
    return (total - 3) * 1.4
  }

  mutating func numbers(_ count: Int) -> [Float] { (0..<count).map { _ in next() } }
}

/// The largest difference, relative to the largest number expected.
func relativeError(_ found: [Float], _ expected: [Double]) -> Double {
  let scale = max(1e-30, expected.map(abs).max() ?? 0)
  return zip(found, expected).map { abs(Double($0) - $1) / scale }.max() ?? 0
}
