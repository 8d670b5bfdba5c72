import Artifacts
import CArchive
import Failures
import Foundation

/// The samples of a WebDataset: a tar file, packed or not, whose neighbouring files of one name up to the
/// first point are a sample. Its `.json` is the entry, as it would stand in a JSON file; pictures beside it
/// become the entry's `images`, in the order of their names, in the place of what it names there.
final class TarReader {
  private let path: String
  private let archive: OpaquePointer
  private var waiting: (name: String, bytes: [UInt8])?
  private var number = 0
  private var isOver = false

  /// What an entry may be no longer than, pictures left out, and a picture.
  private static let mostBytes = DatasetReader.longestEntry

  /// Whether a file's name is that of an archive that is read here.
  static func reads(_ name: String) -> Bool {
    [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz"].contains {
      name.lowercased().hasSuffix($0)
    }
  }

  /// - Throws: `Failure`, 66 where the file cannot be read, 65 where it is no archive.
  init(path: String) throws {
    self.path = path
    guard Files.isFile(path) else {
      throw Failure(.inputMissing, "cannot read the data set", at: path, expected: "a file")
    }
    guard let archive = archive_read_new() else {
      throw Failure(.software, "no reader of archives", at: path)
    }
    self.archive = archive
    archive_read_support_filter_all(archive)
    archive_read_support_format_tar(archive)
    guard archive_read_open_filename(archive, path, 1 << 18) == ARCHIVE_OK else {
      throw failure("not a tar file")
    }
  }

  deinit { archive_read_free(archive) }

  private func failure(_ what: String) -> Failure {
    let words = archive_error_string(archive).map { String(cString: $0) }
    return Failure(
      .badData, what, at: path, expected: "a WebDataset: a tar file of samples",
      found: words.map { readable($0, most: 120) })
  }

  /// The next file that may belong to a sample; nil behind the last.
  private func file() throws -> (name: String, bytes: [UInt8])? {
    if let file = waiting {
      waiting = nil
      return file
    }
    while !isOver {
      var entry: OpaquePointer?
      let code = archive_read_next_header(archive, &entry)
      if code == ARCHIVE_EOF {
        isOver = true
        return nil
      }
      guard code == ARCHIVE_OK || code == ARCHIVE_WARN, let entry else {
        throw failure("the archive is damaged or cut off")
      }
      guard let pointer = archive_entry_pathname(entry) else { continue }
      let name = String(cString: pointer)
      let (_, ending) = TarReader.parts(name)
      guard archive_entry_filetype(entry) & 0o170000 == 0o100000, let ending,
        ending == "json" || TarReader.isPicture(ending)
      else { continue }
      return (name, try bytes(of: name))
    }
    return nil
  }

  private func bytes(of name: String) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = archive_read_data(archive, &piece, piece.count)
      if count == 0 { return bytes }
      guard count > 0 else { throw failure("the archive is damaged or cut off") }
      bytes.append(contentsOf: piece[..<count])
      guard bytes.count <= TarReader.mostBytes else {
        throw Failure(
          .badData, "a file of the archive is too large", at: "\(path), \(readable(name))",
          expected: "at most \(TarReader.mostBytes) bytes")
      }
    }
  }

  /// A sample's name, and what stands behind the first point of the file's own name; nil without one.
  static func parts(_ name: String) -> (key: String, ending: String?) {
    let start = name.lastIndex(of: "/").map { name.index(after: $0) } ?? name.startIndex
    guard let point = name[start...].firstIndex(of: "."), point > start else { return (name, nil) }
    return (String(name[..<point]), name[name.index(after: point)...].lowercased())
  }

  private static func isPicture(_ ending: String) -> Bool {
    let last = ending.split(separator: ".").last ?? ""
    return ["jpg", "jpeg", "png", "webp", "gif"].contains(last)
  }

  /// The next sample as a JSON entry; nil behind the last one. The line is its number, from 1.
  /// - Throws: `Failure` 65 for a damaged archive.
  func next() throws -> DatasetReader.Entry? {
    guard let first = try file() else { return nil }
    let key = TarReader.parts(first.name).key
    var members = [first]
    while let following = try file() {
      guard TarReader.parts(following.name).key == key else {
        waiting = following
        break
      }
      members.append(following)
    }
    defer { number += 1 }
    return DatasetReader.Entry(
      index: number, line: number + 1, bytes: TarReader.entry(key, members), file: path)
  }

  /// The sample as text. What is wrong with it is for whoever parses it to say.
  private static func entry(_ key: String, _ members: [(name: String, bytes: [UInt8])]) -> [UInt8] {
    let text = members.first { parts($0.name).ending == "json" }?.bytes
    guard let text, let json = try? JSON(parsing: text, place: key), var entry = json.asObject
    else {
      // Not one of its pictures: it names the sample that has no text.
      return text ?? Array(JSON.object(["id": .string(key)]).text().utf8)
    }
    let pictures = members.filter { isPicture(parts($0.name).ending ?? "") }
      .sorted { naturallyPrecedes($0.name, $1.name) }
    if !pictures.isEmpty {
      entry["image"] = nil
      entry["images"] = .array(
        pictures.map { .string("data:;base64," + Data($0.bytes).base64EncodedString()) })
    }
    if entry["id"] == nil { entry["id"] = .string(key) }
    return Array(JSON.object(entry).text().utf8)
  }
}
