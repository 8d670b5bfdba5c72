/// Scores as dots with their sampling error, one row each, labelled beside the dot.
struct DotPlot {
  struct Row {
    var label: String
    /// In percent.
    var value: Double
    /// Half the length of the bar: twice the sampling error.
    var error: Double
    var isOwn: Bool
  }

  var rows: [Row]
  /// A level to measure against, with its name.
  var level: (label: String, value: Double)?
  var x: String
  var summary: String

  static let width = 330.0

  var svg: HTML {
    let tall = 34.0, top = 8.0, left = 8.0, right = DotPlot.width - 8
    let bottom = top + tall * Double(rows.count)
    let across = Axis(covering: [0, 100], ticks: 5, fromZero: true)
    func place(_ value: Double) -> Double {
      across.place(min(100, max(0, value)), left, right)
    }
    var marks: HTML = ""
    for tick in across.ticks {
      let x = px(place(tick))
      let anchor: HTML = tick == 0 ? "start" : tick == 100 ? "end" : "middle"
      marks += """
        <line class="grid" x1="\(x)" x2="\(x)" y1="\(px(top))" y2="\(px(bottom))"/>\
        <text class="tick \(anchor)" x="\(x)" y="\(px(bottom + 16))">\(Format.short(tick))</text>

        """
    }
    if let level {
      let x = px(place(level.value))
      marks += """
        <line class="level" x1="\(x)" x2="\(x)" y1="\(px(top))" y2="\(px(bottom))"/>

        """
    }
    for (number, row) in rows.enumerated() {
      let y = top + tall * (Double(number) + 0.68)
      let style: HTML = row.isOwn ? "own" : "other"
      marks += """
        <line class="error \(style)" x1="\(px(place(row.value - row.error)))" \
        x2="\(px(place(row.value + row.error)))" y1="\(px(y))" y2="\(px(y))"/>\
        <circle class="dot \(style)" cx="\(px(place(row.value)))" cy="\(px(y))" r="4.5"/>\
        <text class="label \(style)" x="\(px(left))" y="\(px(y - 11))">\(row.label)</text>\
        <text class="label end \(style)" x="\(px(right))" y="\(px(y - 11))">\
        \(Format.fixed(row.value, 1))</text>

        """
    }
    let height = bottom + 40
    return """
      <svg viewBox="0 0 \(px(DotPlot.width)) \(px(height))" role="img" aria-label="\(summary)">
      \(marks)<text class="axis end" x="\(px(right))" y="\(px(height - 4))">\(x)</text></svg>
      """
  }
}
