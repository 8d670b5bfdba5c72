/// Markup that cannot be broken by what it shows: a string put into it is escaped, `HTML` is not.
struct HTML: Sendable, Equatable, ExpressibleByStringInterpolation {
  var text: String

  /// Markup as it stands.
  init(stringLiteral text: String) { self.text = text }

  init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

  struct StringInterpolation: StringInterpolationProtocol {
    var text = ""

    init(literalCapacity: Int, interpolationCount: Int) {
      text.reserveCapacity(literalCapacity + 16 * interpolationCount)
    }

    mutating func appendLiteral(_ literal: String) { text += literal }
    mutating func appendInterpolation(_ markup: HTML) { text += markup.text }
    mutating func appendInterpolation(_ parts: [HTML]) { for part in parts { text += part.text } }
    mutating func appendInterpolation(_ number: Int) { text += String(number) }
    // Disfavoured, so that a literal within an interpolation is markup too, not a string.
    @_disfavoredOverload
    mutating func appendInterpolation(_ string: String) { text += HTML.escaped(string) }
  }

  /// Escapes what is markup in text and in attributes. Control characters that no page may hold
  /// become U+FFFD.
  static func escaped(_ string: String) -> String {
    var out = ""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "'": out += "&#39;"
      case "\n", "\t": out.unicodeScalars.append(scalar)
      case let control where control.value < 0x20 || control.value == 0x7F: out += "\u{FFFD}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  static func + (left: HTML, right: HTML) -> HTML { "\(left)\(right)" }
  static func += (left: inout HTML, right: HTML) { left.text += right.text }
}

extension HTML {
  /// A table that scrolls sideways where the screen is too narrow. The first column is text, the
  /// others are numbers; a cell or a head may bring its own element, to carry a class.
  static func table(
    _ head: [HTML], _ rows: [(cells: [HTML], isStrong: Bool)], caption: String? = nil,
    style: String = ""
  ) -> HTML {
    let header: [HTML] = head.map {
      $0.text.hasPrefix("<th") ? $0 : "<th scope=\"col\">\($0)</th>"
    }
    let body: [HTML] = rows.map { row in
      let cells: [HTML] = row.cells.enumerated().map { column, cell in
        if column == 0 { return "<th scope=\"row\">\(cell)</th>" }
        return cell.text.hasPrefix("<td") ? cell : "<td>\(cell)</td>"
      }
      let mark: HTML = row.isStrong ? " class=\"own\"" : ""
      return "<tr\(mark)>\(cells)</tr>\n"
    }
    let title: HTML = caption.map { "<caption>\($0)</caption>" } ?? ""
    return """
      <div class="wide"><table class="\(style)">\(title)<thead><tr>\(header)</tr></thead>
      <tbody>\(body)</tbody></table></div>

      """
  }

  /// What is there for whoever wants more: folded on a screen, open on paper.
  static func folded(_ summary: HTML, _ content: HTML) -> HTML {
    "<details class=\"more\"><summary>\(summary)</summary>\n\(content)</details>\n"
  }

  /// A chart or picture with the sentence that says what is seen in it.
  static func figure(_ content: HTML, _ caption: HTML) -> HTML {
    "<figure>\(content)<figcaption>\(caption)</figcaption></figure>\n"
  }
}
