import Artifacts
import Failures
import Foundation

/// Reads a data set entry by entry, never the whole file: a JSON array of any size, or JSON Lines.
///
/// Only the borders between entries are found here; what is inside an entry is parsed later, by
/// many threads.
final class DatasetReader {
  enum Form {
    /// One JSON array of entries.
    case array
    /// One entry a line; empty lines do not count.
    case lines
  }

  struct Entry {
    /// Counting from 0.
    var index: Int
    /// Where it starts in the file, counting from 1.
    var line: Int
    var bytes: [UInt8]
    /// The file that it stands in.
    var file = ""
    /// Its name, where the data set has several.
    var part: String?
  }

  /// A longer entry is a sign of a quotation mark that was never closed.
  static let longestEntry = 1 << 28

  let path: String
  let form: Form
  private let file: FileHandle
  private var chunk: [UInt8] = []
  private var position = 0
  private var line = 1
  private var index = 0
  private var ended = false
  private let longest: Int

  /// - Throws: `Failure`, 66 where the file cannot be read, 65 where it is empty or not JSON.
  init(
    path: String, longestEntry: Int = DatasetReader.longestEntry
  ) throws {
    // A pipe could be read once; it is read three times.
    guard Files.isFile(path), let file = FileHandle(forReadingAtPath: path) else {
      throw Failure(
        .inputMissing, "cannot read the data set", at: path, expected: "a file",
        found: Files.isDirectory(path) ? "a folder" : Files.exists(path) ? nil : "nothing",
        advice: Files.exists(path) ? nil : Failure.hubAdvice(path, repository: "dataset"))
    }
    self.path = path
    self.file = file
    longest = longestEntry
    chunk = try DatasetReader.read(file, path)
    if let kind = FileKind(prefix: chunk) {
      throw Failure(
        .badData, "not a data set", at: path, expected: "a JSON array, or JSON Lines",
        found: kind.name, advice: kind.advice)
    }
    if chunk.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    while position < chunk.count, DatasetReader.isSpace(chunk[position]) {
      if chunk[position] == 0x0A { line += 1 }
      position += 1
    }
    guard position < chunk.count else {
      throw Failure(.badData, "the data set is empty", at: path)
    }
    if chunk[position] == UInt8(ascii: "[") {
      form = .array
      position += 1
    } else {
      form = .lines
    }
  }

  deinit { try? file.close() }

  private static func read(_ file: FileHandle, _ path: String) throws -> [UInt8] {
    do {
      return try file.read(upToCount: 1 << 20).map { [UInt8]($0) } ?? []
    } catch {
      throw Failure(.ioFailed, "reading the data set failed", at: path, found: "\(error)")
    }
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
  }

  /// The next byte, left in place; nil at the end of the file.
  private func peek() throws -> UInt8? {
    if position == chunk.count {
      chunk = try DatasetReader.read(file, path)
      position = 0
    }
    return position < chunk.count ? chunk[position] : nil
  }

  private func skipSpace() throws {
    while let byte = try peek(), DatasetReader.isSpace(byte) {
      if byte == 0x0A { line += 1 }
      position += 1
    }
  }

  private func failure(_ what: String) -> Failure {
    Failure(
      .badData, "not valid JSON: \(what)", at: "\(path), line \(line)",
      expected: "an array of entries, or one entry a line")
  }

  /// The next entry; nil behind the last one.
  ///
  /// - Throws: `Failure(.badData)` naming the line where an array breaks off or is malformed.
  func next() throws -> Entry? {
    guard !ended, let entry = form == .array ? try nextElement() : try nextLine() else {
      ended = true
      return nil
    }
    index += 1
    return entry
  }

  private func nextLine() throws -> Entry? {
    try skipSpace()
    guard try peek() != nil else { return nil }
    let start = line
    var bytes: [UInt8] = []
    while try peek() != nil {
      let end = chunk[position...].firstIndex(of: 0x0A) ?? chunk.count
      bytes.append(contentsOf: chunk[position..<end])
      try check(bytes.count, start)
      position = end
      if end < chunk.count { break }
    }
    return Entry(index: index, line: start, bytes: bytes, file: path)
  }

  private func check(_ count: Int, _ start: Int) throws {
    guard count <= longest else {
      line = start
      throw failure("the entry that starts here does not end within \(longest) bytes")
    }
  }

  private func nextElement() throws -> Entry? {
    try skipSpace()
    guard var byte = try peek() else { throw failure("the array does not end") }
    if index > 0 || byte == UInt8(ascii: "]") {
      if byte == UInt8(ascii: "]") {
        position += 1
        try skipSpace()
        if try peek() != nil { throw failure("text after the end of the array") }
        return nil
      }
      guard byte == UInt8(ascii: ",") else { throw failure("expected ',' or ']' after an entry") }
      position += 1
      try skipSpace()
      guard let following = try peek() else { throw failure("the array does not end") }
      byte = following
    }
    if byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") {
      throw failure("expected an entry, found '\(Character(Unicode.Scalar(byte)))'")
    }
    return try element()
  }

  /// One value, found by brackets and quotes alone.
  private func element() throws -> Entry {
    let start = line
    var bytes: [UInt8] = []
    var scan = ElementScan()
    while try peek() != nil {
      let from = position
      chunk.withUnsafeBufferPointer { chunk in
        while position < chunk.count, scan.goesOn(with: chunk[position]) {
          if chunk[position] == 0x0A { line += 1 }
          position += 1
        }
      }
      bytes.append(contentsOf: chunk[from..<position])
      try check(bytes.count, start)
      if let bracket = scan.mismatch {
        throw failure("'\(Character(Unicode.Scalar(bracket)))' closes another bracket")
      }
      if scan.ended { return Entry(index: index, line: start, bytes: bytes, file: path) }
    }
    line = start
    throw failure("the entry that starts here does not end")
  }
}

/// Finds the end of one JSON value, byte by byte.
private struct ElementScan {
  /// The brackets that are to come, outermost first.
  private var open: [UInt8] = []
  private var inString = false
  private var escaped = false
  private var closed = false
  /// The last byte asked about stands behind the value.
  private(set) var ended = false
  /// The bracket that closes one of the other kind: where the value ends, nobody knows.
  private(set) var mismatch: UInt8?

  /// Whether a byte still belongs to the value.
  mutating func goesOn(with byte: UInt8) -> Bool {
    if closed {
      ended = true
      return false
    }
    if inString {
      if escaped {
        escaped = false
      } else if byte == UInt8(ascii: "\\") {
        escaped = true
      } else if byte == UInt8(ascii: "\"") {
        inString = false
        closed = open.isEmpty
      }
      return true
    }
    switch byte {
    case UInt8(ascii: "\""): inString = true
    case UInt8(ascii: "{"): open.append(UInt8(ascii: "}"))
    case UInt8(ascii: "["): open.append(UInt8(ascii: "]"))
    case UInt8(ascii: "}"), UInt8(ascii: "]"):
      guard let expected = open.popLast() else {
        ended = true
        break
      }
      if byte != expected {
        mismatch = byte
        return false
      }
      closed = open.isEmpty
    case UInt8(ascii: ","), 0x20, 0x0A, 0x0D, 0x09: ended = open.isEmpty
    default: break
    }
    return !ended
  }
}
