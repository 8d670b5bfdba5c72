import Foundation
import Testing

/// vlsi-generate and vlsi-evaluate from outside, on the run that all tests share.
@Suite(.serialized) struct GenerateTests {
  private let bench: Workbench

  init() throws { bench = try Workbench.shared.get() }

  private func json(_ outcome: Outcome) throws -> [String: Any] {
    #expect(outcome.code == 0, "\(outcome.errors)")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
  }

  private func answers(_ outcome: Outcome) throws -> [[String: Any]] {
    try #require(try json(outcome)["answers"] as? [[String: Any]])
  }

  private static let ask =
    "vlsi-generate --image $/data/images/test/00000.png --prompt colour "
    + "--max-new-tokens 6 --quiet"

  @Test("Streamed text is the text of the tokens, nothing else")
  func text() throws {
    let model = " --model $/model"
    let text = try bench.perform(Self.ask + model)
    let answer = try #require(try answers(bench.perform(Self.ask + model + " --format json")).first)
    #expect(text.output == (try #require(answer["text"] as? String)) + "\n")
    #expect(text.errors.isEmpty)
    #expect((answer["tokens"] as? [Int])?.isEmpty == false)
  }

  @Test("An image is a file, a URL of one, or its bytes, as in a data set")
  func images() throws {
    let file = "\(bench.path)/data/images/test/00000.png"
    let bytes = try Data(contentsOf: URL(fileURLWithPath: file)).base64EncodedString()
    let found = try [file, "file://\(file)", "data:image/png;base64,\(bytes)", bytes].map { image in
      let outcome = try bench.perform(
        "vlsi-generate --model $/model --max-new-tokens 4 --image \(image) --prompt what?")
      #expect(outcome.code == 0, "\(outcome.errors)")
      return outcome.output
    }
    #expect(Set(found).count == 1)
    let wrong = try bench.perform(
      "vlsi-generate --model $/model --image https://x.y/z.png --prompt what?")
    #expect(wrong.code == 65 && wrong.errors.contains("not fetched"))
  }

  @Test("Every layer and the model, side by side, before and after distillation")
  func layers() throws {
    let hear = Self.ask + " --verbalizers $/verbalizers/student --layers "
    for model in ["student", "model"] {
      let report = try json(bench.perform(hear + "all --format json --model $/\(model)"))
      let verbalizers = try #require(report["verbalizers"] as? [String: Any])
      #expect(verbalizers["reused"] as? Bool == (model == "model"))
      let answers = try #require(report["answers"] as? [[String: Any]])
      #expect(answers.map { $0["layer"] as? Int } == [2, 3, nil])
      // A layer alone says the same, and so does the model.
      let alone = try [2, 3].map { layer in
        let command = Self.ask + " --verbalizers $/verbalizers/student --layer \(layer)"
        return try bench.perform(command + " --model $/\(model)").output
      }
      let own = try bench.perform(Self.ask + " --model $/\(model)").output
      #expect(answers.map { ($0["text"] as? String ?? "") + "\n" } == alone + [own])
    }
    let table = try bench.perform(hear + "3 --model $/model").output.split(separator: "\n")
    #expect(table.count == 3)
    #expect(table[0].contains("are reused: \(bench.path)/model was fine-tuned from"))
    #expect(table[1].hasPrefix("layer 3  ") && table[2].hasPrefix("model    "))
  }

  @Test("Verbalizers are not reused on weights that fine-tuning did not write")
  func foreignWeights() throws {
    let copy = "\(bench.path)/tampered"
    try FileManager.default.copyItem(atPath: "\(bench.path)/model", toPath: copy)
    let file = "\(copy)/model.safetensors"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    bytes[bytes.count - 2] ^= 1
    try bytes.write(to: URL(fileURLWithPath: file))
    let outcome = try bench.perform(
      Self.ask + " --verbalizers $/verbalizers/student --layer 2 --model \(copy)")
    #expect(outcome.code == 65)
    #expect(outcome.message.contains(file), "\(outcome.message)")
  }

  @Test("The same seed draws the same, another seed something else; beams say their score")
  func methods() throws {
    let draw = Self.ask + " --model $/student --temperature 3 --top-k 200 --top-p 0.99 --seed "
    let first = try bench.perform(draw + "1")
    #expect(first.code == 0, "\(first.errors)")
    #expect(first.output == (try bench.perform(draw + "1").output))
    #expect(first.output != (try bench.perform(draw + "2").output))
    let search = try answers(bench.perform(Self.ask + " --model $/student --beams 3 --format json"))
    #expect((search.first?["score"] as? Double) ?? 1 < 0)
  }

  @Test("evaluate.beams: vlsi-evaluate answers as vlsi-generate does")
  func beams() throws {
    let preset = "\(bench.path)/beams.yaml"
    try
      (Workbench.preset.replacingOccurrences(
        of: "max_new_tokens: 4, batch: 8", with: "max_new_tokens: 4, batch: 3, beams: 3"))
      .write(toFile: preset, atomically: true, encoding: .utf8)
    let outcome = try bench.perform(
      "vlsi-evaluate --model $/student --benchmark $/data/test.tsv --images $/data --limit 5 "
        + "--preset \(preset) --output $/evaluation/beams")
    #expect(outcome.code == 0, "\(outcome.errors)")
    let file = "\(bench.path)/evaluation/beams/predictions.jsonl"
    let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 5)
    let table = try String(contentsOfFile: "\(bench.path)/data/test.tsv", encoding: .utf8)
      .split(separator: "\n").dropFirst().map { $0.split(separator: "\t").map(String.init) }
    for (line, row) in zip(lines, table) {
      let prediction = try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let alone = try run(
        "vlsi-generate",
        [
          "--model", "\(bench.path)/student", "--image", "\(bench.path)/data/\(row[1])",
          "--prompt", row[2], "--max-new-tokens", "4", "--beams", "3", "--quiet",
        ])
      #expect(alone.output == (prediction["prediction"] as? String ?? "") + "\n")
    }
  }

  @Test("A prompt that fills the model's positions, and a result that cannot be written")
  func limits() throws {
    let long = Array(repeating: "red", count: 2100).joined(separator: " ")
    let outcome = try run(
      "vlsi-generate", ["--model", "\(bench.path)/student", "--prompt", long])
    #expect(outcome.code == 65)
    #expect(outcome.message.contains("fewer than 2048 tokens"), "\(outcome.message)")
    let nearly = Array(repeating: "red", count: 2010).joined(separator: " ")
    let cut = try run("vlsi-generate", ["--model", "\(bench.path)/student", "--prompt", nearly])
    #expect(cut.code == 0 && cut.errors.contains("cut short"), "\(cut.errors)")

    for program in [
      "vlsi-generate --prompt red --model \(bench.path)/student",
      "vlsi-dump \(bench.path)/student",
    ] {
      let full = try run("/bin/sh", ["-c", "\(programs)/\(program) > /dev/full"])
      #expect(full.code == 74, "\(full.errors)")
      #expect(full.message.hasPrefix("error: standard output: "), "\(full.errors)")
    }
  }
}
