import Artifacts
import Failures
import Foundation
import Imaging

/// Makes questions of a table's rows. Of each it keeps the text; of a picture, that it is there.
struct BenchmarkRows {
  let place: String
  private let columns: [String: Int]
  private var rows: [Row] = []
  /// A picture that several questions share stands with one; the others name its row.
  private var numbers: [ExactText: Int] = [:]

  private struct Row {
    var place: SeparatedTable.Place
    /// The fields, the picture's left empty; or why there are none.
    var fields: Result<[String], Failure>
    /// What its field of pictures holds; nil where it is empty.
    var inline: Result<[Item], Failure>?
  }

  /// One picture of a field.
  private enum Item {
    /// The index of the row that has it.
    case row(String)
    /// The file itself, in base64; its sides where its head tells them, and where it stood first.
    case bytes(ImageTiling.Size?, first: BenchmarkQuestion.Picture)
  }

  private let needsPictures: Bool
  /// Where the picture of a digest stands first.
  private var firsts: [String: BenchmarkQuestion.Picture] = [:]

  /// - Parameter needsPictures: not so where the questions were asked already.
  init(columns: [String: Int], place: String, needsPictures: Bool = true) {
    self.columns = columns
    self.place = place
    self.needsPictures = needsPictures
  }

  var count: Int { rows.count }

  func line(_ number: Int) -> Int { rows[number].place.line }

  /// Where the rows are that have a picture.
  var pictureRows: [Int: SeparatedTable.Place] {
    Dictionary(
      uniqueKeysWithValues: rows.enumerated().compactMap { number, row in
        row.inline == nil ? nil : (number, row.place)
      })
  }

  /// The sides of their pictures.
  var pictureSizes: [Int: [ImageTiling.Size?]] {
    Dictionary(
      uniqueKeysWithValues: rows.enumerated().compactMap { number, row in
        (try? row.inline?.get()).map { items in
          (number, items.map { if case .bytes(let size, _) = $0 { size } else { nil } })
        }
      })
  }

  /// Takes a row in; of two with one index the first counts.
  mutating func add(_ read: SeparatedTable.Row) {
    var row = Row(place: read.place, fields: read.fields)
    if needsPictures, let column = columns["image"], case .success(var fields) = read.fields {
      if let text = BenchmarkRows.value(fields[column]) {
        var firsts = firsts
        self.firsts = [:]
        row.inline = caught { try items(text, "\(place):\(read.place.line)", &firsts) }
        self.firsts = firsts
      }
      fields[column] = ""
      row.fields = .success(fields)
    }
    rows.append(row)
    if let index = value("index", rows.count - 1).map(ExactText.init), numbers[index] == nil {
      numbers[index] = rows.count - 1
    }
  }

  /// The row's index as a message shows it.
  func index(_ number: Int) -> String? { value("index", number).map { readable($0) } }

  /// Without white space around it; a picture's text, which is long, has none.
  private static func trimmed(_ field: String) -> String {
    guard let first = field.unicodeScalars.first, let last = field.unicodeScalars.last,
      first.properties.isWhitespace || last.properties.isWhitespace
    else { return field }
    return field.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private static func value(_ field: String) -> String? {
    let text = trimmed(field)
    // Empty, or pandas' word for it.
    return text.isEmpty || text == "nan" ? nil : text
  }

  private func value(_ column: String, _ number: Int) -> String? {
    raw(column, number).flatMap(BenchmarkRows.value)
  }

  private func raw(_ column: String, _ number: Int) -> String? {
    guard let field = columns[column], case .success(let fields) = rows[number].fields else {
      return nil
    }
    return fields[field]
  }

  private func needed(_ column: String, _ number: Int) throws -> String {
    guard let text = value(column, number) else {
      throw Failure(.badData, "the \(column) is empty", at: "\(place):\(line(number))")
    }
    return text
  }

  func question(_ number: Int) -> Result<BenchmarkQuestion, Failure> {
    caught { try read(number) }
  }

  private func caught<Value>(_ body: () throws -> Value) -> Result<Value, Failure> {
    Result(catching: body).mapError { ($0 as? Failure) ?? Failure(.software, "\($0)", at: place) }
  }

  private func read(_ number: Int) throws -> BenchmarkQuestion {
    _ = try rows[number].fields.get()
    let index = try needed("index", number)
    if let first = numbers[ExactText(index)], first != number {
      throw Failure(
        .badData, "the index \(readable(index, most: 40)) stands twice",
        at: "\(place):\(line(number))", found: "first at line \(line(first))")
    }
    let letters = (UInt8(ascii: "A")...UInt8(ascii: "Z")).map { Character(UnicodeScalar($0)) }
    let options = letters.compactMap { letter in
      value(String(letter), number).map { (letter: letter, text: $0) }
    }
    let cell = columns["answer"] == nil ? "" : try needed("answer", number)
    var answers = cell.isEmpty ? [] : try self.answers(cell, number)
    if !options.isEmpty, !cell.isEmpty {
      answers = answers.map { $0.uppercased() }
      guard answers.count == 1, options.contains(where: { String($0.letter) == answers[0] }) else {
        throw Failure(
          .badData,
          answers.count == 1
            ? "the answer is none of the options" : "several answers to a question with options",
          at: "\(place):\(line(number))",
          expected: options.map { String($0.letter) }.joined(separator: ", "),
          found: readable(answers.joined(separator: ", "), most: 40))
      }
    }
    let known: Set<String> = ["index", "image", "question", "answer"]
    let others = columns.keys.filter { !known.contains($0) }
    let pictures = try pictures(number)
    return BenchmarkQuestion(
      index: index, pictures: pictures, question: try needed("question", number),
      hint: value("hint", number), options: options, answer: answers.joined(separator: " | "),
      accepted: answers, rawAnswer: cell,
      columns: Dictionary(
        uniqueKeysWithValues: others.compactMap { name in
          // White space of an answer counts in some scores.
          (name == "prediction" ? raw(name, number) : value(name, number)).map { (name, $0) }
        }),
      picture: value("image_path", number)
        ?? pictures.lazy.compactMap { picture in
          if case .inline(let row, _) = picture { self.value("index", row) } else { nil }
        }.first)
  }

  /// A list of texts is one of accepted answers; a list of numbers, such as a box, is an answer.
  private func answers(_ text: String, _ number: Int) throws -> [String] {
    guard let items = PythonList.quoted(text) else { return [text] }
    let answers = items.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
    guard !answers.isEmpty, !answers.contains("") else {
      throw Failure(
        .badData, "an accepted answer is empty", at: "\(place):\(line(number))",
        found: readable(text, most: 40))
    }
    return answers
  }

  // MARK: Pictures

  private func pictures(_ number: Int) throws -> [BenchmarkQuestion.Picture] {
    if !needsPictures { return [] }
    if rows[number].inline != nil { return try inlinePictures(number) }
    guard let path = value("image_path", number) else {
      let column = columns["image"] == nil ? "image_path" : "image"
      throw Failure(.badData, "the \(column) is empty", at: "\(place):\(line(number))")
    }
    return try BenchmarkRows.list(path, "\(place):\(line(number))").map { .file($0) }
  }

  private func inlinePictures(_ number: Int) throws -> [BenchmarkQuestion.Picture] {
    guard let items = try rows[number].inline?.get() else { return [] }
    var pictures: [BenchmarkQuestion.Picture] = []
    for item in items {
      switch item {
      case .bytes(_, let first): pictures.append(first)
      case .row(let name): pictures += try followed(name, from: number)
      }
    }
    return pictures
  }

  /// The pictures of the row that a name leads to, over any number of rows.
  private func followed(_ name: String, from number: Int) throws -> [BenchmarkQuestion.Picture] {
    let here = "\(place):\(line(number))"
    var name = name
    var seen: Set<Int> = []
    while true {
      // pandas writes a column of numbers with gaps as 12.0.
      let whole = name.hasSuffix(".0") ? String(name.dropLast(2)) : name
      guard let other = [name, whole].lazy.compactMap({ numbers[ExactText($0)] }).first else {
        throw Failure(
          .badData,
          name.utf8.allSatisfy { (0x30...0x39).contains($0) }
            ? "the image is that of a row that is not there" : "the image is not base64",
          at: here, found: "index \(readable(name, most: 40))")
      }
      guard seen.insert(other).inserted else {
        throw Failure(
          .badData, "rows name each other for their image", at: here,
          found: "index \(readable(name, most: 40)) again")
      }
      guard let items = try rows[other].inline?.get() else {
        guard let path = value("image_path", other) else {
          throw Failure(
            .badData, "the image is that of a row that has none", at: here,
            found: "index \(readable(name, most: 40))")
        }
        return try BenchmarkRows.list(path, "\(place):\(line(other))").map { .file($0) }
      }
      if items.count == 1, case .row(let next) = items[0] {
        name = next
        continue
      }
      return try items.map { item in
        guard case .bytes(_, let first) = item else {
          throw Failure(
            .badData, "a list of images names further rows", at: "\(place):\(line(other))")
        }
        return first
      }
    }
  }

  /// What a field of pictures holds; what is base64 is decoded once, to know that it can be.
  /// - Parameter firsts: where the picture of a digest stands first; this row's are added
  private func items(
    _ text: String, _ place: String, _ firsts: inout [String: BenchmarkQuestion.Picture]
  ) throws -> [Item] {
    try BenchmarkRows.list(text, place).enumerated().map { number, item in
      if item.utf8.count <= 64 { return .row(item) }
      let file = try BenchmarkRows.decoded(item, place)
      let digest = Fingerprint.bytes(file)
      let picture = firsts[digest] ?? .inline(row: rows.count, number: number)
      firsts[digest] = picture
      return .bytes(RGBImage.size(head: file), first: picture)
    }
  }

  /// The file of one of the pictures of a field.
  static func picture(_ field: String, _ number: Int, place: String) throws -> [UInt8] {
    let items = try list(trimmed(field), place)
    guard items.indices.contains(number) else {
      throw Failure(.badData, "the benchmark has changed", at: place)
    }
    return try decoded(items[number], place)
  }

  private static func decoded(_ item: String, _ place: String) throws -> [UInt8] {
    let bytes = try InlineImage.bytes(item, place: place)
    guard bytes.count > 16 else {
      throw Failure(
        .badData, "the image is not base64", at: place, found: readable(item, most: 24))
    }
    return bytes
  }

  /// The items of `['a', "b"]`, VLMEvalKit's form of several pictures, or the text itself.
  private static func list(_ text: String, _ place: String) throws -> [String] {
    // A name may begin with a bracket, but not with one and a quote.
    let isList =
      text.begins(bytes: "['") || text.begins(bytes: "[\"")
      || (text.begins(bytes: "[") && text.utf8.last == UInt8(ascii: "]"))
    guard isList else { return [text] }
    let items = PythonList.items(text)?.filter { !$0.isEmpty }
    guard let items, !items.isEmpty else {
      throw Failure(
        .badData, "a list of images does not read", at: place,
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

  /// The items of a list that Python can evaluate: quoted texts, and numbers; nil for anything else.
  static func literals(_ text: String) -> [String]? {
    read(text).flatMap { items in
      items.allSatisfy { $0.isQuoted || Python.float($0.text) != nil } ? items.map(\.text) : nil
    }
  }

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
