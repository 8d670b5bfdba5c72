import Artifacts
import Failures
import Imaging

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
  /// The right answer; of a multiple-choice question its letter; of several that are accepted all,
  /// with ` | ` between them.
  public var answer: String
  /// The answers that are accepted, `answer` alone in most.
  public var accepted: [String]
  public var category: String

  public init(
    index: String, pictures: [Picture], question: String, hint: String? = nil,
    options: [(letter: Character, text: String)] = [], answer: String,
    accepted: [String]? = nil, category: String
  ) {
    self.index = index
    self.pictures = pictures
    self.question = question
    self.hint = hint
    self.options = options
    self.answer = answer
    self.accepted = accepted ?? [answer]
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
      && left.answer == right.answer && left.accepted == right.accepted
      && left.category == right.category
  }
}

/// A row of a benchmark that is no question. The others go on without it.
public struct BenchmarkReject: Sendable, Equatable {
  /// Counting from 1, the header left out; nil where it is not known.
  public var row: Int?
  /// Where the row starts in the file.
  public var line: Int?
  public var index: String?
  public var reason: String

  public init(row: Int?, line: Int?, index: String?, reason: String) {
    self.row = row
    self.line = line
    self.index = index
    self.reason = reason
  }
}

/// A benchmark in VLMEvalKit's columns: `index`, `image` (base64, or the index of the row that has
/// it) or `image_path`, `question`, optional `hint` and options `A` to `Z`, `answer`, optional
/// `category`.
public struct Benchmark: Sendable {
  public var questions: [BenchmarkQuestion]
  /// The rows that are no questions, in their order.
  public var rejects: [BenchmarkReject]
  /// Where each question stands, by its number in `questions`.
  public var places: [(row: Int, line: Int)]
  private let files: ImageFiles

  /// Reads a TSV file.
  ///
  /// - Parameters:
  ///   - images: the folder of the pictures; nil takes the benchmark's own folder.
  ///   - limit: only the first rows.
  ///   - allowsOutside: pictures may lie outside that folder.
  /// - Throws: `Failure` 66 when the file is missing, 65 when it is no such table or has no row.
  public init(
    contentsOf path: String, images: String? = nil, limit: Int = .max, allowsOutside: Bool = false
  ) throws {
    guard Files.exists(path) else {
      throw Failure(
        .inputMissing, "the benchmark cannot be read", at: path,
        advice: Failure.hubAdvice(path, repository: "dataset")
          ?? "Name a TSV file in VLMEvalKit's columns.")
    }
    files = ImageFiles(
      path: images ?? Files.parent(of: path), allowsOutside: allowsOutside,
      setting: "evaluate.allow_outside_images")
    let rows = try Benchmark.parse(try Files.read(path), place: path, limit: limit)
    questions = []
    rejects = []
    places = []
    for row in rows {
      switch row.result {
      case .success(let question):
        questions.append(question)
        places.append((row.row, row.line))
      case .failure(let failure):
        var named = failure
        named.place = nil
        rejects.append(
          BenchmarkReject(row: row.row, line: row.line, index: row.index, reason: "\(named)"))
      }
    }
  }

  /// The path of a picture that is a file. Throws 65 where it leads out of the folder.
  public func path(of file: String) throws -> String { try files.file(file) }

  struct ParsedRow {
    var row: Int
    var line: Int
    var index: String?
    var result: Result<BenchmarkQuestion, Failure>
  }

  static func parse(
    _ bytes: [UInt8], place: String, limit: Int = .max
  ) throws -> [ParsedRow] {
    if let kind = FileKind(prefix: bytes) {
      throw Failure(
        .badData, "not a benchmark", at: place, expected: "a table with tabs, in UTF-8",
        found: kind.name, advice: kind.advice)
    }
    let table = try SeparatedTable(bytes, place: place)
    let columns = Dictionary(
      table.columns.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    for needed in ["index", "question", "answer"] where columns[needed] == nil {
      throw Failure(
        .badData, "the column \(needed) is missing", at: "\(place):1",
        found: readable(table.columns.prefix(12).joined(separator: ", ")), advice: table.advice)
    }
    guard columns["image"] != nil || columns["image_path"] != nil else {
      throw Failure(
        .badData, "neither a column image nor image_path", at: "\(place):1",
        found: readable(table.columns.prefix(12).joined(separator: ", ")))
    }
    guard !table.rows.isEmpty else {
      throw Failure(.badData, "the benchmark has no question", at: place)
    }
    var reader = BenchmarkRows(columns: columns, place: place)
    for (number, row) in table.rows.enumerated() { reader.note(row, number) }
    return table.rows.prefix(limit).enumerated().map { number, row in
      ParsedRow(
        row: number + 1, line: row.line, index: reader.index(row),
        result: reader.question(row, number))
    }
  }
}
