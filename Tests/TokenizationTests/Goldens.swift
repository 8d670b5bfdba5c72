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
