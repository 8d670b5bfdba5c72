/// A Jinja template cut into what it writes and what it decides, as transformers renders it
/// (`trim_blocks`, `lstrip_blocks`), in one spelling: quotes, spaces, `a.b` for `a['b']` and texts
/// written as expressions make no difference. Nothing is evaluated.
enum JinjaPieces: Equatable {
  case text(String)
  case output(String)
  case statement(String)

  /// nil where a tag does not end.
  static func parse(_ template: String) -> [JinjaPieces]? {
    var scalars = Array(template.unicodeScalars)
    if scalars.last == "\n" { scalars.removeLast() }
    var pieces: [JinjaPieces] = []
    var text = String.UnicodeScalarView()
    func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }
    var index = 0
    while index < scalars.count {
      guard scalars[index] == "{", index + 1 < scalars.count,
        "{%#".unicodeScalars.contains(scalars[index + 1])
      else {
        text.append(scalars[index])
        index += 1
        continue
      }
      let kind = scalars[index + 1]
      guard let end = close(of: kind, in: scalars, from: index + 2) else { return nil }
      var inner = scalars[index + 2..<end]
      let trims = inner.first == "-"
      if trims || inner.first == "+" { inner = inner.dropFirst() }
      let trimsAfter = inner.last == "-"
      if trimsAfter || inner.last == "+" { inner = inner.dropLast() }
      if trims {
        while let last = text.last, isBlank(last) { text.removeLast() }
      } else if kind != "{" {
        let blanks = text.reversed().prefix { $0 == " " || $0 == "\t" }.count
        if text.count == blanks
          ? pieces.isEmpty : text[text.index(text.endIndex, offsetBy: -blanks - 1)] == "\n"
        {
          text.removeLast(blanks)
        }
      }
      index = end + 2
      if trimsAfter {
        while index < scalars.count, isBlank(scalars[index]) { index += 1 }
      } else if kind != "{", index < scalars.count, scalars[index] == "\n" {
        index += 1
      }
      if kind == "#" { continue }
      guard let tokens = tokens(inner) else { return nil }
      if kind == "{" {
        for part in tokens.split(separator: .mark("+"), omittingEmptySubsequences: false) {
          if part.count == 1, case .string(let literal)? = part.first {
            text.append(contentsOf: literal.unicodeScalars)
          } else {
            flush(&text, &pieces)
            pieces.append(.output(spelled(part)))
          }
        }
      } else {
        flush(&text, &pieces)
        pieces.append(.statement(condition(spelled(tokens[...]))))
      }
    }
    flush(&text, &pieces)
    return withoutNumbers(pieces)
  }

  private static func flush(
    _ text: inout String.UnicodeScalarView, _ pieces: inout [JinjaPieces]
  ) {
    if !text.isEmpty { pieces.append(.text(String(text))) }
    text = .init()
  }

  /// Where the tag's end begins, texts within it left out.
  private static func close(
    of kind: Unicode.Scalar, in scalars: [Unicode.Scalar], from start: Int
  ) -> Int? {
    let first: Unicode.Scalar = kind == "{" ? "}" : kind
    var quote: Unicode.Scalar?
    var index = start
    while index + 1 < scalars.count {
      let scalar = scalars[index]
      if let open = quote {
        if scalar == "\\" { index += 1 } else if scalar == open { quote = nil }
      } else if kind != "#", scalar == "'" || scalar == "\"" {
        quote = scalar
      } else if scalar == first, scalars[index + 1] == "}" {
        return index
      }
      index += 1
    }
    return nil
  }

  private enum Token: Equatable {
    case word(String)
    case string(String)
    case mark(String)
  }

  private static func tokens(_ scalars: ArraySlice<Unicode.Scalar>) -> [Token]? {
    func isWord(_ scalar: Unicode.Scalar) -> Bool {
      scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
    }
    var tokens: [Token] = []
    var rest = scalars
    while let scalar = rest.first {
      if scalar.properties.isWhitespace {
        rest = rest.dropFirst()
      } else if isWord(scalar) {
        let word = rest.prefix(while: isWord)
        tokens.append(.word(text(word)))
        rest = rest.dropFirst(word.count)
      } else if scalar == "'" || scalar == "\"" {
        var literal = String.UnicodeScalarView()
        rest = rest.dropFirst()
        while let next = rest.first, next != scalar {
          rest = rest.dropFirst()
          guard next == "\\", let escaped = rest.first else {
            literal.append(next)
            continue
          }
          rest = rest.dropFirst()
          switch escaped {
          case "n": literal.append("\n")
          case "t": literal.append("\t")
          case "\\", "'", "\"": literal.append(escaped)
          default: return nil
          }
        }
        rest = rest.dropFirst()
        tokens.append(.string(String(literal)))
      } else if scalar == "=" || scalar == "!", rest.dropFirst().first == "=" {
        tokens.append(.mark(text(rest.prefix(2))))
        rest = rest.dropFirst(2)
      } else {
        tokens.append(.mark(String(scalar)))
        rest = rest.dropFirst()
      }
    }
    return tokens
  }

  private static func text(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  private static func spelled(_ tokens: ArraySlice<Token>) -> String {
    var out = ""
    var rest = tokens
    while let token = rest.popFirst() {
      switch token {
      case .mark("."):
        guard case .word(let name)? = rest.popFirst() else { return out + "." }
        out += "['\(name)']"
      case .mark(let mark) where "[]()".contains(mark): out += mark
      case .mark(let mark): out += " \(mark) "
      case .string(let literal):
        out += (out.last.map { "[(".contains($0) || $0 == " " } ?? true ? "" : " ") + "'\(literal)'"
      case .word(let word):
        out += (out.last.map { "[(".contains($0) || $0 == " " } ?? true ? "" : " ") + word
      }
    }
    return out
  }

  /// How a part of a turn is told to be a picture, a film or words: any of the usual ways.
  private static func condition(_ statement: String) -> String {
    for kind in ["image", "video", "text"] {
      let ways = [
        "content['type'] == '\(kind)'", "'\(kind)' in content", "'\(kind)_url' in content",
      ]
      for word in ["if ", "elif "] where statement.hasPrefix(word) {
        let parts = statement.dropFirst(word.count).split(separator: " or ").map(String.init)
        if !parts.isEmpty, parts.allSatisfy({ ways.contains($0) }) { return "\(word)\(kind)" }
      }
    }
    return statement
  }

  /// Without what counts pictures, for "Picture 1:" where `add_vision_id` asks for it.
  private static func withoutNumbers(_ pieces: [JinjaPieces]) -> [JinjaPieces] {
    var kept: [JinjaPieces] = []
    var skips = false
    for piece in pieces {
      if case .statement(let statement) = piece {
        if skips {
          if statement == "endif" { skips = false }
          continue
        }
        if statement == "if add_vision_id" {
          skips = true
          continue
        }
        if statement.hasPrefix("set image_count") || statement.hasPrefix("set video_count") {
          continue
        }
      }
      if skips { continue }
      if case .text(let more) = piece, case .text(let before)? = kept.last {
        kept[kept.count - 1] = .text(before + more)
      } else {
        kept.append(piece)
      }
    }
    return kept
  }
}
