import Artifacts
import Foundation
import Testing

@testable import Tokenization

/// The files that Tests/Goldens/make_text_goldens.py made.
enum Goldens {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Goldens/text").path

  static func json(_ name: String) throws -> JSON {
    let path = folder + "/" + name
    let bytes = try Files.read(path)
    return try JSON(parsing: bytes, place: path)
  }

  static func ids(_ value: JSON?) -> [Int32] {
    (value?.asArray ?? []).compactMap { $0.asInt.map { Int32($0) } }
  }
}

/// A folder that is gone after the test.
struct TemporaryFolder: ~Copyable {
  let path = NSTemporaryDirectory() + "vlsi-text-" + UUID().uuidString

  init() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ text: String, to name: String) throws {
    try text.write(toFile: path + "/" + name, atomically: true, encoding: .utf8)
  }
}
