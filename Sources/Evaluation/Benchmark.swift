import Failures
import Foundation

/// One question of a benchmark.
public struct BenchmarkQuestion: Sendable, Equatable {
  /// Where its picture is.
  public enum Picture: Sendable, Equatable {
    /// A file, relative to the images' folder unless it begins with a slash.
    case file(String)
    /// The file itself.
    case bytes([UInt8])
  }

  /// The benchmark's own name of the question, unique in it.
  public var index: String
  public var pictures: [Picture]
  public var question: String
  /// Text that comes before the question, if any.
  public var hint: String?
  /// The options A, B, C … of a multiple-choice question; empty for others.
  public var options: [(letter: Character, text: String)]
  /// The right answer; of a multiple-choice question its letter.
  public var answer: String
  public var category: String

  public init(
    index: String, pictures: [Picture], question: String, hint: String? = nil,
    options: [(letter: Character, text: String)] = [], answer: String, category: String
  ) {
    self.index = index
    self.pictures = pictures
    self.question = question
    self.hint = hint
    self.options = options
    self.answer = answer
    self.category = category
  }

  /// What a model is asked: hint, question and options, one a line, as VLMEvalKit puts it.
  public var prompt: String {
    var lines: [String] = []
    if let hint { lines.append("Hint: \(hint)") }
    lines.append(options.isEmpty ? question : "Question: \(question)")
    if !options.isEmpty {
      lines.append("Options:")
      lines += options.map { "\($0.letter). \($0.text)" }
      lines.append("Please select the correct answer from the options above.")
    }
    return lines.joined(separator: "\n")
  }

  public static func == (left: Self, right: Self) -> Bool {
    left.index == right.index && left.pictures == right.pictures
      && left.question == right.question && left.hint == right.hint
      && left.options.map(\.letter) == right.options.map(\.letter)
      && left.options.map(\.text) == right.options.map(\.text)
      && left.answer == right.answer && left.category == right.category
  }
}

/// A benchmark in VLMEvalKit's columns: `index`, `image` (base64, or the index of the row that has
/// it) or `image_path`, `question`, optional `hint` and options `A` to `Z`, `answer`, optional
/// `category`.
public struct Benchmark: Sendable {
  public var questions: [BenchmarkQuestion]
  /// The folder that paths of pictures are relative to.
  public var imageFolder: String

  /// Reads a TSV file.
  ///
  /// - Parameter images: the folder of the pictures; nil takes the benchmark's own folder.
  /// - Throws: `Failure` 66 when the file is missing, 65 with file and line when a column or a
  ///   value is.
  public init(contentsOf path: String, images: String? = nil) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure(
        .inputMissing, "the benchmark cannot be read", at: path,
        advice: "Name a TSV file in VLMEvalKit's columns.")
    }
    let folder = (path as NSString).deletingLastPathComponent
    self.imageFolder = images ?? (folder.isEmpty ? "." : folder)
    self.questions = try Benchmark.parse(Array(data), place: path)
  }

  /// The path of a picture that is a file.
  public func path(of file: String) -> String {
    file.hasPrefix("/") ? file : "\(imageFolder)/\(file)"
  }

  static func parse(_ bytes: [UInt8], place: String) throws -> [BenchmarkQuestion] {
    let table = try SeparatedTable(bytes, place: place)
    let columns = Dictionary(uniqueKeysWithValues: table.columns.enumerated().map { ($1, $0) })
    for needed in ["index", "question", "answer"] where columns[needed] == nil {
      throw Failure(
        .badData, "the column \(needed) is missing", at: "\(place):1",
        found: table.columns.prefix(12).joined(separator: ", "))
    }
    guard columns["image"] != nil || columns["image_path"] != nil else {
      throw Failure(
        .badData, "neither a column image nor image_path", at: "\(place):1",
        found: table.columns.prefix(12).joined(separator: ", "))
    }
    let reader = RowReader(columns: columns, place: place)
    // A picture that several questions share stands with the first; the others name its row.
    var rowOfIndex: [String: Int] = [:]
    for (number, row) in table.rows.enumerated() {
      let index = try reader.needed("index", row)
      if let earlier = rowOfIndex.updateValue(number, forKey: index) {
        throw Failure(
          .badData, "the index \(index.prefix(40)) stands twice", at: "\(place):\(row.line)",
          found: "first at line \(table.rows[earlier].line)")
      }
    }
    guard !table.rows.isEmpty else {
      throw Failure(.badData, "the benchmark has no question", at: place)
    }
    return try table.rows.map { try reader.question($0, table, rowOfIndex) }
  }
}

/// Makes questions of rows.
private struct RowReader {
  typealias Row = (line: Int, fields: [String])

  let columns: [String: Int]
  let place: String

  func value(_ column: String, _ row: Row) -> String? {
    guard let index = columns[column] else { return nil }
    let text = row.fields[index].trimmingCharacters(in: .whitespacesAndNewlines)
    // Empty, or pandas' word for it.
    return text.isEmpty || text == "nan" ? nil : text
  }

  func needed(_ column: String, _ row: Row) throws -> String {
    guard let text = value(column, row) else {
      throw Failure(.badData, "the \(column) is empty", at: "\(place):\(row.line)")
    }
    return text
  }

  func question(
    _ row: Row, _ table: SeparatedTable, _ rowOfIndex: [String: Int]
  ) throws -> BenchmarkQuestion {
    let letters = (UInt8(ascii: "A")...UInt8(ascii: "Z")).map { Character(UnicodeScalar($0)) }
    let options = letters.compactMap { letter in
      value(String(letter), row).map { (letter: letter, text: $0) }
    }
    let answer = try needed("answer", row)
    if !options.isEmpty, !options.contains(where: { String($0.letter) == answer.uppercased() }) {
      throw Failure(
        .badData, "the answer is none of the options", at: "\(place):\(row.line)",
        expected: options.map { String($0.letter) }.joined(separator: ", "),
        found: String(answer.prefix(40)))
    }
    return BenchmarkQuestion(
      index: try needed("index", row), pictures: try pictures(row, table, rowOfIndex),
      question: try needed("question", row), hint: value("hint", row), options: options,
      answer: options.isEmpty ? answer : answer.uppercased(),
      category: value("category", row) ?? "all")
  }

  private func pictures(
    _ row: Row, _ table: SeparatedTable, _ rowOfIndex: [String: Int]
  ) throws -> [BenchmarkQuestion.Picture] {
    if let inline = value("image", row) {
      var encoded = inline
      if inline.utf8.count < 64, let other = rowOfIndex[inline] {
        encoded = value("image", table.rows[other]) ?? ""
      }
      return try list(encoded).map { item in
        guard let data = Data(base64Encoded: item, options: .ignoreUnknownCharacters),
          data.count > 16
        else {
          throw Failure(
            .badData, "the image is not base64", at: "\(place):\(row.line)",
            found: String(item.prefix(24)))
        }
        return .bytes(Array(data))
      }
    }
    return list(try needed("image_path", row)).map { .file($0) }
  }

  /// The items of `['a', "b"]`, VLMEvalKit's form of several pictures, or the text itself.
  private func list(_ text: String) -> [String] {
    guard text.hasPrefix("["), text.hasSuffix("]") else { return [text] }
    return text.dropFirst().dropLast().split(separator: ",").map {
      $0.trimmingCharacters(in: .whitespaces.union(CharacterSet(charactersIn: "'\"")))
    }.filter { !$0.isEmpty }
  }
}
