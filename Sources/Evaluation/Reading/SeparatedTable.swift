import Artifacts
import Failures

/// A table of tab-separated values with a header, as pandas writes and reads it: a field with a
/// tab, a line end or a quote is quoted, quotes inside are doubled. It is read row by row: memory
/// holds one row, however large the file.
struct SeparatedTable {
  /// Where a row starts.
  struct Place: Sendable, Equatable {
    var offset: Int
    var line: Int
  }

  /// A row; or why it is none: bytes that are no UTF-8, a quote that never ends, too few or too
  /// many fields.
  typealias Row = (place: Place, fields: Result<[String], Failure>)

  /// The names in the header.
  private(set) var columns: [String] = []
  private var scanner: Scanner
  private var openQuotes = 0

  /// A quote that never ends is looked for up to the end of the file, but not for ever.
  private static let mostOpenQuotes = 64

  /// A table in memory.
  init(_ bytes: [UInt8], place: String) throws {
    try self.init(ByteWindow(bytes), place)
  }

  /// A table in a file.
  /// - Throws: `Failure` 65 for a header that does not read and a column that stands twice, 66 or 74
  ///   where the file cannot be read.
  init(contentsOf path: String) throws { try self.init(try ByteWindow(path), path) }

  private init(_ bytes: ByteWindow, _ place: String) throws {
    scanner = Scanner(bytes: bytes, place: place)
    try scanner.skipMarker()
    guard let header = try scanner.row()?.fields.get() else {
      throw Failure(.badData, "the table is empty", at: place, expected: "a header line")
    }
    var seen: Set<String> = []
    for column in header where !seen.insert(column).inserted {
      throw Failure(
        .badData, "the column \(readable(column, most: 40)) stands twice", at: "\(place):1")
    }
    columns = header
  }

  /// The next row; nil at the end. An empty line is none.
  /// - Throws: `Failure` 65, naming the line, where quotes never end again and again.
  mutating func next() throws -> Row? {
    while true {
      let start = (at: scanner.at, line: scanner.line)
      guard var row = try scanner.row() else { return nil }
      if case .success([""]) = row.fields { continue }
      fit(&row)
      if case .failure(let failure) = row.fields, scanner.line > start.line + 1 || scanner.isOpen {
        // A stray quote takes good rows with it: only its own line is lost.
        openQuotes += scanner.isOpen ? 1 : 0
        guard openQuotes <= SeparatedTable.mostOpenQuotes else { throw failure }
        (scanner.at, scanner.line) = start
        try scanner.skipLine()
      }
      return row
    }
  }

  /// The row at a place where one was read before.
  mutating func row(at place: Place) throws -> Row? {
    (scanner.at, scanner.line) = (place.offset, place.line)
    guard var row = try scanner.row() else { return nil }
    fit(&row)
    return row
  }

  private func fit(_ row: inout Row) {
    if case .success(let fields) = row.fields, fields.count != columns.count {
      row.fields = .failure(
        Failure(
          .badData, "a row does not fit the header", at: "\(scanner.place):\(row.place.line)",
          expected: "\(columns.count) fields", found: String(fields.count)))
    }
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

  /// A field as pandas' `to_csv` writes it between tabs.
  static func field(_ text: String) -> String {
    let special: [UInt8] = [UInt8(ascii: "\t"), 0x0A, 0x0D, UInt8(ascii: "\"")]
    guard text.utf8.contains(where: special.contains) else { return text }
    let doubled = text.utf8.flatMap { $0 == UInt8(ascii: "\"") ? [$0, $0] : [$0] }
    return "\"\(String(decoding: doubled, as: UTF8.self))\""
  }

  private struct Scanner {
    let bytes: ByteWindow
    var at = 0
    var line = 1
    let place: String
    /// A quote never ended.
    var isOpen = false

    init(bytes: ByteWindow, place: String) {
      self.bytes = bytes
      self.place = place
    }

    mutating func skipMarker() throws {
      let marker: [UInt8] = [0xEF, 0xBB, 0xBF]
      for (offset, byte) in marker.enumerated() where try bytes[offset] != byte { return }
      at = marker.count
    }

    mutating func skipLine() throws {
      isOpen = false
      var skipped: [UInt8] = []
      while try bytes.take(&at, into: &skipped, stops: Self.isLineEnd) == nil, try bytes[at] != nil
      {
        skipped = []
      }
      try passLineEnd()
    }

    /// Over a line end, one of two bytes too, unless the file ends here.
    private mutating func passLineEnd() throws {
      if try bytes[at] == UInt8(ascii: "\r"), try bytes[at + 1] == UInt8(ascii: "\n") { at += 1 }
      if try bytes[at] != nil { at += 1 }
      line += 1
    }

    mutating func row() throws -> Row? {
      guard try bytes[at] != nil else { return nil }
      let start = Place(offset: at, line: line)
      var fields: [String] = []
      var failure: Failure?
      while true {
        do {
          fields.append(try field(number: fields.count + 1))
        } catch let found as Failure where found.code == .badData {
          // What follows in the row is still read, to know where it ends.
          fields.append("")
          failure = failure ?? found
        }
        if try bytes[at] == UInt8(ascii: "\t") {
          at += 1
          continue
        }
        if try bytes[at] != nil { try passLineEnd() }
        return (start, failure.map { .failure($0) } ?? .success(fields))
      }
    }

    /// Leaves `at` on the tab or line end behind the field, or at the end.
    private mutating func field(number: Int) throws -> String {
      var content: [UInt8] = []
      let start = line
      if try bytes[at] == UInt8(ascii: "\"") {
        at += 1
        var isInside = true
        while isInside {
          guard let byte = try bytes.take(&at, into: &content, stops: Self.isQuotedStop) else {
            guard try bytes[at] == nil || content.count > SeparatedTable.longestField else {
              continue
            }
            isOpen = true
            throw Failure(
              .badData, "a quote never ends", at: "\(place):\(start)", found: "field \(number)")
          }
          at += 1
          if byte == UInt8(ascii: "\n") {
            line += 1
            content.append(byte)
          } else if try bytes[at] == byte {
            content.append(byte)
            at += 1
          } else {
            isInside = false
          }
        }
      }
      // On one line it is read as pandas reads it; over several, two stray quotes have met.
      if line != start, let next = try bytes[at], !Self.isEnd(next) {
        var behind: [UInt8] = []
        while try bytes.take(&at, into: &behind, stops: Self.isEnd) == nil, try bytes[at] != nil {
          behind = []
        }
        throw Failure(
          .badData, "text behind a quote that ends on a later line", at: "\(place):\(start)",
          found: "field \(number)")
      }
      while try bytes.take(&at, into: &content, stops: Self.isEnd) == nil, try bytes[at] != nil {}
      guard let text = String(validating: content, as: UTF8.self), !content.contains(0) else {
        throw Failure(
          .badData, "a field is not text", at: "\(place):\(start)", expected: "UTF-8",
          found: "field \(number)")
      }
      return text
    }

    private static func isLineEnd(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }
    private static func isEnd(_ byte: UInt8) -> Bool {
      byte == 0x0A || byte == 0x0D || byte == UInt8(ascii: "\t")
    }
    private static func isQuotedStop(_ byte: UInt8) -> Bool {
      byte == UInt8(ascii: "\"") || byte == 0x0A
    }
  }

  /// A row's pictures lie in one field; no list of them is longer.
  private static let longestField = 1 << 28
}

/// The bytes of a file, of which memory holds a stretch.
private final class ByteWindow {
  private let path: String?
  private let count: Int
  private var window: [UInt8]
  private var start = 0

  private static let size = 1 << 20

  init(_ bytes: [UInt8]) {
    (path, count, window) = (nil, bytes.count, bytes)
  }

  init(_ path: String) throws {
    guard let size = Files.size(path) else {
      throw Failure(.inputMissing, "cannot be read", at: path)
    }
    (self.path, count, window) = (path, size, [])
  }

  /// Makes sure of the byte at `at`, which is one.
  private func load(_ at: Int) throws {
    guard let path, !(start..<start + window.count).contains(at) else { return }
    window = try Files.read(path, offset: at, count: min(ByteWindow.size, count - at))
    start = at
  }

  /// A byte; nil behind the end.
  subscript(at: Int) -> UInt8? {
    get throws {
      guard at < count else { return nil }
      try load(at)
      return window[at - start]
    }
  }

  /// Appends bytes up to one that stops, which is returned and not taken, or up to the end of the
  /// stretch, with nil.
  @inline(__always)
  func take(_ at: inout Int, into content: inout [UInt8], stops: (UInt8) -> Bool) throws -> UInt8? {
    guard at < count else { return nil }
    try load(at)
    let first = at - start
    return window.withUnsafeBufferPointer { bytes in
      var end = first
      while end < bytes.count, !stops(bytes[end]) { end += 1 }
      content.append(contentsOf: bytes[first..<end])
      at = start + end
      return end < bytes.count ? bytes[end] : nil
    }
  }
}
