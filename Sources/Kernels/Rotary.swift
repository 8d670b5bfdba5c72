/// Rotary position embedding in the half-split form of transformers' `rotate_half`: for every head
/// of a row, y = x · cos + rotate_half(x) · sin, where cos and sin [rows, headSize / 2] repeat for
/// both halves. `direction` 1 rotates, -1 rotates back, which is the gradient.
public func rotary(
  _ x: UnsafePointer<Float>, rows: Int, heads: Int, headSize: Int,
  cosine: UnsafePointer<Float>, sine: UnsafePointer<Float>, direction: Float,
  adding: Bool, into y: UnsafeMutablePointer<Float>
) {
  let half = headSize / 2
  let columns = heads * headSize
  parallelFor(rows, grain: max(1, (1 << 14) / columns)) { range in
    for r in range {
      let c = cosine + r * half, s = sine + r * half
      for head in 0..<heads {
        let source = x + r * columns + head * headSize
        let target = y + r * columns + head * headSize
        if adding {
          for j in 0..<half {
            let a = source[j], b = source[j + half]
            target[j] += a * c[j] - b * s[j] * direction
            target[j + half] += b * c[j] + a * s[j] * direction
          }
        } else {
          for j in 0..<half {
            let a = source[j], b = source[j + half]
            target[j] = a * c[j] - b * s[j] * direction
            target[j + half] = b * c[j] + a * s[j] * direction
          }
        }
      }
    }
  }
}
