/// From here on numbers are converted on all threads.
private let conversionGrain = 1 << 17

/// Widens `count` numbers of `type` (float32, bfloat16 or float16) to float32.
public func widen(
  _ source: UnsafeRawPointer, _ type: ElementType, _ count: Int,
  to target: UnsafeMutablePointer<Float>
) {
  parallelFor(count, grain: conversionGrain) { range in
    let source = source + range.lowerBound * type.size, target = target + range.lowerBound
    switch type {
    case .bfloat16: widenBFloat16(source, range.count, to: target)
    case .float16:
      for i in 0..<range.count {
        target[i] = widenHalf((source + i * 2).loadUnaligned(as: UInt16.self))
      }
    default:
      UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: range.count * 4)
    }
  }
}

private func widenBFloat16(
  _ source: UnsafeRawPointer, _ count: Int, to target: UnsafeMutablePointer<Float>
) {
  eights(0..<count) { i in
    let bits = (source + i * 2).loadUnaligned(as: SIMD8<UInt16>.self)
    let wide = SIMD8<UInt32>(truncatingIfNeeded: bits) &<< 16
    store(unsafeBitCast(wide, to: Lanes.self), target + i)
  } _: { rest in
    for i in rest {
      let bits = (source + i * 2).loadUnaligned(as: UInt16.self)
      target[i] = Float(bitPattern: UInt32(bits) << 16)
    }
  }
}

/// Rounds `count` float32 numbers to `type` (float32, bfloat16 or float16), to nearest even.
public func narrow(
  _ source: UnsafePointer<Float>, _ count: Int, to type: ElementType,
  at target: UnsafeMutableRawPointer
) {
  parallelFor(count, grain: conversionGrain) { range in
    let source = source + range.lowerBound, target = target + range.lowerBound * type.size
    switch type {
    case .bfloat16: roundApart(source, range.count, high: target, low: nil)
    case .float16:
      for i in 0..<range.count {
        target.storeBytes(of: roundToHalf(source[i]), toByteOffset: i * 2, as: UInt16.self)
      }
    default:
      target.copyMemory(from: source, byteCount: range.count * 4)
    }
  }
}

/// Eight numbers rounded to bfloat16, as float32; as `roundToBFloat16` does.
@inline(__always)
private func rounded(_ x: Lanes) -> Lanes {
  let bits = unsafeBitCast(x, to: SIMD8<UInt32>.self)
  let nearest = (bits &+ 0x7fff &+ ((bits &>> 16) & 1)) & 0xffff_0000
  return unsafeBitCast(nearest, to: Lanes.self).replacing(with: x, where: x .!= x)
}

/// The upper halves of eight numbers.
@inline(__always)
private func storeUpper(_ x: Lanes, _ target: UnsafeMutableRawPointer) {
  target.storeBytes(
    of: SIMD8<UInt16>(truncatingIfNeeded: unsafeBitCast(x, to: SIMD8<UInt32>.self) &>> 16),
    as: SIMD8<UInt16>.self)
}

/// Rounds `count` numbers to bfloat16 at `high` and, where asked for, what that leaves of them at
/// `low`, bfloat16 too.
func roundApart(
  _ source: UnsafePointer<Float>, _ count: Int, high: UnsafeMutableRawPointer,
  low: UnsafeMutableRawPointer?
) {
  eights(0..<count) { i in
    let x = load(source + i), nearest = rounded(x)
    storeUpper(nearest, high + 2 * i)
    if let low { storeUpper(rounded(x - nearest), low + 2 * i) }
  } _: { rest in
    for i in rest {
      let bits = roundToBFloat16(source[i])
      high.storeBytes(of: bits, toByteOffset: 2 * i, as: UInt16.self)
      low?.storeBytes(
        of: roundToBFloat16(source[i] - Float(bitPattern: UInt32(bits) << 16)),
        toByteOffset: 2 * i, as: UInt16.self)
    }
  }
}

/// The same with results in float32; `high` may be the source.
func roundInPlace(
  _ source: UnsafePointer<Float>, _ count: Int, high: UnsafeMutablePointer<Float>,
  low: UnsafeMutablePointer<Float>?
) {
  func nearest(_ value: Float) -> Float {
    Float(bitPattern: UInt32(roundToBFloat16(value)) << 16)
  }
  eights(0..<count) { i in
    let x = load(source + i), near = rounded(x)
    store(near, high + i)
    if let low { store(rounded(x - near), low + i) }
  } _: { rest in
    for i in rest {
      let x = source[i]
      high[i] = nearest(x)
      low?[i] = nearest(x - high[i])
    }
  }
}

/// The bits of the bfloat16 nearest to `value`; ties to even, NaN stays NaN.
@inline(__always)
public func roundToBFloat16(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  if bits & 0x7fff_ffff > 0x7f80_0000 { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
  return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ ((bits >> 16) & 1)) >> 16)
}

/// IEEE binary16 bits to float32.
@inline(__always)
public func widenHalf(_ bits: UInt16) -> Float {
  let sign = UInt32(bits & 0x8000) << 16
  let exponent = UInt32(bits >> 10) & 0x1f
  let fraction = UInt32(bits & 0x3ff)
  if exponent == 0x1f { return Float(bitPattern: sign | 0x7f80_0000 | fraction << 13) }
  if exponent == 0 {
    let magnitude = Float(fraction) * 0x1p-24
    return sign == 0 ? magnitude : -magnitude
  }
  return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
}

/// The bits of the IEEE binary16 nearest to `value`; ties to even, overflow to infinity.
@inline(__always)
public func roundToHalf(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
  let magnitude = bits & 0x7fff_ffff
  if magnitude > 0x7f80_0000 { return sign | 0x7e00 }
  if magnitude >= 0x477f_f000 { return sign | 0x7c00 }
  if magnitude < 0x3880_0000 {
    // Subnormal: adding 0.5 puts the rounded multiple of 2^-24 into the low bits.
    let shifted = Float(bitPattern: magnitude) + 0.5
    return sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- 0x3f00_0000)
  }
  let rounded = magnitude &+ 0xfff &+ ((magnitude >> 13) & 1)
  return sign | UInt16(truncatingIfNeeded: (rounded &- 0x3800_0000) >> 13)
}
