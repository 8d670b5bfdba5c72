import Failures

/// A table of tab-separated values with a header, as pandas writes and reads it: a field with a
/// tab, a line end or a quote is quoted, quotes inside are doubled.
struct SeparatedTable {
  let columns: [String]
  /// The rows with the line that each starts at.
  let rows: [(line: Int, fields: [String])]

  /// - Throws: `Failure` 65, naming the line, for bytes that are no UTF-8, a quote that never
  ///   ends, a row with too few or too many fields, a column that stands twice.
  init(_ bytes: [UInt8], place: String) throws {
    let marker: [UInt8] = [0xEF, 0xBB, 0xBF]
    var scanner = Scanner(
      bytes: bytes, at: bytes.starts(with: marker) ? marker.count : 0, line: 1, place: place)
    guard let header = try scanner.row() else {
      throw Failure(.badData, "the table is empty", at: place, expected: "a header line")
    }
    var seen: Set<String> = []
    for column in header.fields where !seen.insert(column).inserted {
      throw Failure(.badData, "the column \(column) stands twice", at: "\(place):1")
    }
    var rows: [(line: Int, fields: [String])] = []
    while let row = try scanner.row() {
      if row.fields == [""] { continue }
      guard row.fields.count == header.fields.count else {
        throw Failure(
          .badData, "a row does not fit the header", at: "\(place):\(row.line)",
          expected: "\(header.fields.count) fields", found: String(row.fields.count))
      }
      rows.append(row)
    }
    columns = header.fields
    self.rows = rows
  }

  private struct Scanner {
    let bytes: [UInt8]
    var at: Int
    var line: Int
    let place: String

    mutating func row() throws -> (line: Int, fields: [String])? {
      guard at < bytes.count else { return nil }
      let start = line
      var fields: [String] = []
      while true {
        fields.append(try field(number: fields.count + 1))
        guard at < bytes.count else { return (start, fields) }
        let end = bytes[at]
        at += 1
        if end == UInt8(ascii: "\t") { continue }
        if end == UInt8(ascii: "\r"), at < bytes.count, bytes[at] == UInt8(ascii: "\n") { at += 1 }
        line += 1
        return (start, fields)
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

    private static let ends: Set<UInt8> = [
      UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"),
    ]
  }
}
