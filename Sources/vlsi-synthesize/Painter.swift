import Foundation

/// Paints scenes: 64 × 64 pixels of 8-bit RGB, a cell 16 × 16, which is one merged visual token of
/// a patch size of 8.
struct Painter: Sendable {
  static let cell = 16
  static let side = Scene.side * cell

  let scans: Scans

  /// The pixels of `scene` [side, side, 3], with jitter, shades and noise from `generator`.
  /// Digits of training scenes are also turned, scaled and shifted a little (`varied`).
  func paint(_ scene: Scene, varied: Bool, _ generator: inout Generator) -> [UInt8] {
    var canvas = Canvas(&generator)
    var barJitter = [(Double, Double)]()
    for _ in 0..<Scene.side {
      barJitter.append((generator.between(-1, 1), generator.between(1, 3)))
    }
    for (cell, content) in scene.occupied {
      let x = Double(cell % Scene.side * Painter.cell)
      let y = Double(cell / Scene.side * Painter.cell)
      switch content {
      case .object(let shape, let colour):
        paintObject(shape, colour, x, y, on: &canvas, &generator)
      case .digit(_, let scan):
        paintDigit(scan, x, y, varied: varied, on: &canvas, &generator)
      case .sign(let sign):
        let (cx, cy) = (x + 8 + generator.between(-1, 1), y + 8 + generator.between(-1, 1))
        let shade = canvas.shade(Colour.white.rgb, &generator)
        canvas.fill(cx - 8...cx + 8, cy - 8...cy + 8, shade) { px, py in
          let (u, v) = (abs(px - cx), abs(py - cy))
          return (v <= 1 && u <= 5) || (sign == .plus && u <= 1 && v <= 5)
        }
      case .bar(let colour):
        // One shade and one edge for all cells of a bar.
        let column = cell % Scene.side
        let (shift, drop) = barJitter[column]
        let isTop =
          cell < Scene.side || scene.cells[cell - Scene.side] != content
        let top = y + (isTop ? drop : 0)
        canvas.fill(
          x + 2.5 + shift...x + 13.5 + shift, top...y + 16, colour.rgb.map { Double($0) }
        ) { _, _ in true }
      }
    }
    return canvas.bytes(&generator)
  }

  private func paintObject(
    _ shape: Shape, _ colour: Colour, _ x: Double, _ y: Double, on canvas: inout Canvas,
    _ generator: inout Generator
  ) {
    let cx = x + 8 + generator.between(-1.2, 1.2)
    let cy = y + 8 + generator.between(-1.2, 1.2)
    let radius = generator.between(5.6, 6.8)
    let shade = canvas.shade(colour.rgb, &generator)
    canvas.fill(cx - radius...cx + radius, cy - radius...cy + radius, shade) { px, py in
      shape.covers((px - cx) / radius, (py - cy) / radius)
    }
  }

  private func paintDigit(
    _ scan: Int, _ x: Double, _ y: Double, varied: Bool, on canvas: inout Canvas,
    _ generator: inout Generator
  ) {
    let angle = varied ? generator.between(-0.15, 0.15) : 0
    let scale = varied ? generator.between(0.92, 1.1) : 1
    let dx = varied ? generator.between(-1.2, 1.2) : 0
    let dy = varied ? generator.between(-1.2, 1.2) : 0
    let (cosine, sine) = (cos(angle) / scale, sin(angle) / scale)
    let ink = canvas.shade(Colour.white.rgb, &generator)
    for py in 0..<Painter.cell {
      for px in 0..<Painter.cell {
        let (u, v) = (Double(px) - 7.5 - dx, Double(py) - 7.5 - dy)
        // Two pixels of the picture to one of the scan.
        let sx = (cosine * u + sine * v) / 2 + 3.5
        let sy = (cosine * v - sine * u) / 2 + 3.5
        let cover = sample(scans.pixels[scan], sx, sy) / 16
        canvas.blend(Int(x) + px, Int(y) + py, ink, cover)
      }
    }
  }

  /// Bilinear interpolation of a scan; paper outside.
  private func sample(_ scan: [UInt8], _ x: Double, _ y: Double) -> Double {
    let (x0, y0) = (x.rounded(.down), y.rounded(.down))
    let (fx, fy) = (x - x0, y - y0)
    func at(_ column: Double, _ row: Double) -> Double {
      guard (0..<8).contains(column), (0..<8).contains(row) else { return 0 }
      return Double(scan[Int(row) * Scans.side + Int(column)])
    }
    let top = at(x0, y0) * (1 - fx) + at(x0 + 1, y0) * fx
    let bottom = at(x0, y0 + 1) * (1 - fx) + at(x0 + 1, y0 + 1) * fx
    return top * (1 - fy) + bottom * fy
  }
}

extension Colour {
  /// Its mean shade, 0 to 255.
  var rgb: [Int] {
    switch self {
    case .red: [220, 40, 40]
    case .green: [40, 180, 60]
    case .blue: [40, 70, 230]
    case .yellow: [235, 215, 45]
    case .purple: [160, 45, 190]
    case .white: [240, 240, 240]
    }
  }
}

extension Shape {
  /// Whether the shape of radius 1 around the origin covers the point; y points down.
  func covers(_ x: Double, _ y: Double) -> Bool {
    switch self {
    case .circle: return x * x + y * y <= 1
    case .square: return max(abs(x), abs(y)) <= 0.84
    case .triangle: return y >= -0.95 && y <= 0.85 && abs(x) <= (y + 0.95) / 1.8
    case .cross: return max(abs(x), abs(y)) <= 0.95 && min(abs(x - y), abs(x + y)) <= 0.42
    case .star:
      // Five tips of radius 1, five notches of radius 0.42, straight edges between them.
      let tenth = Double.pi / 5
      var angle = atan2(x, -y)
      if angle < 0 { angle += 2 * Double.pi }
      angle = angle.truncatingRemainder(dividingBy: 2 * tenth)
      angle = min(angle, 2 * tenth - angle)
      let notch = 0.42
      let edge = sin(tenth) * notch
      let length = edge / (sin(angle) * (1 - notch * cos(tenth)) + cos(angle) * edge)
      return (x * x + y * y).squareRoot() <= length
    }
  }
}

/// A picture while it is painted: values of 0 to 255 before rounding.
private struct Canvas {
  private var values: [Double]

  /// A grey or faintly coloured ground, lit from above and warmer to the right: a cell's light
  /// tells its place, as in a photograph.
  init(_ generator: inout Generator) {
    let base = generator.between(96, 104)
    let tint = generator.chance(0.5) ? (0..<3).map { _ in generator.between(-4, 4) } : [0, 0, 0]
    values = Array(repeating: 0, count: Painter.side * Painter.side * 3)
    for y in 0..<Painter.side {
      for x in 0..<Painter.side {
        let light = 36 - 72 * Double(y) / Double(Painter.side - 1)
        let warmth = -32 + 64 * Double(x) / Double(Painter.side - 1)
        let at = (y * Painter.side + x) * 3
        values[at] = base + tint[0] + light + warmth
        values[at + 1] = base + tint[1] + light
        values[at + 2] = base + tint[2] + light - warmth
      }
    }
  }

  /// `rgb` a little lighter, darker or shifted.
  func shade(_ rgb: [Int], _ generator: inout Generator) -> [Double] {
    rgb.map { Double($0) + generator.between(-14, 14) }
  }

  mutating func blend(_ x: Int, _ y: Int, _ colour: [Double], _ cover: Double) {
    guard cover > 0, (0..<Painter.side).contains(x), (0..<Painter.side).contains(y) else { return }
    let at = (y * Painter.side + x) * 3
    for channel in 0..<3 {
      values[at + channel] += (colour[channel] - values[at + channel]) * cover
    }
  }

  /// Fills the points that `covers` says, with nine samples a pixel.
  mutating func fill(
    _ columns: ClosedRange<Double>, _ rows: ClosedRange<Double>, _ colour: [Double],
    _ covers: (Double, Double) -> Bool
  ) {
    for y in Int(rows.lowerBound)...Int(rows.upperBound) {
      for x in Int(columns.lowerBound)...Int(columns.upperBound) {
        var hits = 0
        for sample in 0..<9 {
          let px = Double(x) + (Double(sample % 3) + 0.5) / 3
          let py = Double(y) + (Double(sample / 3) + 0.5) / 3
          if columns.contains(px), rows.contains(py), covers(px, py) { hits += 1 }
        }
        blend(x, y, colour, Double(hits) / 9)
      }
    }
  }

  /// The values with noise of ± 9, rounded.
  func bytes(_ generator: inout Generator) -> [UInt8] {
    values.map { value in
      UInt8(max(0, min(255, (value + generator.between(-9, 9)).rounded())))
    }
  }
}
