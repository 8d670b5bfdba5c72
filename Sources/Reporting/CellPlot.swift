/// A drawing inside a table's cells, one a row, over an axis that the column's head carries.
struct CellPlot {
  let axis: Axis
  /// A level to measure against.
  var level: Double?
  /// What the drawing shows, for its head.
  var title: String

  static let width = 200.0
  static let height = 30.0
  private static let margin = 9.0

  /// - Parameter values: what the axis covers, in the unit of its ticks.
  init(covering values: [Double], level: Double? = nil, title: String) {
    axis = Axis(covering: values + [level].compactMap { $0 }, ticks: 4)
    self.level = level
    self.title = title
  }

  private func x(_ value: Double) -> String {
    let inside = min(axis.high, max(axis.low, value))
    return px(axis.place(inside, CellPlot.margin, CellPlot.width - CellPlot.margin))
  }

  /// The column's head: the axis with its numbers.
  var head: HTML {
    let numbers: [HTML] = axis.ticks.map { tick in
      "<text class=\"tick middle\" x=\"\(x(tick))\" y=\"27\">\(Format.short(tick))</text>"
    }
    return """
      <th scope="col" class="plot"><svg viewBox="0 0 200 30" role="img"><title>\(title)</title>\
      <text class="axis middle" x="100" y="11">\(title)</text>\(numbers)</svg></th>
      """
  }

  private func cell(_ marks: HTML, _ words: String) -> HTML {
    let lines: [HTML] = axis.ticks.map { tick in
      "<line class=\"grid\" x1=\"\(x(tick))\" x2=\"\(x(tick))\" y1=\"0\" y2=\"30\"/>"
    }
    let dotted: HTML =
      level.map { "<line class=\"level\" x1=\"\(x($0))\" x2=\"\(x($0))\" y1=\"0\" y2=\"30\"/>" }
      ?? ""
    return """
      <td class="plot"><svg viewBox="0 0 200 30" preserveAspectRatio="none" role="img">\
      <title>\(words)</title>\(lines)\(dotted)\(marks)</svg></td>
      """
  }

  /// No mark: what has no figure.
  var empty: HTML { cell("", title) }

  /// An estimate with its interval, below it one small dot for each of several seeds. `scale` turns shares
  /// into the axis' unit.
  func interval(_ estimate: Estimate, tone: Tone, scale: Double = 100) -> HTML {
    let seeds: [HTML] =
      estimate.values.count < 2
      ? []
      : estimate.values.map { value in
        "<circle class=\"seed \(tone.style)\" cx=\"\(x(scale * value))\" cy=\"24\" r=\"2\"/>"
      }
    let words =
      "\(Format.fixed(scale * estimate.mean, 1)), "
      + "interval ± \(Format.fixed(scale * estimate.reach, 1))"
    if let arrow = arrow(scale * estimate.mean, tone) { return cell(arrow, words) }
    let low = x(scale * (estimate.mean - estimate.reach))
    let high = x(scale * (estimate.mean + estimate.reach))
    return cell(
      """
      \(seeds)<line class="error \(tone.style)" x1="\(low)" x2="\(high)" y1="15" y2="15"/>\
      <circle class="dot \(tone.style)" cx="\(x(scale * estimate.mean))" cy="15" r="4.5"/>
      """, words)
  }

  /// Shows the way to a value that lies beyond the axis; nil for one within.
  private func arrow(_ value: Double, _ tone: Tone) -> HTML? {
    if (axis.low...axis.high).contains(value) { return nil }
    let tip = value < axis.low ? 1.0 : CellPlot.width - 1
    let back = value < axis.low ? 8.0 : CellPlot.width - 8
    return "<path class=\"dot \(tone.style)\" d=\"M\(px(tip)) 15 \(px(back)) 10.5V19.5Z\"/>"
  }

  /// Several models' values, the last one on top.
  func dots(_ values: [(name: String, value: Double, tone: Tone)]) -> HTML {
    let marks: [HTML] = values.map { _, value, tone in
      "<circle class=\"dot \(tone.style)\" cx=\"\(x(value))\" cy=\"15\" r=\"4.2\"/>"
    }
    let words = values.map { "\($0.name) \(Format.fixed($0.value, 1))" }.joined(separator: ", ")
    return cell("\(marks)", words)
  }
}
