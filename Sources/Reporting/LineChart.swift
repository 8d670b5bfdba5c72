/// Curves in one field, labelled at their ends.
struct LineChart {
  /// Curves of one tone go from faint to full in their order: deeper layers are stronger.
  var curves: [Curve]
  var x: String
  var y: String
  /// What a screen reader says.
  var summary: String
  var fromZero = true
  /// Spreads small values, where they differ enough to need it.
  var isLogarithmic = false
  /// What the y axis covers besides the curves: equal for charts that are compared.
  var covering: [Double] = []
  /// Dotted level lines; one without a label is explained in the caption.
  var levels: [(label: String, value: Double, tone: Tone)] = []
  /// Ticks of the y axis, where they are not the axis' own.
  var rows: [Double]?
  /// Where the x axis ends, if not with the last point.
  var until: Double?
  /// The most points of a curve as long as the axis.
  var points = 80

  static let width = 400.0
  static let height = 250.0

  var svg: HTML {
    let xs = curves.flatMap { $0.points.map(\.x) } + [until].compactMap { $0 }
    var across = Axis(covering: xs + [0], ticks: 4)
    // The field ends where the curves do: a round end would leave it empty.
    across.high = max(until ?? xs.max() ?? 1, across.low + 1e-9)
    across.ticks.removeAll { $0 > across.high * 1.001 }
    let span = across.high - across.low
    let shown = curves.filter { !$0.points.isEmpty }.map { curve in
      let covered = (curve.points.last?.x ?? 0) - (curve.points.first?.x ?? 0)
      return curve.binned(max(8, Int(Double(points) * covered / span)))
    }
    let up = vertical(shown)
    let labels = LineChart.ends(shown, levels, at: { up.place($0, bottom, LineChart.top) })
    let right = LineChart.width - 12 - 6 * Double(labels.map(\.text.count).max() ?? 0)
    var marks = grid(across, up, right: right)
    let depth = LineChart.strengths(shown)
    for (curve, strength) in zip(shown, depth) {
      let path = curve.points.map {
        "\(px(across.place($0.x, left, right))),\(px(up.place($0.y, bottom, LineChart.top)))"
      }
      marks += """
        <polyline class="curve \(curve.tone.style)" \
        style="opacity:\(Format.fixed(strength, 2))" points="\(path.joined(separator: " "))"/>

        """
      guard path.count <= 12 else { continue }
      for point in curve.points {
        marks += """
          <circle class="dot \(curve.tone.style)" style="opacity:\(Format.fixed(strength, 2))" \
          cx="\(px(across.place(point.x, left, right)))" \
          cy="\(px(up.place(point.y, bottom, LineChart.top)))" r="3"/>

          """
      }
    }
    let places = LineChart.apart(
      labels.map(\.y), gap: 13, from: LineChart.top - 2, to: bottom - 2)
    for (label, place) in zip(labels, places) {
      marks += """
        <text class="label \(label.tone.style)" x="\(px(right + 6))" y="\(px(place))" \
        dy=".35em">\(label.text)</text>

        """
    }
    return """
      <svg viewBox="0 0 \(px(LineChart.width)) \(px(LineChart.height))" role="img">\
      <title>\(summary)</title>
      <text class="axis" x="0" y="11">\(y)\(note(up))</text>
      <text class="axis end" x="\(px(right))" y="\(px(LineChart.height - 4))">\(x)</text>
      \(marks)</svg>
      """
  }

  /// What a reader of the curves' heights must know.
  private func note(_ up: Axis) -> String {
    if up.isLogarithmic { return ", log scale" }
    return rows == nil && up.low > 0 ? ", axis from \(Format.short(up.low))" : ""
  }

  private static let top = 28.0
  private var left: Double { 40 }
  private var bottom: Double { LineChart.height - 38 }

  private func vertical(_ shown: [Curve]) -> Axis {
    let values = shown.flatMap { $0.points.map(\.y) } + levels.map(\.value) + covering
    if isLogarithmic, let axis = Axis(logarithmic: values) { return axis }
    var up = Axis(covering: values + (rows ?? []), ticks: 4, fromZero: fromZero)
    if let rows {
      up.ticks = LineChart.strided(rows, to: 8)
      let margin = 0.03 * ((rows.max() ?? 1) - (rows.min() ?? 0)) + 0.1
      up.low = (rows.min() ?? 0) - margin
      up.high = (rows.max() ?? 1) + margin
    }
    return up
  }

  private func grid(_ across: Axis, _ up: Axis, right: Double) -> HTML {
    var marks: HTML = ""
    for tick in up.ticks {
      let y = px(up.place(tick, bottom, LineChart.top))
      marks += """
        <line class="grid" x1="\(px(left))" x2="\(px(right))" y1="\(y)" y2="\(y)"/>\
        <text class="tick end" x="\(px(left - 6))" y="\(y)" dy=".35em">\(Format.short(tick))</text>

        """
    }
    for tick in across.ticks {
      marks += """
        <text class="tick middle" x="\(px(across.place(tick, left, right)))" \
        y="\(px(bottom + 16))">\(Format.short(tick))</text>

        """
    }
    for level in levels {
      let y = px(up.place(level.value, bottom, LineChart.top))
      marks += """
        <line class="level \(level.tone.style)" x1="\(px(left))" x2="\(px(right))" \
        y1="\(y)" y2="\(y)"/>

        """
    }
    return marks
  }

  /// How strongly each curve is drawn: 0.5 for the first of its tone, 1 for the last.
  static func strengths(_ curves: [Curve]) -> [Double] {
    var seen: [Tone: Int] = [:]
    return curves.map { curve in
      let count = curves.count { $0.tone == curve.tone }
      let number = seen[curve.tone, default: 0]
      seen[curve.tone] = number + 1
      return count < 2 ? 1 : 0.5 + 0.5 * Double(number) / Double(count - 1)
    }
  }

  /// What is written at the curves' ends, from top to bottom. Of many curves every so manieth is
  /// named, the first and the last among them.
  private static func ends(
    _ shown: [Curve], _ levels: [(label: String, value: Double, tone: Tone)],
    at place: (Double) -> Double
  ) -> [(text: String, y: Double, tone: Tone)] {
    let named = thinned(Array(shown.indices), to: 10)
    var labels = named.compactMap { number in
      shown[number].points.last.map { (shown[number].label, place($0.y), shown[number].tone) }
    }
    labels += levels.filter { !$0.label.isEmpty }.map { ($0.label, place($0.value), $0.tone) }
    return labels.sorted { $0.1 < $1.1 }
  }

  /// At most `count` of the items, evenly spread, the first and the last among them.
  static func thinned<Item>(_ items: [Item], to count: Int) -> [Item] {
    guard items.count > count, count > 1 else { return items }
    return (0..<count).map { items[$0 * (items.count - 1) / (count - 1)] }
  }

  /// Every so manieth of the items from the first on, at most `count`: ticks of a scale.
  static func strided<Item>(_ items: [Item], to count: Int) -> [Item] {
    let step = max(1, (items.count + count - 1) / count)
    return stride(from: 0, to: items.count, by: step).map { items[$0] }
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
