import Artifacts
import Failures
import Imaging

/// One question of a benchmark.
public struct BenchmarkQuestion: Sendable, Equatable {
  /// Where its picture is.
  public enum Picture: Sendable, Hashable {
    /// A file, relative to the images' folder unless it begins with a slash.
    case file(String)
    /// Within the benchmark: the row that has it, and which of that row's pictures it is.
    case inline(row: Int, number: Int)
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
  /// with ` | ` between them. Empty where the benchmark keeps it to itself.
  public var answer: String
  /// The answers that are accepted, `answer` alone in most.
  public var accepted: [String]
  /// The cell as it stands.
  public var rawAnswer: String
  /// All of the row but its picture, index, question and answer.
  public var columns: [String: String]
  /// What questions that share a picture have in common: they stand and fall together.
  public var picture: String

  public init(
    index: String, pictures: [Picture], question: String, hint: String? = nil,
    options: [(letter: Character, text: String)] = [], answer: String,
    accepted: [String]? = nil, rawAnswer: String? = nil, columns: [String: String] = [:],
    picture: String? = nil
  ) {
    self.index = index
    self.pictures = pictures
    self.question = question
    self.hint = hint
    self.options = options
    self.answer = answer
    self.accepted = accepted ?? [answer]
    self.rawAnswer = rawAnswer ?? answer
    self.columns = columns
    self.picture = picture ?? index
  }

  /// The column `category`, or `all`.
  public var category: String { columns["category"] ?? "all" }

  /// The items of a list as Python reads it, numbers too; else the cell.
  var everyAccepted: [String] { PythonList.literals(rawAnswer) ?? [rawAnswer] }

  public static func == (left: Self, right: Self) -> Bool {
    left.index == right.index && left.pictures == right.pictures
      && left.question == right.question && left.hint == right.hint
      && left.options.map(\.letter) == right.options.map(\.letter)
      && left.options.map(\.text) == right.options.map(\.text)
      && left.answer == right.answer && left.accepted == right.accepted
      && left.rawAnswer == right.rawAnswer && left.columns == right.columns
      && left.picture == right.picture
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

/// A benchmark in VLMEvalKit's columns: `index`, `image` (base64, a list of it, or the index of the
/// row that has it) or `image_path`, `question`, optional `hint` and options `A` to `Z`, `answer`,
/// optional `category`, `l2-category`, `split` and whatever else it brings.
///
/// The file is read row by row. What stays in memory is its text; pictures within it are read when
/// they are asked for.
public struct Benchmark: Sendable {
  public let path: String
  /// How it is asked and scored.
  public let kind: BenchmarkKind
  public var questions: [BenchmarkQuestion] = []
  /// The rows that are no questions, in their order.
  public var rejects: [BenchmarkReject] = []
  /// Where each question stands, by its number in `questions`.
  public var places: [(row: Int, line: Int)] = []
  /// The names in the header, the pictures' left out.
  public let columns: [String]
  private let files: ImageFiles
  private let rows: [Int: SeparatedTable.Place]
  private let sizes: [Int: [ImageTiling.Size?]]

  /// Reads a TSV file.
  ///
  /// - Parameters:
  ///   - images: the folder of the pictures; nil takes the benchmark's own folder.
  ///   - limit: only the first rows.
  ///   - allowsOutside: pictures may lie outside that folder.
  ///   - kind: how it is asked and scored; nil tells it by the file's name, then by its columns.
  /// - Throws: `Failure` 66 when the file is missing, 65 when it is no such table or has no row.
  public init(
    contentsOf path: String, images: String? = nil, limit: Int = .max, allowsOutside: Bool = false,
    kind: BenchmarkKind? = nil
  ) throws {
    guard Files.exists(path) else {
      throw Failure(
        .inputMissing, "the benchmark cannot be read", at: path,
        advice: Failure.hubAdvice(path, repository: "dataset")
          ?? "Name a TSV file in VLMEvalKit's columns.")
    }
    guard Files.isFile(path) else {
      throw Failure(.inputMissing, "is a folder, pipe or device, not a file", at: path)
    }
    self.path = path
    files = ImageFiles(
      path: images ?? Files.parent(of: path), allowsOutside: allowsOutside,
      setting: "evaluate.allow_outside_images")
    let start = try Files.read(path, offset: 0, count: min(1 << 16, Files.size(path) ?? 0))
    try Benchmark.requireTable(start, path)
    var table = try SeparatedTable(contentsOf: path)
    self.kind =
      kind
      ?? .told(byName: Benchmark.name(of: path), columns: table.columns)
    let reading = try Benchmark.parse(&table, place: path, limit: limit, kind: self.kind)
    columns = table.columns.filter { $0 != "image" }
    rows = reading.pictureRows
    sizes = reading.pictureSizes
    for row in reading.rows {
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

  /// The files of a list with blanks between them; a file of that very name is one.
  public static func paths(_ list: String) -> [String] {
    if Files.exists(list) { return [list] }
    let paths = list.split(whereSeparator: \.isWhitespace).map(String.init)
    return paths.isEmpty ? [list] : paths
  }

  /// What a benchmark is called: its file's name without the ending.
  public var name: String { Benchmark.name(of: path) }

  /// The same of a path.
  public static func name(of path: String) -> String {
    let file = Files.name(of: path)
    return file.lowercased().hasSuffix(".tsv") && file.count > 4 ? String(file.dropLast(4)) : file
  }

  /// The numbers of the questions in the order in which they are best asked: those with the same
  /// pictures behind each other, as each row of a circular benchmark has them far apart.
  public var askingOrder: [Int] {
    var firsts: [[BenchmarkQuestion.Picture]: Int] = [:]
    let ranks = questions.enumerated().map { number, question in
      if question.pictures.isEmpty { return number }
      if let first = firsts[question.pictures] { return first }
      firsts[question.pictures] = number
      return number
    }
    return questions.indices.sorted { (ranks[$0], $0) < (ranks[$1], $1) }
  }

  /// The path of a picture that is a file. Throws 65 where it leads out of the folder.
  public func path(of file: String) throws -> String { try files.file(file) }

  /// A picture. Throws 65 for what is none, 66 or 74 where it cannot be read.
  public func image(_ picture: BenchmarkQuestion.Picture) throws -> RGBImage {
    switch picture {
    case .file(let name): try RGBImage(contentsOf: try path(of: name))
    case .inline(let row, let number):
      try RGBImage(decoding: try bytes(row: row, number: number), place: "the image")
    }
  }

  /// The file of a picture within the benchmark. Throws 65, 66, 74.
  func bytes(row: Int, number: Int) throws -> [UInt8] {
    guard let place = rows[row] else {
      throw Failure(.software, "row \(row) has no picture", at: path)
    }
    var table = try SeparatedTable(contentsOf: path)
    guard let column = table.columns.firstIndex(of: "image"),
      let fields = try table.row(at: place)?.fields.get()
    else { throw Failure(.badData, "the benchmark has changed", at: path) }
    return try BenchmarkRows.picture(fields[column], number, place: "\(path):\(place.line)")
  }

  /// A picture's sides, as far as its head tells them.
  public func size(of picture: BenchmarkQuestion.Picture) -> ImageTiling.Size? {
    switch picture {
    case .inline(let row, let number):
      guard let sizes = sizes[row], sizes.indices.contains(number) else { return nil }
      return sizes[number]
    case .file(let name):
      guard let path = try? path(of: name), let size = Files.size(path),
        let head = try? Files.read(path, offset: 0, count: min(size, 1 << 17))
      else { return nil }
      return RGBImage.size(head: head)
    }
  }

  private struct Reading {
    var rows: [ParsedRow]
    var pictureRows: [Int: SeparatedTable.Place]
    var pictureSizes: [Int: [ImageTiling.Size?]]
  }

  struct ParsedRow {
    var row: Int
    var line: Int
    var index: String?
    var result: Result<BenchmarkQuestion, Failure>
  }

  private static func requireTable(_ start: [UInt8], _ place: String) throws {
    guard let kind = FileKind(prefix: start) else { return }
    throw Failure(
      .badData, "not a benchmark", at: place, expected: "a table with tabs, in UTF-8",
      found: kind.name, advice: kind.advice)
  }

  static func parse(_ bytes: [UInt8], place: String, limit: Int = .max) throws -> [ParsedRow] {
    try requireTable(bytes, place)
    var table = try SeparatedTable(bytes, place: place)
    let kind = BenchmarkKind.told(byName: "", columns: table.columns)
    return try parse(&table, place: place, limit: limit, kind: kind).rows
  }

  /// - Parameter isAnswered: there are predictions, and no pictures are needed.
  private static func parse(
    _ table: inout SeparatedTable, place: String, limit: Int, kind: BenchmarkKind,
    isAnswered: Bool = false
  ) throws -> Reading {
    let columns = Dictionary(
      table.columns.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    let needed =
      ["index", "question"] + (kind.mayLackAnswers ? [] : ["answer"])
      + (isAnswered ? ["prediction"] : [])
    for column in needed where columns[column] == nil {
      throw Failure(
        .badData, "the column \(column) is missing", at: "\(place):1",
        found: readable(table.columns.prefix(12).joined(separator: ", ")), advice: table.advice)
    }
    guard isAnswered || columns["image"] != nil || columns["image_path"] != nil else {
      throw Failure(
        .badData, "neither a column image nor image_path", at: "\(place):1",
        found: readable(table.columns.prefix(12).joined(separator: ", ")))
    }
    var reader = BenchmarkRows(columns: columns, place: place, needsPictures: !isAnswered)
    while let row = try table.next() { reader.add(row) }
    guard reader.count > 0 else {
      throw Failure(.badData, "the benchmark has no question", at: place)
    }
    return Reading(
      rows: (0..<min(limit, reader.count)).map { number in
        ParsedRow(
          row: number + 1, line: reader.line(number), index: reader.index(number),
          result: reader.question(number))
      }, pictureRows: reader.pictureRows, pictureSizes: reader.pictureSizes)
  }

  /// What pandas takes for a missing value, and the kit then for the answer "nan".
  private static let missing: Set<String> = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>",
    "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
  ]

  /// The predictions of a table that has them beside the questions, as VLMEvalKit writes it, scored;
  /// and what is no row of one.
  ///
  /// - Throws: `Failure` 66 when the file is missing, 65 when it is no such table or has no row.
  public static func predictions(
    contentsOf path: String, kind: BenchmarkKind? = nil, rule: (any AnswerRule)? = nil
  ) throws -> (kind: BenchmarkKind, predictions: [Prediction], rejects: [BenchmarkReject]) {
    guard Files.isFile(path) else {
      throw Failure(.inputMissing, "the predictions cannot be read", at: path)
    }
    let start = try Files.read(path, offset: 0, count: min(1 << 16, Files.size(path) ?? 0))
    try requireTable(start, path)
    var table = try SeparatedTable(contentsOf: path)
    let name = name(of: path)
    let kind = kind ?? .told(byName: name, columns: table.columns)
    var predictions: [Prediction] = []
    var rejects: [BenchmarkReject] = []
    for row in try parse(&table, place: path, limit: .max, kind: kind, isAnswered: true).rows {
      switch row.result {
      case .success(var question):
        let cell = question.columns.removeValue(forKey: "prediction") ?? ""
        let answer = missing.contains(cell) ? "nan" : cell
        predictions.append(
          Prediction(answer, for: question, kind: kind, rule: rule, benchmark: name))
      case .failure(let failure):
        rejects.append(
          BenchmarkReject(row: row.row, line: row.line, index: row.index, reason: "\(failure)"))
      }
    }
    return (kind, predictions, rejects)
  }
}
