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
    #expect(try lines(scratch).first?.hasPrefix(#"{"step": 1, "loss": 0.5, "time": "#) == true)

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
    #expect(try lines(scratch).last?.hasPrefix(#"{"step": 3, "time": "#) == true)

    try Metrics(directory: scratch.path, lines: []).close()
    #expect(try lines(scratch).isEmpty)
  }

  private func events(_ scratch: TemporaryFolder) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: scratch.path)
      .filter { $0.hasPrefix("events.out.tfevents.") }
  }

  @Test("What has no steps has no curves")
  func noCurves() throws {
    let scratch = try TemporaryFolder()
    let metrics = try Metrics(directory: scratch.path, lines: [#"{"shard": 0, "samples": 3}"#])
    try metrics.append([("shard", .int(1)), ("samples", .int(3))])
    metrics.close()
    #expect(try events(scratch).isEmpty)
  }

  @Test(
    "TensorBoard shows the curves, those of a continued run once",
    .enabled(
      if: Python.has("tensorboard", "numpy", "absl"),
      "needs Python with tensorboard: `make test` provides it as VLSI_PYTHON"))
  func tensorBoard() throws {
    let scratch = try TemporaryFolder()
    func write(_ steps: Range<Int>, to metrics: Metrics, _ scale: Double) throws {
      for step in steps {
        try metrics.append([
          ("step", .int(step)), ("loss", .number(scale * Double(step))),
          ("terms", .list([.number(1.5), .number(-2)])), ("matches", .list([.list([.int(2)])])),
        ])
        for layer in [2, 12] {
          try metrics.append([
            ("step", .int(step)), ("layer", .int(layer)), ("rate", .number(Double(layer))),
          ])
        }
      }
    }
    let first = try Metrics(directory: scratch.path, lines: [])
    try write(0..<5, to: first, 1)
    first.close()
    let second = try Metrics(
      directory: scratch.path,
      keeping: { line in (0..<3).contains { line.contains("\"step\": \($0),") } })
    try write(3..<6, to: second, 10)
    second.close()
    #expect(try events(scratch).count == 1)
    let (status, text) = Python.run([
      "-c",
      """
      import sys
      from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
      found = EventAccumulator(sys.argv[1])
      found.Reload()
      for tag in sorted(found.Tags()["scalars"]):
          values = found.Scalars(tag)
          assert all(v.wall_time > 1.7e9 for v in values)
          print(tag, *(f"{v.step}:{v.value:g}" for v in values), sep="|")
      """, scratch.path,
    ])
    #expect(status == 0, "\(text)")
    #expect(
      text.split(separator: "\n").filter { $0.contains("|") } == [
        "loss|0:0|1:1|2:2|3:30|4:40|5:50", "rate of layer 12|0:12|1:12|2:12|3:12|4:12|5:12",
        "rate of layer 2|0:2|1:2|2:2|3:2|4:2|5:2", "terms/0|0:1.5|1:1.5|2:1.5|3:1.5|4:1.5|5:1.5",
        "terms/1|0:-2|1:-2|2:-2|3:-2|4:-2|5:-2",
      ], "\(text)")
  }

  @Test("A folder that is not there is refused with 73")
  func noFolder() {
    #expect(
      failure { _ = try Metrics(directory: "/nowhere/at/all", lines: []) }?.code
        == .cannotCreate)
  }
}
