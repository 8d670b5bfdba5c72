/// Widens `count` numbers of `type` (float32, bfloat16 or float16) to float32.
public func widen(
  _ source: UnsafeRawPointer, _ type: ElementType, _ count: Int,
  to target: UnsafeMutablePointer<Float>
) {
  switch type {
  case .bfloat16:
    var i = 0
    while i + 8 <= count {
      let bits = (source + i * 2).loadUnaligned(as: SIMD8<UInt16>.self)
      let wide = SIMD8<UInt32>(truncatingIfNeeded: bits) &<< 16
      UnsafeMutableRawPointer(target + i).storeBytes(
        of: unsafeBitCast(wide, to: SIMD8<Float>.self), as: SIMD8<Float>.self)
      i += 8
    }
    while i < count {
      let bits = (source + i * 2).loadUnaligned(as: UInt16.self)
      target[i] = Float(bitPattern: UInt32(bits) << 16)
      i += 1
    }
  case .float16:
    for i in 0..<count {
      target[i] = widenHalf((source + i * 2).loadUnaligned(as: UInt16.self))
    }
  default:
    UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count * 4)
  }
}

/// Rounds `count` float32 numbers to `type` (float32, bfloat16 or float16), to nearest even.
public func narrow(
  _ source: UnsafePointer<Float>, _ count: Int, to type: ElementType,
  at target: UnsafeMutableRawPointer
) {
  switch type {
  case .bfloat16:
    for i in 0..<count {
      target.storeBytes(of: roundToBFloat16(source[i]), toByteOffset: i * 2, as: UInt16.self)
    }
  case .float16:
    for i in 0..<count {
      target.storeBytes(of: roundToHalf(source[i]), toByteOffset: i * 2, as: UInt16.self)
    }
  default:
    target.copyMemory(from: source, byteCount: count * 4)
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
