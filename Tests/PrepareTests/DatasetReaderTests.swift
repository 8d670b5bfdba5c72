import Failures
import Foundation
import TestSupport
import Testing

@testable import vlsi_prepare

@Suite struct DatasetReaderTests {
  func entries(_ text: String, longest: Int = 1 << 20) throws -> [DatasetReader.Entry] {
    let folder = try TemporaryFolder()
    let path = try folder.write(text, to: "data.json")
    let reader = try DatasetReader(path: path, longestEntry: longest)
    var result: [DatasetReader.Entry] = []
    while let entry = try reader.next() { result.append(entry) }
    return result
  }

  func texts(_ text: String) throws -> [String] {
    try entries(text).map {
      String(decoding: $0.bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
  }

  func failure(_ text: String) -> Failure? {
    do {
      _ = try entries(text, longest: 1000)
      return nil
    } catch { return error as? Failure }
  }

  @Test("An array is read entry by entry: nested values, brackets and quotes inside strings")
  func array() throws {
    #expect(
      try texts(#"[{"a": [1, {"b": 2}]}, {"c": "],[\"}{"}, 3, "x,y", [1,2] , {"d":"\\"}]"#)
        == [
          #"{"a": [1, {"b": 2}]}"#, #"{"c": "],[\"}{"}"#, "3", #""x,y""#, "[1,2]", #"{"d":"\\"}"#,
        ])
    #expect(try texts("\u{FEFF} \n [ ]  \n").isEmpty)
    let many =
      "[" + (0..<40_000).map { "{\"n\": \($0), \"t\": \"é\"}" }.joined(separator: ",\n") + "]"
    let found = try entries(many)
    #expect(found.count == 40_000)
    #expect(found.last?.index == 39_999 && found.last?.line == 40_000)
  }

  @Test("Every third entry, numbered anew, with the lines of the file")
  func everyThird() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(
      "[" + (0..<8).map { "\n\($0)" }.joined(separator: ",") + "]", to: "a")
    let reader = try DatasetFiles(path).entries(every: 3)
    var found: [DatasetReader.Entry] = []
    while let entry = try reader.next() { found.append(entry) }
    #expect(found.map { String(decoding: $0.bytes, as: UTF8.self) } == ["0", "3", "6"])
    #expect(found.map(\.index) == [0, 1, 2])
    #expect(found.map(\.line) == [2, 5, 8])
    #expect(try reader.next() == nil)
  }

  @Test("JSON Lines: empty lines do not count, the last line needs no end, lines are numbered")
  func lines() throws {
    let found = try entries("{\"a\": 1}\n\n  \r\n{\"b\": 2}\r\n{broken\n{\"c\": 3}")
    #expect(found.map(\.index) == [0, 1, 2, 3])
    #expect(found.map(\.line) == [1, 4, 5, 6])
  }

  @Test(
    "An array that is malformed is bad data, 65, and the message names the line",
    arguments: [
      ("[\n{\"a\": 1}\n{\"b\": 2}]", "line 3"), ("[{\"a\": 1},\n\n]", "line 3"),
      ("[{\"a\": 1},\n{\"b\": [1, 2}", "line 2"), ("[{\"a\": 1}", "line 1"), ("[", "line 1"),
      ("[1]\n]", "line 2"), ("[,1]", "line 1"), ("[1,,2]", "line 1"),
      ("[1,\n{\"a\": [1}\n, 2, 3]", "line 2: not valid JSON: '}' closes another bracket"),
      ("[\n\"" + String(repeating: "x", count: 2000), "line 2"), ("", "empty"), (" \n ", "empty"),
    ])
  func malformed(_ text: String, _ message: String) {
    let failure = failure(text)
    #expect(failure?.code == .badData)
    #expect("\(failure.map { "\($0)" } ?? "")".contains(message))
  }

  @Test("A data set that is missing, or a folder, is missing input, 66")
  func missing() throws {
    let folder = try TemporaryFolder()
    for path in [folder.path + "/nothing", folder.path] {
      #expect { try DatasetReader(path: path) } throws: {
        ($0 as? Failure)?.code == .inputMissing
      }
    }
  }
}
