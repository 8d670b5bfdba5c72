import Failures

/// A table of tab-separated values with a header, as pandas writes and reads it: a field with a
/// tab, a line end or a quote is quoted, quotes inside are doubled.
struct SeparatedTable {
  /// A row and the line that it starts at; or why it is none: bytes that are no UTF-8, a quote that
  /// never ends, too few or too many fields.
  typealias Row = (line: Int, fields: Result<[String], Failure>)

  let columns: [String]
  let rows: [Row]

  /// A quote that never ends is looked for up to the end of the file, but not for ever.
  private static let mostOpenQuotes = 64

  /// - Throws: `Failure` 65, naming the line, for a header that does not read, a column that stands
  ///   twice, and where quotes never end again and again.
  init(_ bytes: [UInt8], place: String) throws {
    let marker: [UInt8] = [0xEF, 0xBB, 0xBF]
    var scanner = Scanner(
      bytes: bytes, at: bytes.starts(with: marker) ? marker.count : 0, line: 1, place: place)
    guard let header = try scanner.row()?.fields.get() else {
      throw Failure(.badData, "the table is empty", at: place, expected: "a header line")
    }
    var seen: Set<String> = []
    for column in header where !seen.insert(column).inserted {
      throw Failure(
        .badData, "the column \(readable(column, most: 40)) stands twice", at: "\(place):1")
    }
    var rows: [Row] = []
    var openQuotes = 0
    while true {
      let start = scanner
      guard var row = try scanner.row() else { break }
      if case .success([""]) = row.fields { continue }
      if case .success(let fields) = row.fields, fields.count != header.count {
        row.fields = .failure(
          Failure(
            .badData, "a row does not fit the header", at: "\(place):\(row.line)",
            expected: "\(header.count) fields", found: String(fields.count)))
      }
      if case .failure(let failure) = row.fields, scanner.line > start.line + 1 || scanner.isOpen {
        // A stray quote takes good rows with it: only its own line is lost.
        openQuotes += scanner.isOpen ? 1 : 0
        guard openQuotes <= SeparatedTable.mostOpenQuotes else { throw failure }
        scanner = start
        scanner.skipLine()
      }
      rows.append(row)
    }
    columns = header
    self.rows = rows
  }

  /// What to do where the header shows that the fields are separated by something else.
  var advice: String? {
    guard columns.count == 1, let only = columns.first else { return nil }
    if only.begins(bytes: "{") || only.begins(bytes: "[") {
      return "This is JSON: write it as a table with tabs."
    }
    return only.holds(bytes: ",") || only.holds(bytes: ";")
      ? "Write it with tabs: to_csv(PATH, sep=\"\\t\", index=False) of pandas." : nil
  }

  private struct Scanner {
    let bytes: [UInt8]
    var at: Int
    var line: Int
    let place: String
    /// A quote never ended.
    var isOpen = false

    mutating func skipLine() {
      isOpen = false
      while at < bytes.count, !Self.lineEnds.contains(bytes[at]) { at += 1 }
      if at + 1 < bytes.count, bytes[at] == 0x0D, bytes[at + 1] == 0x0A { at += 1 }
      if at < bytes.count { at += 1 }
      line += 1
    }

    mutating func row() throws -> Row? {
      guard at < bytes.count else { return nil }
      let start = line
      var fields: [String] = []
      var failure: Failure?
      func row() -> Row { (start, failure.map { .failure($0) } ?? .success(fields)) }
      while true {
        do {
          fields.append(try field(number: fields.count + 1))
        } catch let found as Failure {
          // What follows in the row is still read, to know where it ends.
          fields.append("")
          failure = failure ?? found
        }
        guard at < bytes.count else { return row() }
        let end = bytes[at]
        at += 1
        if end == UInt8(ascii: "\t") { continue }
        if end == UInt8(ascii: "\r"), at < bytes.count, bytes[at] == UInt8(ascii: "\n") { at += 1 }
        line += 1
        return row()
      }
    }

    /// Leaves `at` on the tab or line end behind the field, or at the end.
    private mutating func field(number: Int) throws -> String {
      var content: [UInt8] = []
      let start = line
      if at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
        at += 1
        var isOpen = true
        while isOpen {
          guard at < bytes.count else {
            self.isOpen = true
            throw Failure(
              .badData, "a quote never ends", at: "\(place):\(start)", found: "field \(number)")
          }
          let byte = bytes[at]
          at += 1
          if byte != UInt8(ascii: "\"") {
            if byte == UInt8(ascii: "\n") { line += 1 }
            content.append(byte)
          } else if at < bytes.count, bytes[at] == byte {
            content.append(byte)
            at += 1
          } else {
            isOpen = false
          }
        }
      }
      // On one line it is read as pandas reads it; over several, two stray quotes have met.
      if line != start, at < bytes.count, !Self.ends.contains(bytes[at]) {
        while at < bytes.count, !Self.ends.contains(bytes[at]) { at += 1 }
        throw Failure(
          .badData, "text behind a quote that ends on a later line", at: "\(place):\(start)",
          found: "field \(number)")
      }
      while at < bytes.count, !Self.ends.contains(bytes[at]) {
        content.append(bytes[at])
        at += 1
      }
      guard let text = String(validating: content, as: UTF8.self), !content.contains(0) else {
        throw Failure(
          .badData, "a field is not text", at: "\(place):\(start)", expected: "UTF-8",
          found: "field \(number)")
      }
      return text
    }

    private static let lineEnds: Set<UInt8> = [UInt8(ascii: "\n"), UInt8(ascii: "\r")]
    private static let ends = lineEnds.union([UInt8(ascii: "\t")])
  }
}
