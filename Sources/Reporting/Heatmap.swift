/// Shares as a table of tinted cells: student layers down, teacher layers across.
struct Heatmap {
  /// [row, column], 0 to 1.
  var shares: [[Double]]
  var rows: [String]
  var columns: [String]
  var rowTitle: String
  var columnTitle: String
  var summary: String

  static let width = 340.0
  /// Where cells are narrower, their figures would run into each other.
  static let narrow = 26.0

  var svg: HTML {
    let left = 30.0, top = 38.0
    let cell = (Heatmap.width - left) / Double(max(1, columns.count))
    let tall = min(40, max(20, cell))
    let height = top + tall * Double(rows.count) + 2
    var marks: HTML = ""
    let named = Set(LineChart.strided(Array(columns.indices), to: 12))
    for (j, name) in columns.enumerated() where named.contains(j) {
      let x = px(left + cell * (Double(j) + 0.5))
      marks += "<text class=\"tick middle\" x=\"\(x)\" y=\"\(px(top - 7))\">\(name)</text>\n"
    }
    for (i, name) in rows.enumerated() {
      let y = top + tall * Double(i)
      marks += """
        <text class="tick end" x="\(px(left - 8))" y="\(px(y + tall / 2))" dy=".35em">\(name)</text>

        """
      for (j, share) in shares[i].enumerated() {
        let name = "student layer \(name), teacher layer \(columns[j])"
        marks += box(share, name, x: left + cell * Double(j), y: y, width: cell, height: tall)
      }
    }
    return """
      <svg viewBox="0 0 \(px(Heatmap.width)) \(px(height))" role="img"><title>\(summary)</title>
      <text class="axis" x="0" y="11">\(rowTitle) ↓</text>
      <text class="axis end" x="\(px(Heatmap.width))" y="11">\(columnTitle) →</text>
      \(marks)</svg>
      """
  }

  private func box(
    _ share: Double, _ name: String, x: Double, y: Double, width: Double, height: Double
  ) -> HTML {
    let gap = width < Heatmap.narrow ? 0.5 : 1
    let place: HTML = """
      x="\(px(x + gap))" y="\(px(y + gap))" width="\(px(width - 2 * gap))" \
      height="\(px(height - 2 * gap))"
      """
    if share <= 0 { return "<rect class=\"cell\" \(place)/>\n" }
    let figure = Format.fixed(100 * share, share < 0.005 ? 1 : 0)
    let heat: HTML = """
      <rect class="cell" \(place)/>\
      <rect class="heat" style="opacity:\(Format.fixed(share, 3))" \(place)>\
      <title>\(name): \(figure)%</title></rect>
      """
    guard width >= Heatmap.narrow else { return heat + "\n" }
    let style: HTML = share > 0.75 ? "value on middle" : "value middle"
    return """
      \(heat)<text class="\(style)" x="\(px(x + width / 2))" y="\(px(y + height / 2))" \
      dy=".35em">\(figure)</text>

      """
  }
}
