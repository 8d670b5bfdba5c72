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

/// The first of `count` words in which all bits of `mask` are set.
@inline(__always)
private func firstMasked<Word: FixedWidthInteger & SIMDScalar>(
  _ x: UnsafeRawPointer, _ count: Int, _ mask: Word
) -> Int? where Word.SIMD16Storage.Scalar == Word {
  let size = MemoryLayout<Word>.size
  let wide = SIMD16<Word>(repeating: mask)
  var i = 0
  while i + 16 <= count {
    let words = (x + i * size).loadUnaligned(as: SIMD16<Word>.self)
    if any((words & wide) .== wide) { break }
    i += 16
  }
  while i < count {
    if (x + i * size).loadUnaligned(as: Word.self) & mask == mask { return i }
    i += 1
  }
  return nil
}
