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

  var svg: HTML {
    let left = 34.0, top = 38.0
    let cell = (Heatmap.width - left) / Double(max(1, columns.count))
    let tall = min(40, max(18, cell))
    let height = top + tall * Double(rows.count) + 4
    var marks: HTML = ""
    for (j, name) in columns.enumerated() {
      let x = px(left + cell * (Double(j) + 0.5))
      marks += "<text class=\"tick middle\" x=\"\(x)\" y=\"\(px(top - 7))\">\(name)</text>\n"
    }
    for (i, name) in rows.enumerated() {
      let y = top + tall * Double(i)
      marks += """
        <text class="tick end" x="\(px(left - 8))" y="\(px(y + tall / 2))" dy=".35em">\(name)</text>

        """
      for (j, share) in shares[i].enumerated() {
        marks += box(share, x: left + cell * Double(j), y: y, width: cell, height: tall)
      }
    }
    return """
      <svg viewBox="0 0 \(px(Heatmap.width)) \(px(height))" role="img" aria-label="\(summary)">
      <text class="axis" x="0" y="12">\(rowTitle) ↓</text>
      <text class="axis end" x="\(px(Heatmap.width))" y="12">\(columnTitle) →</text>
      \(marks)</svg>
      """
  }

  private func box(
    _ share: Double, x: Double, y: Double, width: Double, height: Double
  ) -> HTML {
    let inner: HTML = """
      <rect class="cell" x="\(px(x + 1))" y="\(px(y + 1))" width="\(px(width - 2))" \
      height="\(px(height - 2))" rx="2"/>\
      <rect class="heat" style="opacity:\(Format.fixed(share, 3))" x="\(px(x + 1))" \
      y="\(px(y + 1))" width="\(px(width - 2))" height="\(px(height - 2))" rx="2"/>
      """
    // A figure in a narrow cell would run into the next one.
    guard width >= 30, share > 0 else { return inner + "\n" }
    let style: HTML = share > 0.55 ? "value on middle" : "value middle"
    let text = Format.fixed(100 * share, 0)
    return """
      \(inner)<text class="\(style)" x="\(px(x + width / 2))" y="\(px(y + height / 2))" \
      dy=".35em">\(text)</text>

      """
  }
}
