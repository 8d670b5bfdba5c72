import Foundation
import Testing

/// The built programs, one after another, as `make` runs them.
@Suite(.serialized) struct EndToEndTests {
  private let bench: Workbench

  init() throws { bench = try Workbench.shared.get() }

  @Test(
    "Every stage ends well and writes its artifact", arguments: Workbench.stages.map(\.artifact))
  func stage(_ artifact: String) throws {
    let outcome = try #require(bench.outcomes[artifact])
    #expect(outcome.code == 0, "\(outcome.errors)")
    if Workbench.artifacts.contains(artifact) {
      let manifest = try bench.manifest(artifact)
      #expect(manifest["format_version"] as? Int == 2)
      let left = try FileManager.default.contentsOfDirectory(atPath: "\(bench.path)/\(artifact)")
        .filter { $0.hasSuffix(".partial") || $0.hasPrefix("unfinished") }
      #expect(left.isEmpty)
    }
  }

  @Test(
    "A second call finds nothing to do", arguments: Workbench.artifacts.filter { $0 != "report" })
  func again(_ artifact: String) throws {
    let before = try bytes(of: "\(bench.path)/\(artifact)")
    let outcome = try bench.perform(Workbench.command(artifact) + " --output $/\(artifact)")
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.errors.contains("nothing to do"), "\(outcome.errors)")
    #expect(try bytes(of: "\(bench.path)/\(artifact)") == before)
  }

  @Test(
    "The same command elsewhere writes the same bytes",
    arguments: [
      "samples", "features/student", "verbalizers/student", "targets", "adapter", "model",
    ])
  func sameBytes(_ artifact: String) throws {
    let outcome = try bench.perform(Workbench.command(artifact) + " --output $/again/\(artifact)")
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(
      try bytes(of: "\(bench.path)/again/\(artifact)") == bytes(of: "\(bench.path)/\(artifact)"))
  }

  @Test("A budget of hours is all samples, some of them, or too little")
  func budget() throws {
    func plan(_ hours: String) throws -> Outcome {
      try bench.perform(
        "vlsi-plan --preset $/preset.yaml --teacher $/teacher --student $/student --samples $/samples "
          + "--run $/planned --set run.budget_hours=\(hours) --budget $/planned-\(hours)")
    }
    let ample = try plan("100")
    #expect(ample.code == 0 && ample.output.contains("all samples fit into"), "\(ample.errors)")
    let count = try String(contentsOfFile: "\(bench.path)/planned-100", encoding: .utf8)
    let facts = try #require(try bench.manifest("samples")["facts"] as? [String: Any])
    #expect(Int(count.trimmingCharacters(in: .newlines)) == facts["data_set_entries"] as? Int)
    let little = try plan("0.001")
    // What takes long whatever the data may be more than these seconds.
    #expect(little.code == 0 || little.code == 78, "\(little.errors)")
    if little.code == 78 { #expect(little.errors.contains("at least")) }
  }

  @Test(
    "A stage that is stopped ends with 75 and goes on to the same bytes",
    arguments: [
      ("verbalizers/student", "verbalize: {steps: 2000, tokens_per_batch: 64}"),
      ("adapter", "align: {steps: 120, samples_per_batch: 3, lora_rank: 4, accumulation: 1}"),
      ("model", "finetune: {steps: 120, samples_per_batch: 3, accumulation: 1}"),
    ])
  func interrupting(_ artifact: String, _ section: String) throws {
    let name = artifact.replacingOccurrences(of: "/", with: "-")
    let preset = "\(bench.path)/long-\(name).yaml"
    try "extends: preset.yaml\n\(section)\n"
      .write(toFile: preset, atomically: true, encoding: .utf8)
    let command =
      (Workbench.stages.first { $0.artifact == artifact }?.command ?? "") + " --preset \(preset)"
    let start = Date()
    #expect(try bench.perform("\(command) --output $/whole/\(name)").code == 0)
    let duration = Date().timeIntervalSince(start)

    var codes: [Int32] = []
    for share in [0.4, 0.4, nil] {
      let outcome = try bench.perform(
        "\(command) --output $/parts/\(name)", interruptAfter: share.map { $0 * duration })
      codes.append(outcome.code)
      let isFinished = FileManager.default.fileExists(
        atPath: "\(bench.path)/parts/\(name)/manifest.json")
      #expect(isFinished == (outcome.code == 0))
      if outcome.code == 0 { break }
      #expect(outcome.code == 75, "\(outcome.errors)")
      #expect(outcome.message.contains("Run the same command again to continue"))
    }
    #expect(codes.first == 75, "the stage was over before it could be stopped")
    #expect(codes.last == 0)
    #expect(
      try bytes(of: "\(bench.path)/parts/\(name)") == bytes(of: "\(bench.path)/whole/\(name)"))
  }

  @Test("The dump reads every artifact and finds it whole", arguments: Workbench.artifacts)
  func dump(_ artifact: String) throws {
    for option in ["", " --verify", " --format json"] {
      let outcome = try bench.perform("vlsi-dump $/\(artifact)\(option)")
      #expect(outcome.code == 0, "\(option): \(outcome.errors)")
      #expect(!outcome.output.isEmpty)
    }
  }

  @Test("A flipped byte is found and named")
  func corrupted() throws {
    let copy = "\(bench.path)/corrupted"
    try FileManager.default.copyItem(atPath: "\(bench.path)/features/student", toPath: copy)
    let shard = "\(copy)/shard-00000.lmdb"
    var data = try Data(contentsOf: URL(fileURLWithPath: shard))
    let middle = data.count / 2
    data[middle] ^= 0x40
    try data.write(to: URL(fileURLWithPath: shard))
    let outcome = try bench.perform("vlsi-dump \(copy) --verify")
    #expect(outcome.code == 65, "\(outcome.errors)")
    #expect((outcome.output + outcome.errors).contains("shard-00000.lmdb"))
  }
}
