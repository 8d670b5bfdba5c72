import Foundation
import Glibc
import TestSupport
import Testing

/// Programs that make shares of one artifact beside each other.
@Suite struct SharedStageTests {
  static let artifacts = [
    "samples", "features/teacher", "targets", "evaluation/student",
  ]

  /// Starts a program and kills it outright after so many seconds.
  private func kill(_ words: [String], after seconds: Double) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "\(programs)/\(words[0])")
    process.arguments = Array(words.dropFirst())
    (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
    try process.run()
    Thread.sleep(forTimeInterval: seconds)
    Glibc.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  @Test(arguments: artifacts)
  func `shares that are killed and begun again end with the bytes of one process`(
    artifact: String
  ) throws {
    let bench = try Workbench.shared.get()
    let folder = try TemporaryFolder()
    let output = folder("shared")
    let line = Workbench.command(artifact) + " --output \(output)"
    let words = line.split(separator: " ").map {
      $0.replacingOccurrences(of: "$", with: bench.path)
    }
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<3 {
      let number = Int.random(in: 0..<3, using: &generator)
      try kill(
        words + ["--share", "\(number)/3"], after: .random(in: 0.02..<0.4, using: &generator))
    }
    DispatchQueue.concurrentPerform(iterations: 3) { number in
      let outcome = try? bench.perform(line + " --share \(number)/3")
      #expect(outcome?.code == 0, "\(outcome?.errors ?? "not started")")
    }
    #expect(!FileManager.default.fileExists(atPath: output + "/manifest.json"))
    let last = try bench.perform(line)
    #expect(last.code == 0, "\(last.errors)")
    #expect(try bytes(of: output) == bytes(of: "\(bench.path)/\(artifact)"))
    let manifest = try Data(contentsOf: URL(fileURLWithPath: output + "/manifest.json"))
    let made = try #require(try JSONSerialization.jsonObject(with: manifest) as? [String: Any])
    #expect(made["content"] as? String == (try bench.manifest(artifact)["content"] as? String))
    let again = try bench.perform(line + " --share 0/2")
    #expect(again.code == 0 && again.errors.contains("nothing to do"))
  }

  @Test(arguments: [
    ("--share 3/3", "3/3"), ("--share 1", "i/n"), ("--share -1/2", "share"), ("--share 0/0", "0/0"),
    ("--share a/b", "a/b"), ("--shards 4:4", "4:4"), ("--shards 5", "5"),
    ("--share 0/2 --shards 0:1", "exclude"), ("--share 0/2 --redo", "--redo"),
  ])
  func `shares that are none are refused`(options: String, part: String) throws {
    let bench = try Workbench.shared.get()
    let folder = try TemporaryFolder()
    let outcome = try bench.perform(
      Workbench.command("samples") + " --output \(folder("new")) \(options)")
    #expect(outcome.code == 64 && outcome.errors.contains(part), "\(outcome.errors)")
    #expect(!FileManager.default.fileExists(atPath: folder("new")))
  }

  @Test func `a share of shards that there are not has nothing to do`() throws {
    let bench = try Workbench.shared.get()
    let folder = try TemporaryFolder()
    let line = Workbench.command("features/teacher") + " --output \(folder("new"))"
    #expect(try bench.perform(line + " --shards 90:100").code == 0)
    #expect(try bench.perform(line).code == 0)
    #expect(try bytes(of: folder("new")) == bytes(of: "\(bench.path)/features/teacher"))
  }
}
