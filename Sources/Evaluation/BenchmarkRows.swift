import Failures
import Foundation
import Imaging

/// Makes questions of a table's rows.
struct BenchmarkRows {
  let columns: [String: Int]
  let place: String
  /// A picture that several questions share stands with one; the others name its row.
  private var rowOfIndex: [ExactText: SeparatedTable.Row] = [:]
  private var numbers: [ExactText: Int] = [:]

  init(columns: [String: Int], place: String) {
    self.columns = columns
    self.place = place
  }

  /// Makes a row known by its index; of two with one index the first.
  mutating func note(_ row: SeparatedTable.Row, _ number: Int) {
    guard let index = value("index", row).map(ExactText.init), numbers[index] == nil else { return }
    numbers[index] = number
    rowOfIndex[index] = row
  }

  /// The row's index as a message shows it.
  func index(_ row: SeparatedTable.Row) -> String? { value("index", row).map { readable($0) } }

  private func value(_ column: String, _ row: SeparatedTable.Row) -> String? {
    guard let number = columns[column], case .success(let fields) = row.fields else { return nil }
    let text = fields[number].trimmingCharacters(in: .whitespacesAndNewlines)
    // Empty, or pandas' word for it.
    return text.isEmpty || text == "nan" ? nil : text
  }

  private func needed(_ column: String, _ row: SeparatedTable.Row) throws -> String {
    guard let text = value(column, row) else {
      throw Failure(.badData, "the \(column) is empty", at: "\(place):\(row.line)")
    }
    return text
  }

  func question(
    _ row: SeparatedTable.Row, _ number: Int
  ) -> Result<BenchmarkQuestion, Failure> {
    do {
      return .success(try read(row, number))
    } catch let failure as Failure {
      return .failure(failure)
    } catch {
      return .failure(Failure(.software, "\(error)", at: "\(place):\(row.line)"))
    }
  }

  private func read(_ row: SeparatedTable.Row, _ number: Int) throws -> BenchmarkQuestion {
    _ = try row.fields.get()
    let index = try needed("index", row)
    if numbers[ExactText(index)] != number {
      throw Failure(
        .badData, "the index \(readable(index, most: 40)) stands twice",
        at: "\(place):\(row.line)",
        found: "first at line \(rowOfIndex[ExactText(index)]?.line ?? 0)")
    }
    let letters = (UInt8(ascii: "A")...UInt8(ascii: "Z")).map { Character(UnicodeScalar($0)) }
    let options = letters.compactMap { letter in
      value(String(letter), row).map { (letter: letter, text: $0) }
    }
    var answers = try answers(try needed("answer", row), row)
    if !options.isEmpty {
      answers = answers.map { $0.uppercased() }
      guard answers.count == 1, options.contains(where: { String($0.letter) == answers[0] }) else {
        throw Failure(
          .badData,
          answers.count == 1
            ? "the answer is none of the options" : "several answers to a question with options",
          at: "\(place):\(row.line)",
          expected: options.map { String($0.letter) }.joined(separator: ", "),
          found: readable(answers.joined(separator: ", "), most: 40))
      }
    }
    return BenchmarkQuestion(
      index: index, pictures: try pictures(row), question: try needed("question", row),
      hint: value("hint", row), options: options, answer: answers.joined(separator: " | "),
      accepted: answers, category: value("category", row) ?? "all")
  }

  /// A list of texts is one of accepted answers; a list of numbers, such as a box, is an answer.
  private func answers(_ text: String, _ row: SeparatedTable.Row) throws -> [String] {
    guard let items = PythonList.quoted(text) else { return [text] }
    let answers = items.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
    guard !answers.isEmpty, !answers.contains("") else {
      throw Failure(
        .badData, "an accepted answer is empty", at: "\(place):\(row.line)",
        found: readable(text, most: 40))
    }
    return answers
  }

  // MARK: Pictures

  private func pictures(_ row: SeparatedTable.Row) throws -> [BenchmarkQuestion.Picture] {
    if let inline = value("image", row) {
      return try list(inline, row).flatMap { try inlinePictures($0, row) }
    }
    guard let path = value("image_path", row) else {
      let column = columns["image"] == nil ? "image_path" : "image"
      throw Failure(.badData, "the \(column) is empty", at: "\(place):\(row.line)")
    }
    return try list(path, row).map { .file($0) }
  }

  /// The bytes of a cell, or of the row that it leads to, over any number of rows.
  private func inlinePictures(
    _ item: String, _ row: SeparatedTable.Row
  ) throws -> [BenchmarkQuestion.Picture] {
    var item = item
    var seen: Set<ExactText> = []
    while item.utf8.count <= 64 {
      // pandas writes a column of numbers with gaps as 12.0.
      let whole = item.hasSuffix(".0") ? String(item.dropLast(2)) : item
      guard let index = [item, whole].map(ExactText.init).first(where: { rowOfIndex[$0] != nil }),
        let other = rowOfIndex[index]
      else {
        guard item.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { break }
        throw Failure(
          .badData, "the image is that of a row that is not there", at: "\(place):\(row.line)",
          found: "index \(readable(item, most: 40))")
      }
      guard seen.insert(index).inserted else {
        throw Failure(
          .badData, "rows name each other for their image", at: "\(place):\(row.line)",
          found: "index \(readable(item, most: 40)) again")
      }
      guard let inline = value("image", other) else {
        guard let path = value("image_path", other) else {
          throw Failure(
            .badData, "the image is that of a row that has none", at: "\(place):\(row.line)",
            found: "index \(readable(item, most: 40))")
        }
        return try list(path, other).map { .file($0) }
      }
      let items = try list(inline, other)
      guard items.count == 1 else {
        return try items.flatMap { item in
          guard item.utf8.count > 64 else {
            throw Failure(
              .badData, "a list of images names further rows", at: "\(place):\(other.line)")
          }
          return try inlinePictures(item, other)
        }
      }
      item = items[0]
    }
    let bytes = try InlineImage.bytes(item, place: "\(place):\(row.line)")
    guard bytes.count > 16 else {
      throw Failure(
        .badData, "the image is not base64", at: "\(place):\(row.line)",
        found: readable(item, most: 24))
    }
    return [.bytes(bytes)]
  }

  /// The items of `['a', "b"]`, VLMEvalKit's form of several pictures, or the text itself.
  private func list(_ text: String, _ row: SeparatedTable.Row) throws -> [String] {
    // A name may begin with a bracket, but not with one and a quote.
    let isList =
      text.begins(bytes: "['") || text.begins(bytes: "[\"")
      || (text.begins(bytes: "[") && text.utf8.last == UInt8(ascii: "]"))
    guard isList else { return [text] }
    let items = PythonList.items(text)?.filter { !$0.isEmpty }
    guard let items, !items.isEmpty else {
      throw Failure(
        .badData, "a list of images does not read", at: "\(place):\(row.line)",
        expected: "['a.png', 'b.png']", found: readable(text, most: 60))
    }
    return items
  }
}

/// A list as Python or JSON writes it: `['a', "b, c"]`.
enum PythonList {
  /// The items of a list of quoted texts; nil for anything else.
  static func quoted(_ text: String) -> [String]? {
    read(text).flatMap { $0.allSatisfy(\.isQuoted) ? $0.map(\.text) : nil }
  }

  /// The items of a list, quoted or not; nil for what is no list.
  static func items(_ text: String) -> [String]? { read(text)?.map(\.text) }

  private static func read(_ text: String) -> [(text: String, isQuoted: Bool)]? {
    var rest = text.unicodeScalars[...]
    func skip() { rest = rest.drop { $0.properties.isWhitespace } }
    skip()
    guard rest.popFirst() == "[" else { return nil }
    var items: [(text: String, isQuoted: Bool)] = []
    skip()
    while let first = rest.first, first != "]" {
      if first == "'" || first == "\"" {
        rest.removeFirst()
        guard let item = string(&rest, until: first) else { return nil }
        items.append((item, true))
        skip()
      } else {
        let end = rest.firstIndex { $0 == "," || $0 == "]" || $0 == "'" || $0 == "\"" }
        guard let end, rest[end] == "," || rest[end] == "]" else { return nil }
        items.append(
          (
            String(String.UnicodeScalarView(rest[..<end]))
              .trimmingCharacters(in: .whitespacesAndNewlines), false
          ))
        rest = rest[end...]
      }
      guard rest.first == "," else { break }
      rest.removeFirst()
      skip()
    }
    guard rest.popFirst() == "]" else { return nil }
    skip()
    return rest.isEmpty ? items : nil
  }

  /// The rest of a quoted text, its escapes undone.
  private static func string(
    _ rest: inout Substring.UnicodeScalarView, until quote: Unicode.Scalar
  ) -> String? {
    var result = String.UnicodeScalarView()
    while let scalar = rest.popFirst() {
      if scalar == quote { return String(result) }
      guard scalar == "\\" else {
        result.append(scalar)
        continue
      }
      guard let escape = rest.popFirst() else { return nil }
      switch escape {
      case "n": result.append("\n")
      case "t": result.append("\t")
      case "r": result.append("\r")
      case "x", "u", "U":
        let count = escape == "x" ? 2 : escape == "u" ? 4 : 8
        let digits = String(String.UnicodeScalarView(rest.prefix(count)))
        guard digits.utf8.count == count, let code = UInt32(digits, radix: 16),
          let decoded = Unicode.Scalar(code)
        else { return nil }
        result.append(decoded)
        rest = rest.dropFirst(count)
      case "\\", "'", "\"", "/": result.append(escape)
      default:
        // Python keeps what is no escape.
        result.append("\\")
        result.append(escape)
      }
    }
    return nil
  }
}
