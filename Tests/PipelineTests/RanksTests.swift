import Foundation
import TestSupport
import Testing

/// The training stages as several ranks under MPI: the same losses as one process, the same bytes every
/// time, and an end in order.
@Suite struct TrainingRanksTests {
  static let launchers = ["mpirun.openmpi", "mpiexec.mpich"].filter {
    if systemProgram($0) == nil { print("skipped: no \($0)") }
    return systemProgram($0) != nil
  }

  /// Fifty steps of four passes, eight-bit moments where there are many.
  static let preset =
    Workbench.preset
    .replacing("align: {steps: 3,", with: "align: {steps: 50,")
    .replacing("finetune: {steps: 3,", with: "finetune: {steps: 50, moments: blockwise8,")
    .replacing("accumulation: 2", with: "accumulation: 4")
    .replacing("accumulation: 1", with: "accumulation: 4")
    .replacing("run: {seed: 3, threads: 1}", with: "run: {seed: 3, threads: 1, precision: float32}")
    .replacing("verbalize: {steps: 4", with: "verbalize: {steps: 20")

  private static func words(_ launcher: String, _ ranks: Int) -> [String] {
    [systemProgram(launcher) ?? launcher, "-n", "\(ranks)"]
      + (launcher == "mpirun.openmpi" ? ["--oversubscribe", "--bind-to", "none"] : [])
  }

  static let environment = [
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
  ]

  /// The command line that makes an artifact of the workbench with this suite's preset.
  private func line(_ artifact: String, _ output: String, in folder: TemporaryFolder) throws
    -> [String]
  {
    let preset = try folder.write(Self.preset, to: "preset.yaml")
    let bench = try Workbench.shared.get()
    var words = Workbench.command(artifact).replacing("$/preset.yaml", with: preset)
      .replacing("$", with: bench.path).split(separator: " ").map(String.init)
    words[0] = "\(programs)/\(words[0])"
    return words + ["--output", folder(output)]
  }

  private func perform(
    _ artifact: String, _ output: String, in folder: TemporaryFolder, ranks: Int,
    by launcher: String, interruptAfter: Double? = nil
  ) throws -> Outcome {
    let words =
      try (ranks > 1 ? Self.words(launcher, ranks) : [])
      + line(artifact, output, in: folder)
    return try run(
      words[0], Array(words.dropFirst()), environment: Self.environment,
      interruptAfter: interruptAfter)
  }

  private func losses(_ folder: String) throws -> [Double] {
    try String(contentsOfFile: folder + "/metrics.jsonl", encoding: .utf8).split(separator: "\n")
      .compactMap {
        (try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])?["loss"]
          as? Double
      }
  }

  private func expectEqual(_ found: String, _ wanted: String, within tolerance: Double) throws {
    let (a, b) = (try losses(found), try losses(wanted))
    #expect(a.count == b.count && !a.isEmpty)
    for (a, b) in zip(a, b) { #expect(abs(a - b) <= tolerance * abs(b)) }
  }

  @Test(arguments: ["adapter", "model", "verbalizers/teacher"], launchers)
  func `so many ranks train as one does`(artifact: String, launcher: String) throws {
    let folder = try TemporaryFolder()
    let alone = try perform(artifact, "1", in: folder, ranks: 1, by: launcher)
    #expect(alone.code == 0, "\(alone.errors)")
    for ranks in launcher == "mpirun.openmpi" ? [2, 3, 4] : [3] {
      let outcome = try perform(artifact, "\(ranks)", in: folder, ranks: ranks, by: launcher)
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(outcome.errors.contains("\(ranks) ranks of 1 thread"))
      try expectEqual(folder("\(ranks)"), folder("1"), within: 1e-4)
      if artifact.hasPrefix("verbalizers") {
        #expect(try bytes(of: folder("\(ranks)")) == bytes(of: folder("1")))
      }
    }
    let again = try perform(artifact, "again", in: folder, ranks: 3, by: launcher)
    #expect(again.code == 0)
    #expect(try bytes(of: folder("again")) == bytes(of: folder("3")))
    let twice = try perform(artifact, "again", in: folder, ranks: 2, by: launcher)
    #expect(twice.code == 0 && twice.errors.contains("nothing to do"))
  }

  @Test(.enabled(if: launchers.contains("mpirun.openmpi")))
  func `a step sends what the formula says`() throws {
    let folder = try TemporaryFolder()
    let outcome = try perform("model", "m", in: folder, ranks: 4, by: "mpirun.openmpi")
    let sent = try #require(outcome.errors.firstMatch(of: /each step sent ([0-9.]+) (MB|GB)/))
    let weights = try FileManager.default.attributesOfItem(
      atPath: "\(Workbench.shared.get().path)/student/model.safetensors")
    // bfloat16 on disk; sums there and weights back, 3 of 4 parts each, in float32. The vision encoder
    // does not learn.
    let size = try #require(weights[.size] as? Int)
    let most = Double(size) / 2 * 8 * 3 / 4 / 1e6
    let found = (Double(sent.1) ?? 0) * (sent.2 == "GB" ? 1000 : 1)
    #expect(found > 0 && found <= most * 1.05, "\(found) MB of \(most)")
  }

  // MARK: The end

  private final class Running {
    let process = Process()
    let errors: String

    init(_ words: [String], _ folder: TemporaryFolder) throws {
      errors = try folder.write("", to: "errors-\(UUID())")
      process.executableURL = URL(fileURLWithPath: words[0])
      process.arguments = Array(words.dropFirst())
      process.environment = ProcessInfo.processInfo.environment.merging(
        TrainingRanksTests.environment
      ) { $1 }
      process.standardError = FileHandle(forWritingAtPath: errors)
      process.standardOutput = FileHandle.nullDevice
      try process.run()
    }

    var text: String { (try? String(contentsOfFile: errors, encoding: .utf8)) ?? "" }

    /// Process ids of the ranks.
    func ranks() -> [Int32] {
      let output = try? run("/usr/bin/pgrep", ["-P", "\(process.processIdentifier)"])
      let children = (output?.output ?? "").split(separator: "\n").compactMap { Int32($0) }
      // hydra has a proxy between.
      let below = children.flatMap { child in
        ((try? run("/usr/bin/pgrep", ["-P", "\(child)"]))?.output ?? "").split(separator: "\n")
          .compactMap { Int32($0) }
      }
      return below.isEmpty ? children : below
    }

    func wait(until done: () -> Bool, seconds: Double = 60) {
      let end = Date().addingTimeInterval(seconds)
      while !done(), Date() < end { Thread.sleep(forTimeInterval: 0.02) }
    }
  }

  @Test(arguments: launchers, ["TERM", "KILL"])
  func `a rank that is told to stop or killed ends all, and others go on`(
    launcher: String, signal: String
  ) throws {
    let folder = try TemporaryFolder()
    let alone = try perform("model", "one", in: folder, ranks: 1, by: launcher)
    #expect(alone.code == 0)
    var words = Self.words(launcher, 3)
    words += try line("model", "m", in: folder) + ["--log-format", "text"]
    let running = try Running(words, folder)
    let metrics = folder("m/metrics.jsonl")
    running.wait(until: {
      ((try? String(contentsOfFile: metrics, encoding: .utf8)) ?? "").split(separator: "\n").count
        >= 3
    })
    let ranks = running.ranks()
    #expect(ranks.count == 3)
    let begun = Date()
    for rank in ranks.suffix(1) { try run("/usr/bin/env", ["kill", "-\(signal)", "\(rank)"]) }
    running.wait(until: { !running.process.isRunning })
    #expect(!running.process.isRunning && Date().timeIntervalSince(begun) < 60)
    #expect(running.process.terminationStatus != 0)
    if signal == "TERM" {
      #expect(running.process.terminationStatus == 75, "\(running.text)")
      #expect(running.text.contains("interrupted"))
      #expect(FileManager.default.fileExists(atPath: folder("m/unfinished/state.safetensors")))
    }
    // Two go on where three were, and end as one does.
    let last = try perform("model", "m", in: folder, ranks: 2, by: launcher)
    #expect(last.code == 0, "\(last.errors)")
    if signal == "TERM" { #expect(last.errors.contains("continuing after step")) }
    try expectEqual(folder("m"), folder("one"), within: 1e-4)
  }

  @Test(arguments: launchers) func `a rank that fails says so and ends all`(launcher: String) throws
  {
    let folder = try TemporaryFolder()
    // A checkpoint that is not there: all ranks find it out.
    var words = try Self.words(launcher, 2) + line("model", "m", in: folder)
    let place = try #require(words.firstIndex(of: "--model"))
    words[place + 1] = folder("nothing")
    let outcome = try run(words[0], Array(words.dropFirst()), environment: Self.environment)
    #expect(outcome.errors.contains("error: rank 0 of 2:"), "\(outcome.errors)")
    #expect(outcome.errors.contains("nothing"))
    #expect(!outcome.errors.contains("error: rank 1 of 2"))
    if launcher == "mpirun.openmpi" {
      #expect(outcome.code == 66)
    } else {
      #expect(outcome.code != 0)
    }
    #expect(!FileManager.default.fileExists(atPath: folder("m/manifest.json")))
  }

  @Test func `processes that no launcher connects are refused`() throws {
    let folder = try TemporaryFolder()
    for artifact in ["model", "adapter", "verbalizers/teacher", "samples"] {
      let words = try line(artifact, "m", in: folder)
      let outcome = try run(
        words[0], Array(words.dropFirst()),
        environment: ["SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1"])
      #expect(outcome.code == 64 && outcome.errors.contains("4 tasks"), "\(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: folder("m")))
    }
    // Shares need nothing of each other.
    let words = try line("samples", "m", in: folder) + ["--share", "1/4"]
    let share = try run(
      words[0], Array(words.dropFirst()), environment: ["SLURM_STEP_NUM_TASKS": "4"])
    #expect(share.code == 0)
  }
}
