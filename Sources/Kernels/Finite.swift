/// The place of the first number that is infinite or no number; nil where all are sound.
public func firstNonFinite(_ x: UnsafePointer<Float>, _ count: Int) -> Int? {
  firstNonFinite(UnsafeRawPointer(x), .float32, count)
}

/// As the other form, over numbers of `type` as they lie in a file; integers are always sound.
public func firstNonFinite(_ x: UnsafeRawPointer, _ type: ElementType, _ count: Int) -> Int? {
  // Infinity and NaN alone have every bit of the exponent set.
  switch type {
  case .float32: firstMasked(x, count, UInt32(0x7f80_0000))
  case .bfloat16: firstMasked(x, count, UInt16(0x7f80))
  case .float16: firstMasked(x, count, UInt16(0x7c00))
  default: nil
  }
}

/// The first of `count` words in which all bits of `mask` are set: adding its lowest bit then carries
/// into the sign's place.
@inline(__always)
private func firstMasked<Word: FixedWidthInteger & SIMDScalar>(
  _ x: UnsafeRawPointer, _ count: Int, _ mask: Word
) -> Int? where Word.SIMD16Storage.Scalar == Word {
  let size = MemoryLayout<Word>.size, stretch = 1024
  let wide = SIMD16<Word>(repeating: mask), one = SIMD16<Word>(repeating: mask & (~mask &+ 1))
  var start = 0
  while start < count {
    let end = min(start + stretch, count)
    var carried = SIMD16<Word>(repeating: 0)
    var i = start
    while i + 16 <= end {
      let words = (x + i * size).loadUnaligned(as: SIMD16<Word>.self)
      carried |= (words & wide) &+ one
      i += 16
    }
    var isSound = true
    for lane in 0..<16 where carried[lane] > Word.max >> 1 { isSound = false }
    // What is left of it, or all to find the place.
    for place in isSound ? i..<end : start..<end
    where (x + place * size).loadUnaligned(as: Word.self) & mask == mask { return place }
    start = end
  }
  return nil
}
