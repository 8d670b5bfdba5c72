import Artifacts
import Evaluation
import Foundation
import TestSupport
import Testing

/// README.md of a finished model: says what the manifests say, follows the scores, is no part of
/// the artifact, and belongs to whoever edits it.
@Suite struct ModelCardTests {
  private let bench: Workbench

  init() throws { bench = try Workbench.shared.get() }

  private func card(_ model: String) throws -> String {
    try String(contentsOfFile: "\(model)/README.md", encoding: .utf8)
  }

  @Test
  func `the adapter has a card of its own, and no path of the disk gets into what is published`()
    throws
  {
    let adapter = try card("\(bench.path)/adapter")
    for line in [
      "base_model: student", "library_name: peft", "- lora", "- distillation", "- vlsi",
      #"base = AutoModelForImageTextToText.from_pretrained("student", dtype="auto")"#,
    ] { #expect(adapter.components(separatedBy: "\n").contains(line), "\(line) in \(adapter)") }
    #expect(adapter.contains("rank 4") && adapter.contains("from *teacher* layer by layer"))
    let configuration = try String(
      contentsOfFile: "\(bench.path)/adapter/adapter_config.json", encoding: .utf8)
    #expect(configuration.contains(#""base_model_name_or_path": "student""#))
    for text in [adapter, configuration, try card("\(bench.path)/model")] {
      #expect(!text.contains(bench.path))
    }
  }

  @Test func `names of the hub that the user says go before what the folders tell`() throws {
    let said = " --set run.student_id=me/small --set run.teacher_id=you/Large"
    let command = Workbench.command("adapter") + said + " --output $/named/adapter"
    let made = try bench.perform(command)
    #expect(made.code == 0, "\(made.errors)")
    let adapter = try card("\(bench.path)/named/adapter")
    #expect(adapter.contains("base_model: me/small\n") && adapter.contains("you/Large"))
    #expect(
      try String(
        contentsOfFile: "\(bench.path)/named/adapter/adapter_config.json", encoding: .utf8
      ).contains(#""me/small""#))
    let wrong = try bench.perform(
      Workbench.command("adapter") + " --set run.student_id=/home/me/small --output $/named/none")
    #expect(wrong.code == 78 && wrong.errors.contains("no name of a model on the hub"))
  }

  @Test func `it says how the model was made and what it scores`() throws {
    let card = try card("\(bench.path)/model")
    let front = card.components(separatedBy: "\n---\n")[0]
    for line in [
      "---", "base_model: student", "library_name: transformers",
      "pipeline_tag: image-text-to-text", "- distillation", "- vlsi", "model-index:",
      "      name: test.tsv",
    ] { #expect(front.components(separatedBy: "\n").contains(line), "\(line) in \(front)") }
    #expect(!front.contains("license"))
    #expect(card.contains("It started from random weights"))

    for artifact in [
      "samples", "features/teacher", "features/student", "verbalizers/teacher",
      "verbalizers/student", "targets", "adapter", "model",
    ] {
      let program = try #require(try bench.manifest(artifact)["program"] as? String)
      #expect(card.contains("| \(artifact) | \(program) 0.1.0 | "), "\(artifact)")
      #expect(card.contains("\n\(artifact):\n"), "settings of \(artifact)")
    }
    for part in [
      "| student | student |", "| teacher | teacher |", "on layers 2, 3, 4, 5, 4 steps each",
      "on layers 2, 3, 4 steps each",
      "3 steps of 6 samples, learning rate 0.001 to 1e-06; LoRA of rank 4",
      "3 steps of 3 samples, learning rate 0.001 to 1e-06; language model, head, word embedding",
      "  lora_rank: 4\n", "  train_vision: false\n", "arXiv 2412.01822", "lee2025vlsi",
    ] { #expect(card.contains(part), "\(part) in\n\(card)") }

    let samples = try #require(try bench.manifest("samples")["facts"] as? [String: Any])
    for (line, fact) in [("conversations", "entries"), ("rejected", "rejects")] {
      let value = try #require(samples[fact] as? Int)
      #expect(card.contains("| \(line) | \(value)"), "\(card)")
    }
    #expect(card.contains("| data set | train.json |"))

    for (column, evaluation) in ["evaluation/model", "evaluation/student"].enumerated() {
      let scores = try Scores(contentsOf: "\(bench.path)/\(evaluation)/scores.json")
      for (label, score) in [("**all**", scores.overall)]
        + scores.categories.map({ ($0.name, $0.score) })
      {
        let row = try #require(
          card.components(separatedBy: "\n").first {
            $0.hasPrefix("| \(label) | \(score.questions) | ")
          }, "\(label)")
        let cell = row.components(separatedBy: " | ")[2 + column]
        let percent = String(format: "%.1f", 100 * score.accuracy)
        #expect(cell.hasPrefix("\(percent) ± "), "\(row)")
      }
    }
  }

  @Test func `no manifest lists it: a new card leaves the artifact as it was`() throws {
    let manifest = try ArtifactReader.manifest(in: "\(bench.path)/model")
    #expect(!manifest.files.contains { $0.file == "README.md" })
    #expect(try bench.perform("vlsi-dump $/model --verify").code == 0)
  }

  @Test func `before there are scores it says so, and the report brings them`() throws {
    let folder = try TemporaryFolder()
    let run = folder("run")
    try FileManager.default.copyItem(atPath: bench.path, toPath: run)
    try Files.removeTree("\(run)/evaluation")
    try Files.removeTree("\(run)/report")
    let before = try Files.read("\(run)/model/manifest.json")
    let report = "vlsi-report --run \(run) --output \(run)/report"
    #expect(try bench.perform(report).code == 0)
    let unscored = try card("\(run)/model")
    #expect(unscored.contains("It was not evaluated."))
    #expect(!unscored.contains("model-index"))

    try FileManager.default.copyItem(
      atPath: "\(bench.path)/evaluation", toPath: "\(run)/evaluation")
    #expect(try bench.perform(report).code == 0)
    let scored = try card("\(run)/model")
    #expect(scored.contains("| **all** | 24 | "))
    #expect(try Files.read("\(run)/model/manifest.json") == before)

    // Scores of other weights are not taken for the model's.
    try Files.removeTree("\(run)/evaluation/model")
    try FileManager.default.copyItem(
      atPath: "\(bench.path)/evaluation/student", toPath: "\(run)/evaluation/model")
    #expect(try bench.perform(report).code == 0)
    #expect(try card("\(run)/model").contains("It was not evaluated."))

    // What somebody wrote stays.
    let edited = scored.replacingOccurrences(of: "# run", with: "# My model")
    #expect(edited != scored)
    for text in [edited, "mine", scored + "\nmore"] {
      try writeAtomically(text, to: "\(run)/model/README.md")
      let outcome = try bench.perform(report)
      #expect(outcome.code == 0 && outcome.errors.contains("was edited"), "\(outcome.errors)")
      #expect(try card("\(run)/model") == text)
    }
    // Of damaged weights nothing is said.
    let weights = "\(run)/model/model.safetensors"
    let sound = try Files.read(weights)
    try writeAtomically(sound.dropLast() + [sound[sound.count - 1] ^ 1], to: weights)
    let damaged = try bench.perform(report)
    #expect(damaged.code == 0 && damaged.errors.contains("model.safetensors: the file is damaged"))
    try writeAtomically(sound, to: weights)
    // A finished model whose card was removed gets it again from its own stage.
    try Files.remove("\(run)/model/README.md")
    #expect(
      try bench.perform(
        "vlsi-finetune --model $/student --adapter \(run)/adapter --samples \(run)/samples "
          + "--preset $/preset.yaml --output \(run)/model"
      ).code == 0)
    #expect(try card("\(run)/model").contains("It was not evaluated."))
  }

  @Test func `fine-tuning alone has no teacher; the licence is the base's`() throws {
    let folder = try TemporaryFolder()
    let base = folder("Qwen2-VL-2B-Instruct")
    try FileManager.default.copyItem(atPath: "\(bench.path)/student", toPath: base)
    try Files.remove("\(base)/synthesis.json")
    try folder.write(
      "---\nlicense: apache-2.0\n---\n# Base\n", to: "Qwen2-VL-2B-Instruct/README.md")
    try folder.write("Apache\n", to: "Qwen2-VL-2B-Instruct/LICENSE")
    let outcome = try bench.perform(
      "vlsi-finetune --model \(base) --samples $/samples --preset $/preset.yaml "
        + "--output \(folder("mine"))")
    #expect(outcome.code == 0, "\(outcome.errors)")
    let card = try card(folder("mine"))
    #expect(card.hasPrefix("---\nbase_model: Qwen/Qwen2-VL-2B-Instruct\nlicense: apache-2.0\n"))
    #expect(card.contains("# mine\n") && card.contains("- sft\n"))
    #expect(!card.contains("teacher") && !card.contains("vlsi\n") && !card.contains("bibtex"))
    #expect(!card.contains("random weights"))
    #expect(try Files.read(folder("mine/LICENSE")) == Array("Apache\n".utf8))
    // The base's own config, byte for byte.
    #expect(try Files.read(folder("mine/config.json")) == Files.read("\(base)/config.json"))
  }

  @Test func `the checkpoint to start from is not written over`() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.copyItem(atPath: "\(bench.path)/model", toPath: folder("m"))
    let before = try bytes(of: folder("m"))
    let outcome = try bench.perform(
      "vlsi-finetune --model \(folder("m")) --samples $/samples --output \(folder("./m"))")
    #expect(outcome.code == 64, "\(outcome.errors)")
    #expect(try bytes(of: folder("m")) == before)
  }

  /// The snippet on the card runs as it stands and says what vlsi-generate says.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["VLSI_TORCH_PYTHON"] != nil))
  func `its snippet runs`() throws {
    let python = try #require(ProcessInfo.processInfo.environment["VLSI_TORCH_PYTHON"])
    let picture = "\(bench.path)/data/images/test/00000.png"
    let outcome = try run(
      python,
      [
        "\(repository)/Tests/Goldens/check_exports.py", "snippet", "\(bench.path)/model",
        "--picture", picture,
      ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    print(outcome.output)
    let found = try JSON(parsing: Array(outcome.output.utf8), place: "snippet")["snippet"]?.asString
    let snippet = try #require(found)
    guard !snippet.hasPrefix("not run") else { return }
    let arguments = [
      "--model", "\(bench.path)/model", "--image", picture, "--prompt", "What is this?",
      "--max-new-tokens", "64", "--quiet",
    ]
    let own = try run("vlsi-generate", arguments)
    #expect(own.output.trimmingCharacters(in: .whitespacesAndNewlines) == snippet)
  }

  /// transformers loads the model without a missing, unexpected or misshapen tensor, its processor
  /// too, and huggingface_hub reads the card, where VLSI_TORCH_PYTHON names a Python with them.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["VLSI_TORCH_PYTHON"] != nil))
  func `the libraries take it`() throws {
    let python = try #require(ProcessInfo.processInfo.environment["VLSI_TORCH_PYTHON"])
    for kind in ["checkpoint", "processor", "card"] {
      let outcome = try run(
        python, ["\(repository)/Tests/Goldens/check_exports.py", kind, "\(bench.path)/model"])
      #expect(outcome.code == 0, "\(outcome.errors)")
    }
  }
}
