/// Curves in one field, labelled at their ends.
struct LineChart {
  var curves: [Curve]
  var x: String
  var y: String
  /// What a screen reader says.
  var summary: String
  var fromZero = true
  /// Dotted level lines with their label, such as a maximum.
  var levels: [(label: String, value: Double)] = []
  /// Ticks of the y axis, where they are not the axis' own.
  var rows: [Double]?
  var points = 100

  static let width = 460.0
  static let height = 270.0

  var svg: HTML {
    let shown = curves.map { $0.binned(points) }.filter { !$0.points.isEmpty }
    let xs = curves.flatMap { $0.points.map(\.x) }
    var across = Axis(covering: xs + [0], ticks: 4, fromZero: true)
    // The field ends where the curves do: a round end would leave it empty.
    across.high = max(xs.max() ?? 1, 1)
    across.ticks.removeAll { $0 > across.high * 1.001 }
    var up = Axis(
      covering: shown.flatMap { $0.points.map(\.y) } + levels.map(\.value) + (rows ?? []),
      ticks: 4, fromZero: fromZero)
    if let rows {
      up.ticks = rows
      up.low = (rows.min() ?? 0) - 0.3
      up.high = (rows.max() ?? 1) + 0.3
    }
    let longest = (shown.map(\.label) + levels.map(\.label)).map(\.count).max() ?? 0
    let left = 44.0, top = 26.0, bottom = LineChart.height - 40
    let right = LineChart.width - 14 - 6.3 * Double(longest)
    func at(_ point: (x: Double, y: Double)) -> String {
      "\(px(across.place(point.x, left, right))),\(px(up.place(point.y, bottom, top)))"
    }
    var marks: HTML = ""
    for tick in up.ticks {
      let y = px(up.place(tick, bottom, top))
      marks += """
        <line class="grid" x1="\(px(left))" x2="\(px(right))" y1="\(y)" y2="\(y)"/>\
        <text class="tick end" x="\(px(left - 6))" y="\(y)" dy=".35em">\(Format.short(tick))</text>

        """
    }
    for tick in across.ticks {
      let x = px(across.place(tick, left, right))
      marks += """
        <text class="tick middle" x="\(x)" y="\(px(bottom + 16))">\(Format.short(tick))</text>

        """
    }
    for level in levels {
      let y = px(up.place(level.value, bottom, top))
      marks += """
        <line class="level" x1="\(px(left))" x2="\(px(right))" y1="\(y)" y2="\(y)"/>

        """
    }
    for (number, curve) in shown.enumerated() {
      let path = curve.points.map(at).joined(separator: " ")
      marks += """
        <polyline class="curve" style="opacity:\(LineChart.opacity(number, shown.count))" \
        points="\(path)"/>

        """
    }
    marks += labels(shown, right: right, up: up, top: top, bottom: bottom)
    return """
      <svg viewBox="0 0 \(px(LineChart.width)) \(px(LineChart.height))" role="img" \
      aria-label="\(summary)">
      <text class="axis" x="0" y="12">\(y)</text>
      <text class="axis end" x="\(px(right))" y="\(px(LineChart.height - 6))">\(x)</text>
      \(marks)</svg>
      """
  }

  /// Deeper layers are stronger: the last curve is full, the first faint.
  static func opacity(_ number: Int, _ count: Int) -> String {
    Format.fixed(count < 2 ? 1 : 0.35 + 0.65 * Double(number) / Double(count - 1), 2)
  }

  /// The labels at the curves' ends, moved apart where they would lie on each other.
  private func labels(
    _ shown: [Curve], right: Double, up: Axis, top: Double, bottom: Double
  ) -> HTML {
    var wanted: [(text: String, y: Double)] = shown.compactMap { curve in
      curve.points.last.map { (curve.label, up.place($0.y, bottom, top)) }
    }
    wanted += levels.map { ($0.label, up.place($0.value, bottom, top)) }
    wanted.sort { $0.y < $1.y }
    let places = LineChart.apart(wanted.map(\.y), gap: 13, from: top - 4, to: bottom - 2)
    return zip(wanted, places).reduce(into: "") { marks, pair in
      marks += """
        <text class="label" x="\(px(right + 6))" y="\(px(pair.1))" dy=".35em">\(pair.0.text)</text>

        """
    }
  }

  /// Places near the wanted ones (ascending), at least `gap` apart where there is room.
  static func apart(_ wanted: [Double], gap: Double, from low: Double, to high: Double) -> [Double]
  {
    guard wanted.count > 1 else { return wanted.map { min(max($0, low), high) } }
    let gap = min(gap, (high - low) / Double(wanted.count - 1))
    var places: [Double] = []
    for place in wanted { places.append(max(place, low, (places.last ?? -.infinity) + gap)) }
    var limit = high
    for i in places.indices.reversed() {
      places[i] = min(places[i], limit)
      limit = places[i] - gap
    }
    return places
  }
}
