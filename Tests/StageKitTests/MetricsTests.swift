import Foundation
import TestSupport
import Testing

@testable import StageKit

@Suite struct MetricsTests {
  private func lines(_ scratch: TemporaryFolder) throws -> [String] {
    try String(contentsOfFile: "\(scratch.path)/metrics.jsonl", encoding: .utf8)
      .split(separator: "\n").map(String.init)
  }

  @Test("A new run starts an empty file, a continued one keeps what it will not write again")
  func continuing() throws {
    let scratch = try TemporaryFolder()
    let first = try Metrics(directory: scratch.path, lines: [])
    for step in 1...3 { try first.append([("step", .int(step)), ("loss", .number(0.5))]) }
    first.close()
    #expect(try lines(scratch).first == #"{"step": 1, "loss": 0.5}"#)

    // A line that a kill cut in half.
    let file = try #require(FileHandle(forWritingAtPath: "\(scratch.path)/metrics.jsonl"))
    _ = try file.seekToEnd()
    try file.write(contentsOf: Data(#"{"step": 4, "lo"#.utf8))
    try file.close()

    let second = try Metrics(
      directory: scratch.path, keeping: { !$0.contains("\"step\": 3") })
    try second.append([("step", .int(3))])
    second.close()
    #expect(try lines(scratch).count == 3)
    #expect(try lines(scratch).last == #"{"step": 3}"#)

    try Metrics(directory: scratch.path, lines: []).close()
    #expect(try lines(scratch).isEmpty)
  }

  @Test("A folder that is not there is refused with 73")
  func noFolder() {
    #expect(
      failure { _ = try Metrics(directory: "/nowhere/at/all", lines: []) }?.code
        == .cannotCreate)
  }
}
