import Foundation
import Testing

/// Inputs that must be refused at start: the exit code, what the message names, and that nothing
/// half-written is left. `$` stands for a finished run.
@Suite(.serialized) struct RefusalTests {
  private let bench: Workbench

  init() throws {
    bench = try Workbench.shared.get()
    let manager = FileManager.default
    // An artifact that was never finished, and a student with another tokenizer.
    if !manager.fileExists(atPath: "\(bench.path)/broken") {
      try manager.createDirectory(
        atPath: "\(bench.path)/broken/unfinished", withIntermediateDirectories: true)
      let other = "\(bench.path)/broken/other"
      try manager.copyItem(atPath: "\(bench.path)/student", toPath: other)
      let tokenizer = "\(other)/tokenizer.json"
      let text = try String(contentsOfFile: tokenizer, encoding: .utf8)
      // Two words change places: other ids for the same text.
      #expect(text.contains("Ġred\"") && text.contains("Ġblue\""))
      try text.replacingOccurrences(of: "Ġred\"", with: "@@\"")
        .replacingOccurrences(of: "Ġblue\"", with: "Ġred\"")
        .replacingOccurrences(of: "@@\"", with: "Ġblue\"")
        .write(toFile: tokenizer, atomically: true, encoding: .utf8)
      try "align: {learning_rat: 1}\n"
        .write(toFile: "\(bench.path)/broken/key.yaml", atomically: true, encoding: .utf8)
      try "align: {steps: some}\n"
        .write(toFile: "\(bench.path)/broken/type.yaml", atomically: true, encoding: .utf8)
    }
  }

  struct Case: CustomTestStringConvertible, Sendable {
    var code: Int32
    /// Parts of the message.
    var names: [String]
    var command: String
    var testDescription: String { command }

    init(_ code: Int32, _ names: [String], _ command: String) {
      self.code = code
      self.names = names
      self.command = command
    }
  }

  static let cases = [
    // Presets
    Case(
      78, ["key.yaml:1", "learning_rat", "learning_rate"],
      "vlsi-extract --preset $/broken/key.yaml --model $/student --samples $/samples"),
    Case(
      78, ["type.yaml:1", "align.steps", "a whole number"],
      "vlsi-prepare --preset $/broken/type.yaml --dataset $/data/train.json --model $/student"),
    Case(
      66, ["none.yaml"],
      "vlsi-verbalize --preset $/none.yaml --model $/student --features $/features/student"),
    Case(
      78, ["layer 9", "layers 1 to 4"],
      "vlsi-extract --layers 2,9 --model $/student --samples $/samples"),
    Case(64, ["--layers"], "vlsi-extract --layers two --model $/student --samples $/samples"),
    // Missing inputs
    Case(66, ["$/nowhere"], "vlsi-extract --model $/nowhere --samples $/samples"),
    Case(66, ["$/nowhere"], "vlsi-extract --model $/student --samples $/nowhere"),
    Case(66, ["$/nowhere"], "vlsi-prepare --dataset $/nowhere.json --model $/student"),
    Case(66, ["$/nowhere"], "vlsi-verbalize --model $/student --features $/nowhere"),
    Case(
      66, ["$/nowhere"],
      "vlsi-evaluate --model $/student --benchmark $/nowhere.tsv --images $/data"),
    // Wrong kind, unfinished
    Case(
      65, ["features/student", "samples", "features"],
      "vlsi-extract --model $/student --samples $/features/student"),
    Case(65, ["$/samples"], "vlsi-verbalize --model $/student --features $/samples"),
    Case(
      65, ["$/broken/unfinished", "unfinished"],
      "vlsi-extract --model $/student --samples $/broken/unfinished"),
    Case(
      65, ["$/targets"],
      "vlsi-finetune --model $/student --adapter $/targets --samples $/samples"),
    // Inputs that do not fit together
    Case(65, ["$/teacher"], "vlsi-verbalize --model $/teacher --features $/features/student"),
    Case(
      65, ["okenizer"],
      "vlsi-target --teacher $/teacher --student $/broken/other --features $/features/teacher "
        + "--verbalizers $/verbalizers/teacher"),
    Case(65, ["okenizer"], "vlsi-extract --model $/broken/other --samples $/samples"),
    Case(
      65, ["verbalizers/teacher"],
      "vlsi-align --student $/student --samples $/samples --verbalizers $/verbalizers/teacher "
        + "--targets $/targets"),
    Case(65, [], "vlsi-finetune --model $/teacher --adapter $/adapter --samples $/samples"),
    // Programs without an output
    Case(66, ["$/nowhere"], "vlsi-dump $/nowhere"),
    Case(66, ["$/nowhere"], "vlsi-generate --model $/nowhere --prompt hello"),
    Case(66, ["none.png"], "vlsi-generate --model $/student --image $/none.png --prompt hello"),
    Case(
      65, ["verbalizers/student", "$/teacher"],
      "vlsi-generate --model $/teacher --prompt hello --verbalizers $/verbalizers/student "
        + "--layers all"),
    Case(
      65, ["layer 4", "2, 3"],
      "vlsi-generate --model $/student --prompt hello --verbalizers $/verbalizers/student "
        + "--layers 2,4"),
    Case(
      64, ["--layers"],
      "vlsi-generate --model $/student --prompt hello --verbalizers $/verbalizers/student "
        + "--layers some"),
    Case(64, ["--verbalizers"], "vlsi-generate --model $/student --prompt hello --layers all"),
    Case(64, ["--beams"], "vlsi-generate --model $/student --prompt hello --beams 2 --top-k 5"),
    Case(64, ["--top-p"], "vlsi-generate --model $/student --prompt hello --top-p 1.5"),
    Case(65, ["<|im_end|>"], "vlsi-generate --model $/student --prompt <|im_end|>"),
  ]

  @Test("Refused with its code and a message that names the culprit", arguments: cases)
  func refusal(_ refusal: Case) throws {
    let writes =
      !refusal.command.hasPrefix("vlsi-dump")
      && !refusal.command.hasPrefix("vlsi-generate")
    let output = "\(bench.path)/refused"
    try? FileManager.default.removeItem(atPath: output)
    let outcome = try bench.perform(refusal.command + (writes ? " --output \(output)" : ""))
    #expect(outcome.code == refusal.code, "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
    #expect(outcome.message.hasPrefix("error: "), "\(outcome.errors)")
    for name in refusal.names {
      let name = name.replacingOccurrences(of: "$", with: bench.path)
      #expect(outcome.message.contains(name), "\(outcome.message)")
    }
    let left = (try? FileManager.default.subpathsOfDirectory(atPath: output)) ?? []
    #expect(left.filter { $0 != ".lock" }.isEmpty, "left behind: \(left)")
  }

  @Test(
    "An output that cannot be made ends with 73",
    arguments: Workbench.artifacts.filter { $0 != "report" })
  func output(_ artifact: String) throws {
    let outcome = try bench.perform(
      Workbench.command(artifact) + " --output /dev/null/\(artifact)")
    #expect(outcome.code == 73, "\(outcome.errors)")
    #expect(outcome.message.contains("/dev/null"))
  }

  @Test("A folder with something else in it is not written to")
  func foreignFolder() throws {
    let folder = "\(bench.path)/foreign"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try "mine".write(toFile: "\(folder)/notes.txt", atomically: true, encoding: .utf8)
    let outcome = try bench.perform(Workbench.command("samples") + " --output \(folder)")
    #expect(outcome.code == 73, "\(outcome.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["notes.txt"])
  }

  // MARK: Samples

  @Test("Bad samples go to rejects.jsonl with their reason; too many of them stop the stage")
  func rejects() throws {
    let folder = "\(bench.path)/bad-data"
    let images = "\(folder)/images"
    try FileManager.default.createDirectory(atPath: images, withIntermediateDirectories: true)
    let image = try #require(
      FileManager.default.enumerator(atPath: "\(bench.path)/data/images")?.compactMap {
        ($0 as? String).flatMap { $0.hasSuffix(".png") ? $0 : nil }
      }.first)
    try FileManager.default.copyItem(
      atPath: "\(bench.path)/data/images/\(image)", toPath: "\(images)/good.png")
    try Data([0xFF, 0xD8, 0xFF, 0xE0, 0, 16, 0x4A, 0x46, 0x49, 0x46, 0, 1])
      .write(to: URL(fileURLWithPath: "\(images)/corrupt.jpg"))
    func entry(_ id: String, image: String, role: String = "gpt", answer: String) -> String {
      """
      {"id": "\(id)", "image": "images/\(image)", "conversations": [{"from": "human", \
      "value": "<image>\\nwhat colour is the circle?"}, {"from": "\(role)", "value": "\(answer)"}]}
      """
    }
    let lines = [
      entry("good", image: "good.png", answer: "red"),
      entry("missing", image: "none.png", answer: "red"),
      entry("corrupt", image: "corrupt.jpg", answer: "red"),
      entry("empty", image: "good.png", answer: ""),
      entry("role", image: "good.png", role: "wizard", answer: "red"),
      "{\"id\": \"json\", ",
      entry(
        "long", image: "good.png",
        answer: String(repeating: "red ", count: 400)
          .trimmingCharacters(in: .whitespaces)),
    ]
    try (lines.joined(separator: "\n") + "\n")
      .write(toFile: "\(folder)/data.jsonl", atomically: true, encoding: .utf8)
    for (name, share) in [("lenient", "1"), ("strict", "0.05")] {
      try "prepare: {context: 256, max_reject_share: \(share)}\n"
        .write(toFile: "\(folder)/\(name).yaml", atomically: true, encoding: .utf8)
    }
    let command = "vlsi-prepare --dataset \(folder)/data.jsonl --images \(folder) --model $/student"

    let lenient = try bench.perform(
      "\(command) --preset \(folder)/lenient.yaml --output \(folder)/samples")
    #expect(lenient.code == 0, "\(lenient.errors)")
    let rejects = try String(contentsOfFile: "\(folder)/samples/rejects.jsonl", encoding: .utf8)
      .split(separator: "\n").map(String.init)
    #expect(rejects.count == 6, "\(rejects)")
    for (word, reject) in zip(["none.png", "corrupt.jpg", "", "wizard", "6", "256"], rejects) {
      #expect(word.isEmpty || reject.contains(word), "\(reject)")
    }
    #expect(lenient.errors.contains("6"), "the count is reported")

    let strict = try bench.perform(
      "\(command) --preset \(folder)/strict.yaml --output \(folder)/strict")
    #expect(strict.code == 65, "\(strict.errors)")
    #expect(!FileManager.default.fileExists(atPath: "\(folder)/strict/manifest.json"))
  }
}
