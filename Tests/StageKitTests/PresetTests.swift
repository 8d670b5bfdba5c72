import Distillation
import Failures
import Foundation
import TestSupport
import Testing

@testable import StageKit

@Suite struct PresetTests {
  @Test("A key that the file does not give has its section's default")
  func defaults() throws {
    let scratch = try TemporaryFolder()
    let preset = try Preset(contentsOf: try scratch.write("align:\n  steps: 7\n", to: "a.yaml"))
    #expect(preset.align.training.steps == 7)
    #expect(preset.align.loraRank == 64)
    #expect(preset.align.training.optimizer.learningRate == 1e-4)
    #expect(preset.finetune.training.steps == FinetuneSettings().training.steps)
    #expect(preset.extract.teacherLayers == .every(first: 2, step: 4))
  }

  @Test("An empty file, and one of comments, is the defaults")
  func empty() throws {
    let scratch = try TemporaryFolder()
    for text in ["", "# nothing\n", "align:\n"] {
      let preset = try Preset(contentsOf: try scratch.write(text, to: "a.yaml"))
      #expect(preset.settings == Preset().settings)
    }
  }

  @Test("A setting of the command line goes over the file and what it extends")
  func setting() throws {
    let scratch = try TemporaryFolder()
    try scratch.write("align:\n  epochs: 2\n  lora_rank: 8\n", to: "base.yaml")
    let file = try scratch.write("extends: base.yaml\nalign:\n  lora_rank: 16\n", to: "a.yaml")
    let preset = try Preset(
      contentsOf: file,
      setting: [
        "align.learning_rate=3e-5", "align.steps=9", "extract.student_layers=[2, 6]",
        "prepare.max_pixels=null", "report.title='a = b: c'", "align.lora_rank=4",
        "align.lora_rank=5",
      ])
    #expect(preset.align.training.optimizer.learningRate == 3e-5)
    #expect(preset.align.training.steps == 9)
    #expect(preset.align.loraRank == 5)
    #expect(preset.extract.studentLayers == .list([2, 6]))
    #expect(preset.prepare.maxPixels == nil)
    #expect(preset.report.title == "a = b: c")
    #expect(try Preset(contentsOf: nil, setting: ["run.seed=7"]).run.seed == 7)
    // What a run brings is said by its file alone.
    #expect(try Preset(contentsOf: nil, setting: ["synthesize.seed=7"]).sections.isEmpty)
  }

  @Test(
    "A setting of the command line that is wrong is named as it stands there",
    arguments: [
      ("align.learning_rat=1", ExitCode.badPreset, "Did you mean learning_rate?"),
      ("alin.learning_rate=1", .badPreset, "Did you mean align?"),
      ("align.matching=unifrom", .badPreset, "Did you mean uniform?"),
      ("align.lora_rank=-1", .badPreset, "1 to"),
      ("align.lora_rank=[1", .badPreset, "not valid YAML"),
      ("align.lora_rank", .usage, "section.key=value"), ("lora_rank=3", .usage, "section.key"),
      ("align.=3", .usage, "section.key=value"), ("", .usage, "section.key=value"),
      ("a.b.c=3", .usage, "section.key=value"),
    ])
  func wrongSetting(_ word: String, _ code: ExitCode, _ text: String) throws {
    let failure = #expect(throws: Failure.self) { try Preset(contentsOf: nil, setting: [word]) }
    #expect(
      failure?.code == code && failure?.description.contains(text) == true, "\(failure as Any)")
    if code == .badPreset {
      #expect(failure?.place == "--set \(word)")
    }
  }

  @Test("Values of every kind are read")
  func kinds() throws {
    let scratch = try TemporaryFolder()
    let text = """
      run: {seed: 18446744073709551615, threads: 3}
      prepare:
        min_pixels: 3136
        max_pixels: null
        too_long: cut
        questions: independent
      extract:
        teacher_layers: {first: 4, every: 8}
        student_layers: [2, 6, 10]
        store_visual: true
        tokens_in_flight: 9000
      align:
        learning_rate: 2e-3
        clip_norm: 1
        matching: bottom-3
      report:
        title: "a: #1"
      """
    let preset = try Preset(contentsOf: try scratch.write(text, to: "a.yaml"))
    #expect(preset.run.seed == UInt64.max)
    #expect(preset.run.threads == 3)
    #expect(preset.prepare.minPixels == 3136)
    #expect(preset.prepare.maxPixels == nil)
    #expect(preset.prepare.tooLong == .cut)
    #expect(preset.prepare.questions == .independent)
    #expect(preset.extract.teacherLayers == .every(first: 4, step: 8))
    #expect(preset.extract.studentLayers == .list([2, 6, 10]))
    #expect(preset.extract.storeVisual == .always)
    #expect(preset.extract.tokensInFlight == 9000)
    #expect(preset.align.training.optimizer.learningRate == 2e-3)
    #expect(preset.align.training.optimizer.clipNorm == 1)
    #expect(preset.align.matching == .bottom3)
    #expect(preset.report.title == "a: #1")
  }

  @Test("A preset that extends another wins key by key")
  func extending() throws {
    let scratch = try TemporaryFolder()
    _ = try scratch.write("align:\n  steps: 1\n  lora_rank: 8\nrun:\n  seed: 5\n", to: "base.yaml")
    _ = try scratch.write("extends: base.yaml\nalign:\n  steps: 2\n", to: "middle.yaml")
    let path = try scratch.write("extends: middle.yaml\nalign:\n  lora_alpha: 3\n", to: "top.yaml")
    let preset = try Preset(contentsOf: path)
    #expect(preset.align.training.steps == 2)
    #expect(preset.align.loraRank == 8)
    #expect(preset.align.loraAlpha == 3)
    #expect(preset.run.seed == 5)
  }

  /// What is refused, with the whole message. `$` stands for the file.
  static let refusals: [(text: String, message: String)] = [
    (
      "align:\n  learning_rat: 1e-4\n",
      "$:2: unknown key learning_rat in section align. Did you mean learning_rate?"
    ),
    (
      "align:\n  steps: 1\n\n  mathcing: random\n",
      "$:4: unknown key mathcing in section align. Did you mean matching?"
    ),
    (
      "target:\n  zzzzzzzzzzzz: 1\n",
      "$:2: unknown key zzzzzzzzzzzz in section target. Known keys: form, top_k, precision, temperature."
    ),
    ("aligm:\n  steps: 1\n", "$:1: unknown key aligm in the preset. Did you mean align?"),
    (
      "extract:\n  teacher_layers: {first: 2, evry: 4}\n",
      "$:2: unknown key evry in section extract.teacher_layers. Did you mean every?"
    ),
    (
      "align:\n  steps: many\n",
      "$:2: align.steps has the wrong type; expected a whole number, found \"many\""
    ),
    (
      "align:\n  steps: 1.5\n",
      "$:2: align.steps has the wrong type; expected a whole number, found \"1.5\""
    ),
    (
      "align:\n  steps: \"7\"\n",
      "$:2: align.steps has the wrong type; expected a whole number, found \"7\""
    ),
    (
      "align:\n  learning_rate: nan\n",
      "$:2: align.learning_rate has the wrong type; expected a number, found \"nan\""
    ),
    (
      "align:\n  search_range: yes\n",
      "$:2: align.search_range has the wrong type; expected true or false, found \"yes\""
    ),
    (
      "target:\n  form: top\n",
      "$:2: target.form has the wrong type; expected exact or topk or vectors, found \"top\". Did you mean topk?"
    ),
    (
      "prepare:\n  min_pixels: [1]\n",
      "$:2: prepare.min_pixels has the wrong type; expected a whole number or null, "
        + "found a list of 1"
    ),
    (
      "extract:\n  tokens_in_flight: all\n",
      "$:2: extract.tokens_in_flight has the wrong type; expected a whole number or auto, "
        + "found \"all\""
    ),
    (
      "extract:\n  student_layers: [6, 2]\n",
      "$:2: extract.student_layers has the wrong type; expected layers in rising order, "
        + "at least one, found a list of 2"
    ),
    ("align: 3\n", "$:1: section align has the wrong type; expected keys with values, found \"3\""),
    (
      "align:\n  steps: -1\n",
      "$:2: align.steps is out of range; expected 0 or more, found -1"
    ),
    (
      "align:\n  beta1: 1.5\n",
      "$:2: align.beta1 is out of range; expected 0 to 0.999999, found 1.5"
    ),
    (
      "prepare:\n  max_reject_share: 7\n",
      "$:2: prepare.max_reject_share is out of range; expected 0 to 1, found 7"
    ),
    ("align:\n  steps: 1\n  steps: 2\n", "$:2: the key steps stands twice"),
    (
      "- 1\n- 2\n",
      "$:1: the preset has no sections; expected sections such as align:, "
        + "found a list of 2"
    ),
    (
      "extends: [a]\n",
      "$:1: extends has the wrong type; expected the name of a preset, "
        + "found a list of 1"
    ),
  ]

  @Test("A wrong preset is refused with file and line", arguments: refusals)
  func refusal(_ refusal: (text: String, message: String)) throws {
    let scratch = try TemporaryFolder()
    let path = try scratch.write(refusal.text, to: "a.yaml")
    let found = failure { _ = try Preset(contentsOf: path) }
    #expect(found?.code == .badPreset)
    #expect(found?.description == refusal.message.replacingOccurrences(of: "$", with: path))
  }

  @Test("Broken YAML is refused with line and column")
  func brokenYAML() throws {
    let scratch = try TemporaryFolder()
    for text in ["align:\n  steps: [1\nb: 2\n", "a: b: c\n", "\t\n x: }"] {
      let path = try scratch.write(text, to: "a.yaml")
      let found = failure { _ = try Preset(contentsOf: path) }
      #expect(found?.code == .badPreset)
      #expect(found?.what.hasPrefix("not valid YAML") == true)
      #expect(found?.place?.contains("\(path):") == true)
    }
    let path = "\(scratch.path)/b.yaml"
    try Data([0xFF, 0xFE, 0x41, 0x00]).write(to: URL(fileURLWithPath: path))
    #expect(failure { _ = try Preset(contentsOf: path) }?.code == .badPreset)
  }

  @Test("An unknown key of an extended file is found in that file")
  func unknownKeyOfBase() throws {
    let scratch = try TemporaryFolder()
    let base = try scratch.write("# one\nalign:\n  stepz: 1\n", to: "base.yaml")
    let path = try scratch.write("extends: base.yaml\n", to: "top.yaml")
    #expect(failure { _ = try Preset(contentsOf: path) }?.place == "\(base):3")
  }

  @Test("Missing files and circles are refused")
  func missingFilesAndCircles() throws {
    let scratch = try TemporaryFolder()
    let missing = failure { _ = try Preset(contentsOf: "\(scratch.path)/no.yaml") }
    #expect(missing?.code == .inputMissing)
    let path = try scratch.write("extends: b.yaml\n", to: "a.yaml")
    let base = failure { _ = try Preset(contentsOf: path) }
    #expect(base?.code == .inputMissing)
    #expect(base?.place == "\(path):1")
    _ = try scratch.write("run:\nextends: a.yaml\n", to: "b.yaml")
    let circle = failure { _ = try Preset(contentsOf: path) }
    #expect(circle?.code == .badPreset)
    #expect(circle?.place == "\(scratch.path)/b.yaml:2")
    #expect(circle?.found == "a.yaml -> b.yaml -> a.yaml")
  }

  @Test("The keys of a section are listed once and in snake case")
  func keys() throws {
    var preset = Preset().settings
    guard case .object(let sections) = preset else {
      Issue.record("not an object")
      return
    }
    #expect(sections.map(\.key) == Preset.sectionNames)
    for (section, value) in sections {
      guard case .object(let pairs) = value else {
        Issue.record("\(section) is no object")
        continue
      }
      #expect(Set(pairs.map(\.key)).count == pairs.count, "\(section)")
      for (key, _) in pairs {
        #expect(key.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" }, "\(section).\(key)")
      }
    }
    preset = .null
    #expect(AlignSettings.keys.contains("intermediate_loss"))
  }

  @Test("Settings survive a way through YAML")
  func roundTrip() throws {
    // JSON is YAML: what a section prints must read back as itself.
    let scratch = try TemporaryFolder()
    let path = try scratch.write(Preset().settings.json, to: "a.yaml")
    #expect(try Preset(contentsOf: path).settings == Preset().settings)
  }

  @Test("The presets of this repository are right, comments and all")
  func shipped() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path
    let files = try FileManager.default.contentsOfDirectory(atPath: "\(root)/pipeline")
      .filter { $0.hasSuffix(".yaml") }
    #expect(files.contains("tiny.yaml"))
    for file in files { _ = try Preset(contentsOf: "\(root)/pipeline/\(file)") }

    let tiny = try Preset(contentsOf: "\(root)/pipeline/tiny.yaml")
    let alone = try Preset(contentsOf: "\(root)/pipeline/tiny-sft.yaml")
    let lastLayer = try Preset(contentsOf: "\(root)/pipeline/tiny-last-layer.yaml")
    #expect(
      alone.finetune.training.steps == tiny.align.training.steps + tiny.finetune.training.steps)
    #expect(tiny.finetune.training.optimizer.scheduleOffset == tiny.align.training.steps)
    #expect(
      tiny.finetune.training.optimizer.scheduleSteps == tiny.align.training.steps
        + tiny.finetune.training.steps)
    #expect(
      tiny.align.training.optimizer.scheduleSteps == tiny.align.training.steps
        + tiny.finetune.training.steps)
    #expect(lastLayer.align.intermediateLoss == LossTerm.Kind.none)
    #expect(lastLayer.finetune.settings == tiny.finetune.settings)
  }
}

/// What decides an artifact's content, and what does not.
@Suite struct SettingRoleTests {
  @Test("An execution setting is recorded apart and enters no content")
  func apart() {
    var settings = FinetuneSettings()
    let before = settings.json
    settings.training.checkpointMinutes = 77
    settings.training.tokensPerBatch = 99
    #expect(settings.json == before)
    #expect(settings.execution["checkpoint_minutes"] == .number(77))
    #expect(settings.execution["tokens_per_batch"] == .int(99))
    settings.training.length = .steps(settings.training.steps + 1)
    #expect(settings.json != before)
    // Align draws its layer matches pass by pass.
    #expect(AlignSettings().json["tokens_per_batch"] != nil)
  }
}
