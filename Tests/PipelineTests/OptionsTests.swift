import Artifacts
import Foundation
import Testing

/// The paper's ablations as options of the built programs: each row of METHOD.md's tables runs from
/// the same artifacts, and what cannot be computed is refused with advice.
@Suite(.serialized) struct OptionsTests {
  private let bench: Workbench

  init() throws { bench = try Workbench.shared.get() }

  /// Runs the stage that makes `artifact` with other settings; `$` stands for the run.
  @discardableResult
  private func perform(
    _ artifact: String, _ settings: String, inputs: [String: String] = [:], extra: String = "",
    to output: String
  ) throws -> Outcome {
    let name = output.replacingOccurrences(of: "/", with: "-")
    let preset = "\(bench.path)/options-\(name).yaml"
    try "extends: preset.yaml\n\(settings)\n"
      .write(toFile: preset, atomically: true, encoding: .utf8)
    var command = Workbench.stages.first { $0.artifact == artifact }?.command ?? ""
    for (option, value) in inputs {
      let words = command.split(separator: " ").map(String.init)
      guard let place = words.firstIndex(of: option) else { continue }
      command = (words[...place] + [value] + words[(place + 2)...]).joined(separator: " ")
    }
    return try bench.perform("\(command) \(extra) --preset \(preset) --output $/\(output)")
  }

  /// Targets of the form vectors, at temperature 1 unless told otherwise.
  private func vectors(temperature: Double = 1) throws -> String {
    let output = "options/vectors-\(temperature)"
    let outcome = try perform(
      "targets", "target: {form: vectors, temperature: \(temperature)}", to: output)
    #expect(outcome.code == 0, "\(outcome.errors)")
    return "$/\(output)"
  }

  private func metrics(_ artifact: String) throws -> [[String: Any]] {
    try String(contentsOfFile: "\(bench.path)/\(artifact)/metrics.jsonl", encoding: .utf8)
      .split(separator: "\n").compactMap {
        try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
      }
  }

  // MARK: Losses

  static let losses: [(intermediate: String, last: String)] = [
    ("ce", "none"), ("ce", "ce"), ("ce", "kl"), ("l2", "kl"), ("kl", "none"), ("kl", "ce"),
    ("kl", "kl"), ("kl", "l2"), ("reverse-kl", "reverse-kl"),
    ("jensen-shannon", "jensen-shannon"), ("none", "l2"),
  ]

  @Test("Every pair of losses trains; terms and their gradients stand apart", arguments: losses)
  func pair(intermediate: String, last: String) throws {
    let output = "options/loss-\(intermediate)-\(last)"
    let outcome = try perform(
      "adapter",
      "align: {steps: 2, samples_per_batch: 3, accumulation: 2, lora_rank: 4, learning_rate: 1e-3, "
        + "intermediate_loss: \(intermediate), last_loss: \(last), intermediate_weight: 0.5}",
      inputs: ["--targets": vectors(temperature: 2)], to: output)
    #expect(outcome.code == 0, "\(outcome.errors)")
    let lines = try metrics(output)
    #expect(lines.count == 2)
    for line in lines {
      let terms = try #require(line["intermediate"] as? [Double])
      let gradients = try #require(line["intermediate_gradient"] as? [Double])
      let lastTerm = try #require(line["last"] as? Double)
      #expect(terms.count == 2 && gradients.count == 2)
      #expect(terms.allSatisfy { intermediate == "none" ? $0 == 0 : $0 > 0 && $0.isFinite })
      #expect(gradients.allSatisfy { intermediate == "none" ? $0 == 0 : $0 > 0 && $0.isFinite })
      #expect(last == "none" ? lastTerm == 0 : lastTerm > 0 && lastTerm.isFinite)
      #expect(((line["last_gradient"] as? Double) ?? -1 > 0) == (last != "none"))
      let loss = try #require(line["loss"] as? Double)
      #expect(abs(loss - (0.5 * terms.reduce(0, +) + lastTerm)) < 1e-5 * max(1, loss))
      let matches = try #require(line["matches"] as? [Any])
      #expect(matches.count == (["none", "ce"].contains(intermediate) ? 0 : 2))
    }
  }

  @Test("A temperature divides what is stored; beside the vectors stands what exact stores")
  func stored() throws {
    func reader(_ path: String) throws -> ArtifactReader {
      try ArtifactReader(
        directory: path.replacingOccurrences(of: "$", with: bench.path), kind: .targets)
    }
    let exact = try reader("$/targets")
    let one = try reader(vectors())
    let two = try reader(vectors(temperature: 2))
    for index in exact.indices {
      func floats(_ artifact: ArtifactReader, _ name: String) throws -> [Float] {
        try artifact.record(index).tensor(name).floats()
      }
      for layer in ["2", "5", "last"] {
        let cold = try floats(one, "vector.\(layer)")
        let warm = try floats(two, "vector.\(layer)")
        #expect(!cold.isEmpty && cold.count == warm.count)
        #expect(zip(cold, warm).allSatisfy { abs($0 - 2 * $1) <= 2e-3 * max(1, abs($0)) })
        let entropies = (
          try floats(exact, "entropy.\(layer)"), try floats(one, "entropy.\(layer)"),
          try floats(two, "entropy.\(layer)")
        )
        #expect(zip(entropies.0, entropies.1).allSatisfy { abs($0 - $1) < 5e-3 })
        #expect(zip(entropies.1, entropies.2).allSatisfy { $0 < $1 })
        let projected = (
          try floats(exact, "projected.\(layer)"), try floats(one, "projected.\(layer)")
        )
        #expect(zip(projected.0, projected.1).allSatisfy { abs($0 - $1) < 5e-3 })
      }
    }
  }

  @Test("Without a language head: the verbalizers learn in align, from untrained ones")
  func withoutHead() throws {
    for role in ["teacher", "student"] {
      let outcome = try perform(
        "verbalizers/\(role)", "verbalize: {steps: 0}", to: "options/untrained-\(role)")
      #expect(outcome.code == 0, "\(outcome.errors)")
    }
    let targets = try perform(
      "targets", "target: {form: vectors}",
      inputs: ["--verbalizers": "$/options/untrained-teacher"], to: "options/untrained-targets")
    #expect(targets.code == 0, "\(targets.errors)")
    let settings =
      "align: {steps: 12, samples_per_batch: 3, accumulation: 1, lora_rank: 4, "
      + "learning_rate: 1e-2, language_head: false, intermediate_loss: l2, train_verbalizers: true}"
    let inputs = [
      "--verbalizers": "$/options/untrained-student", "--targets": "$/options/untrained-targets",
    ]
    let outcome = try perform("adapter", settings, inputs: inputs, to: "options/headless")
    #expect(outcome.code == 0, "\(outcome.errors)")
    let terms = try metrics("options/headless").compactMap {
      ($0["intermediate"] as? [Double])?.reduce(0, +)
    }
    #expect(terms.count == 12 && (terms.last ?? 1) < 0.8 * (terms.first ?? 0), "\(terms)")
    let before = try Data(
      contentsOf: URL(
        fileURLWithPath: "\(bench.path)/options/untrained-student/verbalizers.safetensors"))
    let after = try Data(
      contentsOf: URL(fileURLWithPath: "\(bench.path)/options/headless/verbalizers.safetensors"))
    #expect(before.count == after.count && before != after)
  }

  // MARK: Verbalizers

  @Test(
    "Every architecture goes the whole way, to targets, an adapter and an answer",
    arguments: [("verb-ffn", 2), ("ffn", 1), ("mlp", 2), ("decoder", 2)])
  func architecture(_ name: String, _ depth: Int) throws {
    for role in ["teacher", "student"] {
      let outcome = try perform(
        "verbalizers/\(role)",
        "verbalize: {steps: 2, tokens_per_batch: 64, architecture: \(name), depth: \(depth)}",
        to: "options/\(name)-\(role)")
      #expect(outcome.code == 0, "\(outcome.errors)")
    }
    let targets = try perform(
      "targets", "", inputs: ["--verbalizers": "$/options/\(name)-teacher"],
      to: "options/\(name)-targets")
    #expect(targets.code == 0, "\(targets.errors)")
    let adapter = try perform(
      "adapter", "align: {steps: 2, samples_per_batch: 3, accumulation: 1, lora_rank: 4}",
      inputs: [
        "--verbalizers": "$/options/\(name)-student", "--targets": "$/options/\(name)-targets",
      ], to: "options/\(name)-adapter")
    #expect(adapter.code == 0, "\(adapter.errors)")
    let answer = try bench.perform(
      "vlsi-generate --model $/student --prompt hello --max-new-tokens 3 "
        + "--verbalizers $/options/\(name)-student --layer 2")
    #expect(answer.code == 0, "\(answer.errors)")
  }

  @Test("--plan prints METHOD.md's eight counts for the 7B from its config.json alone")
  func plan() throws {
    let folder = "\(bench.path)/options/seven"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let student = try Data(contentsOf: URL(fileURLWithPath: "\(bench.path)/student/config.json"))
    var config = try #require(
      try JSONSerialization.jsonObject(with: student) as? [String: Any])
    let shape: [String: Int] = [
      "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28,
      "num_key_value_heads": 4, "num_hidden_layers": 28, "vocab_size": 152_064,
    ]
    config.merge(shape) { $1 }
    config["rope_scaling"] = ["type": "mrope", "mrope_section": [16, 24, 24]] as [String: Any]
    var vision = try #require(config["vision_config"] as? [String: Any])
    vision["hidden_size"] = 3584
    config["vision_config"] = vision
    try JSONSerialization.data(withJSONObject: config)
      .write(to: URL(fileURLWithPath: "\(folder)/config.json"))
    let outcome = try bench.perform("vlsi-verbalize --plan --model \(folder)")
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.output.contains("2, 6, 10, 14, 18, 22, 26"))
    // 3.3 B, 1.6 B, 2.9 B, 1.4 B, 539 M, 269 M, 180 M, 90 M
    for (variant, count) in [
      ("decoder × 2", "3,262,809,088"), ("decoder", "1,631,404,544"), ("ffn × 2", "2,851,602,432"),
      ("ffn", "1,425,801,216"), ("verb-ffn × 2", "539,492,352"), ("verb-ffn", "269,746,176"),
      ("mlp × 2", "179,830,784"), ("mlp", "89,915,392"),
    ] {
      let row = outcome.output.split(separator: "\n").first {
        $0.dropFirst(2).hasPrefix(variant + " ") && $0.contains(count)
      }
      #expect(row != nil, "\(variant): \(outcome.output)")
    }
  }

  // MARK: Weights and steps

  @Test("Whole weights learn, and finetune puts them in place")
  func fullWeights() throws {
    let outcome = try perform(
      "adapter",
      "align: {steps: 2, samples_per_batch: 3, accumulation: 1, weights: full, learning_rate: 1e-3}",
      to: "options/full")
    #expect(outcome.code == 0, "\(outcome.errors)")
    let files = try FileManager.default.contentsOfDirectory(atPath: "\(bench.path)/options/full")
    #expect(files.contains("trained.safetensors") && !files.contains("adapter_config.json"))
    let merged = try perform(
      "model", "finetune: {steps: 0}", inputs: ["--adapter": "$/options/full"],
      to: "options/full-model")
    #expect(merged.code == 0, "\(merged.errors)")
    let difference = try bench.perform("vlsi-dump $/options/full-model --diff $/student")
    #expect(difference.code == 1)
    #expect(difference.output.contains("model.layers.0.mlp.up_proj.weight"))
    #expect(!difference.output.contains("model.embed_tokens.weight"))
    #expect(!difference.output.contains("visual."))
  }

  @Test("Steps of 0 in both stages leave the student as it is")
  func noSteps() throws {
    let adapter = try perform("adapter", "align: {steps: 0}", to: "options/none")
    #expect(adapter.code == 0, "\(adapter.errors)")
    let model = try perform(
      "model", "finetune: {steps: 0}", inputs: ["--adapter": "$/options/none"],
      to: "options/none-model")
    #expect(model.code == 0, "\(model.errors)")
    let difference = try bench.perform("vlsi-dump $/options/none-model --diff $/student")
    #expect(difference.code == 0, "\(difference.output)")
  }

  // MARK: Refusals

  static let refusals: [(settings: String, vectors: Bool, names: [String])] = [
    ("intermediate_loss: reverse-kl", false, ["reverse-kl", "exact", "target.form: vectors"]),
    ("last_loss: l2", false, ["l2", "target.form: vectors"]),
    ("intermediate_loss: none, last_loss: none", true, ["nothing to learn"]),
    ("intermediate_weight: 0, last_weight: 0", true, ["nothing to learn"]),
    ("language_head: false", true, ["intermediate_loss: l2"]),
    (
      "language_head: false, intermediate_loss: l2", true, ["align.train_verbalizers: true"]
    ),
    (
      "language_head: false, intermediate_loss: l2, train_verbalizers: true", false,
      ["target.form: vectors"]
    ),
    ("search_range: false", true, ["order preservation"]),
  ]

  @Test("What cannot be computed is refused with 78 and what to do", arguments: refusals)
  func refused(settings: String, vectors: Bool, names: [String]) throws {
    let outcome = try perform(
      "adapter", "align: {steps: 2, \(settings)}",
      inputs: vectors ? ["--targets": self.vectors()] : [:], to: "options/refused")
    #expect(outcome.code == 78, "\(outcome.errors)")
    for name in names { #expect(outcome.message.contains(name), "\(outcome.message)") }
    #expect(!FileManager.default.fileExists(atPath: "\(bench.path)/options/refused"))
  }

  @Test("Another teacher than the targets' is refused with 65, a missing one with 66")
  func wrongTeacher() throws {
    for (teacher, code) in [("$/student", Int32(65)), ("$/nowhere", 66)] {
      let outcome = try perform(
        "adapter", "align: {steps: 2, last_loss: l2}", inputs: ["--targets": vectors()],
        extra: "--teacher \(teacher)", to: "options/refused")
      #expect(outcome.code == code, "\(outcome.errors)")
    }
  }
}
