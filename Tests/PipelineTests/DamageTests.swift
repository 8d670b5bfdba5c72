import Artifacts
import Foundation
import TestSupport
import Testing

/// What a checksum knows is noticed by the stage that reads it; what is made again is one shard.
@Suite struct DamageTests {
  private let bench: Workbench
  private let folder: TemporaryFolder

  init() throws {
    bench = try Workbench.shared.get()
    folder = try TemporaryFolder()
  }

  private func copy(_ artifact: String) throws -> String {
    let path = folder(artifact.replacingOccurrences(of: "/", with: "-"))
    try FileManager.default.copyItem(atPath: "\(bench.path)/\(artifact)", toPath: path)
    return path
  }

  private func flip(_ path: String, at share: Double = 0.5) throws {
    var bytes = try Files.read(path)
    bytes[Int(Double(bytes.count - 1) * share)] ^= 1
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  @Test(
    "A flipped bit in what a stage reads is refused with 65, naming the file",
    arguments: [
      ("adapter", "adapter_config.json", "model"),
      ("adapter", "adapter_model.safetensors", "model"),
      ("verbalizers/student", "verbalizers.safetensors", "adapter"),
      ("verbalizers/teacher", "verbalizers.safetensors", "targets"),
      ("targets", "shard-00000.lmdb", "adapter"),
      ("features/teacher", "shard-00001.lmdb", "verbalizers/teacher"),
      ("samples", "shard-00000.lmdb", "features/student"),
      ("model", "model.safetensors", "evaluation/model"),
      ("model", "tokenizer.json", "evaluation/model"),
    ])
  func noticed(artifact: String, file: String, reader: String) throws {
    for share in [0.1, 0.9] {
      let path = try copy(artifact)
      defer { try? Files.removeTree(path) }
      try flip("\(path)/\(file)", at: share)
      let command = Workbench.command(reader)
        .replacingOccurrences(of: "$/\(artifact)", with: path)
      let outcome = try bench.perform("\(command) --output \(folder("out"))")
      #expect(outcome.code == 65, "\(outcome.errors)")
      #expect(outcome.message.contains(file), "\(outcome.errors)")
    }
  }

  /// A byte that belongs to no record is covered too: a shard is compared as a whole.
  @Test("A bit in the slack of a shard is noticed")
  func slack() throws {
    let path = try copy("samples")
    let shard = "\(path)/shard-00000.lmdb"
    var bytes = try Files.read(shard)
    let zeros = try #require(
      bytes.indices.first {
        $0 > 8192 && bytes[$0..<min($0 + 64, bytes.count)].allSatisfy { $0 == 0 }
      })
    bytes[zeros + 32] = 1
    try Data(bytes).write(to: URL(fileURLWithPath: shard))
    let command = Workbench.command("features/student")
      .replacingOccurrences(of: "$/samples", with: path)
    #expect(try bench.perform("\(command) --output \(folder("out"))").code == 65)
  }

  @Test(
    "A changed number anywhere in a manifest is refused",
    arguments: [
      "temperature", "shared_vocabulary", "bytes", "first", "last", "records", "wall_seconds",
    ])
  func manifest(member: String) throws {
    let path = try copy("targets")
    let file = "\(path)/manifest.json"
    let text = String(decoding: try Files.read(file), as: UTF8.self)
    let range = try #require(text.range(of: #""\#(member)": [0-9]"#, options: .regularExpression))
    let digit = try #require(text[range].last.flatMap { Int(String($0)) })
    let edited = text.replacingCharacters(
      in: range, with: text[range].dropLast() + "\(digit == 9 ? 8 : digit + 1)")
    try writeAtomically(edited, to: file)
    let command = Workbench.command("adapter").replacingOccurrences(of: "$/targets", with: path)
    let outcome = try bench.perform("\(command) --output \(folder("out"))")
    #expect(outcome.code == 65 && outcome.message.contains("changed after it was written"))
  }

  @Test("An edited score is not reported")
  func scores() throws {
    let run = folder("run")
    try Files.makeDirectory(run)
    for part in ["samples", "model", "evaluation"] {
      try FileManager.default.copyItem(atPath: "\(bench.path)/\(part)", toPath: "\(run)/\(part)")
    }
    let file = "\(run)/evaluation/model/scores.json"
    let text = String(decoding: try Files.read(file), as: UTF8.self)
    try writeAtomically(text.replacingOccurrences(of: "questions", with: "Questions"), to: file)
    let outcome = try bench.perform("vlsi-report --run \(run) --output \(run)/report")
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("evaluation damaged"))
  }

  @Test(
    "A damaged shard is one shard's work, by the stage's own command",
    arguments: ["samples", "features/student", "targets", "evaluation/model"])
  func repair(artifact: String) throws {
    let path = try copy(artifact)
    let before = try bytes(of: path)
    let stamp = Files.stamp("\(path)/manifest.json")
    let shard = "\(path)/shard-00000.lmdb"
    for damage in 0..<2 {
      if damage == 0 { try Files.remove(shard) } else { try flip(shard) }
      let outcome = try bench.perform("\(Workbench.command(artifact)) --output \(path)")
      #expect(outcome.code == 0 && outcome.errors.contains("repaired"), "\(outcome.errors)")
      #expect(try bytes(of: path) == before)
      #expect(Files.stamp("\(path)/manifest.json") == stamp)
    }
    #expect(try bench.perform("vlsi-dump \(path) --verify").code == 0)
  }

  @Test("An evaluation that is stopped goes on with the answers that it has")
  func evaluation() throws {
    let output = folder("evaluation")
    let preset = folder("long.yaml")
    let rows = (0..<900).map { "\($0)\ta.png\twhat is it?\tx\n" }.joined()
    try writeAtomically("index\timage_path\tquestion\tanswer\n" + rows, to: folder("long.tsv"))
    try writeAtomically("evaluate: {max_new_tokens: 40, batch: 8}\n", to: preset)
    let image = try #require(
      FileManager.default.subpaths(atPath: "\(bench.path)/data")?.first { $0.hasSuffix(".png") })
    try FileManager.default.copyItem(
      atPath: "\(bench.path)/data/\(image)", toPath: folder("a.png"))
    func run(_ output: String, after: Double? = nil) throws -> Outcome {
      try bench.perform(
        "vlsi-evaluate --model $/student --benchmark \(folder("long.tsv")) --preset \(preset) "
          + "--threads 1 --output \(output)", interruptAfter: after)
    }
    let start = Date()
    #expect(try run(folder("whole")).code == 0)
    let whole = Date().timeIntervalSince(start)
    let stopped = try run(output, after: whole * 0.5)
    #expect(stopped.code == 75, "\(stopped.errors)")
    let shards = try Files.list(output).filter { $0.hasSuffix(".lmdb") }
    #expect(!shards.isEmpty && shards.count < 15)
    let stamps = shards.map { Files.stamp("\(output)/\($0)") }
    #expect(try run(output).code == 0)
    #expect(shards.map { Files.stamp("\(output)/\($0)") } == stamps)
    #expect(try bytes(of: output) == bytes(of: folder("whole")))
    let lines = String(decoding: try Files.read("\(output)/metrics.jsonl"), as: UTF8.self)
    #expect(lines.split(separator: "\n").count == 15)
  }

  @Test("Garbage in a checkpoint's tokenizer or image processor is found by --verify")
  func checkpoint() throws {
    for file in ["tokenizer.json", "preprocessor_config.json"] {
      let path = try copy("student")
      defer { try? Files.removeTree(path) }
      #expect(try bench.perform("vlsi-dump \(path) --verify").code == 0)
      try writeAtomically("garbage", to: "\(path)/\(file)")
      let outcome = try bench.perform("vlsi-dump \(path) --verify")
      #expect(outcome.code == 65 && outcome.output.contains(file), "\(outcome.output)")
    }
  }
}
