import Foundation
import TestSupport
import Testing

/// Benchmarks as a user asks them: several in one run, some joining later, answers scored again.
@Suite("Several benchmarks asked by vlsi-evaluate")
struct BenchmarkRunTests {
  private let folder: TemporaryFolder
  private let bench: Workbench

  init() throws {
    folder = try TemporaryFolder()
    bench = try Workbench.shared.get()
    let table = try String(contentsOfFile: bench.path + "/data/test.tsv", encoding: .utf8)
    let lines = table.split(separator: "\n").map(String.init)
    for (name, rows) in [("one", 1..<7), ("two", 7..<13), ("three", 13..<17)] {
      try folder.write(([lines[0]] + lines[rows]).joined(separator: "\n") + "\n", to: "\(name).tsv")
    }
  }

  private func evaluate(_ benchmarks: [String], _ more: String = "") throws -> Outcome {
    let named = benchmarks.map { "--benchmark " + folder("\($0).tsv") }.joined(separator: " ")
    return try bench.perform(
      "vlsi-evaluate --model $/student --images $/data --preset $/preset.yaml \(named) \(more)")
  }

  private func lines(_ path: String) throws -> [String] {
    try String(contentsOfFile: folder(path), encoding: .utf8).split(separator: "\n").map(
      String.init)
  }

  /// What a manifest says, when it was made too.
  private func manifest(_ path: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: folder(path + "/manifest.json")))
  }

  @Test("Those that are finished stay when others join; together they are what each is alone")
  func joining() throws {
    let output = "--output " + folder("e")
    for name in ["one", "two", "three"] {
      let outcome = try evaluate([name], "--output " + folder("alone-\(name)"))
      #expect(outcome.code == 0, "\(outcome.errors)")
    }
    // Alone first, and then a part.
    #expect(try evaluate(["one"], output).code == 0)
    let first = try manifest("e")
    var outcome = try evaluate(["one", "two"], output)
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(try manifest("e/parts/one") == first)
    let second = try manifest("e/parts/two")
    outcome = try evaluate(["one", "two", "three"], output)
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(try manifest("e/parts/one") == first)
    #expect(try manifest("e/parts/two") == second)
    let alone = try ["one", "two", "three"].flatMap { try lines("alone-\($0)/predictions.jsonl") }
    #expect(try lines("e/predictions.jsonl") == alone)
    for name in ["one", "two", "three"] {
      #expect(try bytes(of: folder("e/parts/\(name)")) == bytes(of: folder("alone-\(name)")))
    }
    #expect(try evaluate(["one", "two", "three"], output).errors.contains("nothing to do"))
    #expect(!FileManager.default.fileExists(atPath: folder("e.adopting")))
  }

  @Test("One that was stopped while it became a part becomes it all the same")
  func stoppedWhileAdopted() throws {
    let output = "--output " + folder("e")
    #expect(try evaluate(["one"], output).code == 0)
    try FileManager.default.moveItem(atPath: folder("e"), toPath: folder("e.adopting"))
    let first = try manifest("e.adopting")
    let outcome = try evaluate(["one", "two"], output)
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(try manifest("e/parts/one") == first)
    #expect(!FileManager.default.fileExists(atPath: folder("e.adopting")))
  }

  @Test("Several benchmarks are made in shares too")
  func shares() throws {
    let whole = try evaluate(["one", "two"], "--output " + folder("whole"))
    #expect(whole.code == 0, "\(whole.errors)")
    for share in ["0/2", "1/2"] {
      let outcome = try evaluate(["one", "two"], "--output \(folder("e")) --share \(share)")
      #expect(outcome.code == 0, "\(outcome.errors)")
    }
    #expect(!FileManager.default.fileExists(atPath: folder("e/manifest.json")))
    #expect(try evaluate(["one", "two"], "--output " + folder("e")).code == 0)
    for part in ["parts/one", "parts/two"] {
      #expect(try bytes(of: folder("e/\(part)")) == bytes(of: folder("whole/\(part)")))
    }
    #expect(try lines("e/predictions.jsonl") == lines("whole/predictions.jsonl"))
  }

  @Test("The table for VLMEvalKit, scored again, has the same scores")
  func scoredAgain() throws {
    #expect(try evaluate(["two"], "--output " + folder("e")).code == 0)
    let table = folder("e/predictions.tsv")
    let again = "vlsi-evaluate --predictions \(table) --output \(folder("again"))"
    let outcome = try bench.perform(again)
    #expect(outcome.code == 0, "\(outcome.errors)")
    func scores(_ path: String) throws -> [String] {
      try lines(path).map {
        let object = try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
        return "\(object?["index"] ?? "") \(object?["rule"] ?? "") \(object?["score"] ?? "")"
      }
    }
    #expect(try scores("again/predictions.jsonl") == scores("e/predictions.jsonl"))
    // Nothing that is finished is changed.
    let refused = try bench.perform("vlsi-evaluate --predictions \(table) --output \(folder("e"))")
    #expect(refused.code == 73 && refused.errors.contains("holds an artifact"))
    let none = try bench.perform(
      "vlsi-evaluate --predictions \(folder("one.tsv")) --output \(folder("x"))")
    #expect(none.code == 65 && none.errors.contains("prediction"))
  }

  @Test("A row's prompt is shown, its image tokens counted, and nothing is written")
  func shownPrompt() throws {
    let question = try lines("one.tsv")[2].split(separator: "\t").map(String.init)[2]
    let outcome = try evaluate(["one"], "--show-prompt 2")
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.output.contains(question) && outcome.output.contains(" × 16"))
    #expect(try evaluate(["one"], "--show-prompt 7").code == 64)
    #expect(try evaluate(["one"], "--show-prompt 0").code == 64)
  }

  @Test("Models are set beside each other on the benchmarks that they were asked")
  func compared() throws {
    #expect(try evaluate(["one", "two"], "--output " + folder("e")).code == 0)
    let other = try bench.perform(
      "vlsi-evaluate --model $/model --images $/data --preset $/preset.yaml --benchmark "
        + "\(folder("one.tsv")) --benchmark \(folder("two.tsv")) --output \(folder("f"))")
    #expect(other.code == 0, "\(other.errors)")
    let table = try bench.perform(
      "vlsi-compare \(folder("e")) \(folder("f")) --output \(folder("table"))")
    #expect(table.code == 0, "\(table.errors)")
    let text = try String(contentsOfFile: folder("table.md"), encoding: .utf8)
    #expect(text.contains("one") && text.contains("two"))
    #expect(try bench.perform("vlsi-compare \(folder("e")) \(folder("nothing"))").code == 66)
  }

  @Test("Names that are one, and files that are none, are refused before anything is asked")
  func refused() throws {
    try FileManager.default.createDirectory(
      atPath: folder("sub"), withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: folder("one.tsv"), toPath: folder("sub/one.tsv"))
    let twice = try evaluate(["one", "sub/one"], "--output " + folder("e"))
    #expect(twice.code == 64 && twice.errors.contains("two benchmarks have one name"))
    #expect(try evaluate(["one", "nothing"], "--output " + folder("e")).code == 66)
  }
}
