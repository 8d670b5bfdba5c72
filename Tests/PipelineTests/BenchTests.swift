import Foundation
import TestSupport
import Testing

/// What `vlsi-bench` promises those who read its results by program.
@Suite struct BenchTests {
  private static func bench(_ thresholds: String, in scratch: TemporaryFolder) throws -> Outcome {
    let file = try scratch.write(thresholds, to: "thresholds.txt")
    return try run(
      "vlsi-bench",
      [
        "--only", "attention-causal", "--seconds", "0", "--threads", "2", "--check", file, "--json",
        scratch("bench.json"),
      ])
  }

  @Test func `a row says how fast it is, what bounds it and how near it comes`() throws {
    let scratch = try TemporaryFolder()
    let outcome = try Self.bench("attention-causal share at-least 0.001", in: scratch)
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("attention-causal"))
    let data = try Data(contentsOf: URL(fileURLWithPath: scratch("bench.json")))
    let report = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(report["threads"] as? Int == 2)
    let rows = try #require(report["rows"] as? [[String: Any]])
    let row = try #require(rows.first)
    #expect(rows.count == 1)
    #expect(row["bound"] as? [String] == ["sgemm"])
    #expect(row["unit"] as? String == "GFLOP/s")
    for field in ["seconds", "rate", "share", "serial_share", "peak_bytes", "scratch_bytes"] {
      let value = try #require(row[field] as? Double, "\(field)")
      #expect(value >= 0 && value.isFinite, "\(field)")
    }
    #expect(row["fresh_blocks"] is Int && row["page_faults"] is Int)
    let limits = try #require(report["limits"] as? [String: Double])
    #expect(limits.keys.sorted() == ["sgemm"])
  }

  @Test func `past a threshold it ends with 65, once the results are out`() throws {
    let scratch = try TemporaryFolder()
    let outcome = try Self.bench("attention-causal peak_bytes at-most 1 # byte", in: scratch)
    #expect(outcome.code == 65)
    #expect(
      outcome.message.hasPrefix(
        "error: attention-causal: peak_bytes is past its threshold; expected at most 1.0, found "))
    #expect(outcome.output.contains("attention-causal"))
    #expect(FileManager.default.fileExists(atPath: scratch("bench.json")))
  }

  @Test func `a threshold of no row is refused before anything is measured`() throws {
    let scratch = try TemporaryFolder()
    let outcome = try Self.bench("# rows\nattention share at-least 0.5", in: scratch)
    #expect(outcome.code == 65)
    #expect(outcome.message.contains("thresholds.txt:2: no threshold"))
    #expect(outcome.output.isEmpty)
  }

  @Test func `the thresholds of the repository name rows that there are`() throws {
    let outcome = try run(
      "vlsi-bench",
      [
        "--only", "attention-causal", "--seconds", "0", "--precision", "bfloat16", "--check",
        "pipeline/bench-limits.txt",
      ])
    #expect([0, 65].contains(outcome.code))
    #expect(!outcome.message.contains("no threshold"), "\(outcome.message)")
  }
}
