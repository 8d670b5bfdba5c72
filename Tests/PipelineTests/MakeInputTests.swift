import Foundation
import TestSupport
import Testing

/// What the user names for a run on Make's command line: paths of any letters, seeds, mistakes.
@Suite(.enabled(if: systemProgram("make") != nil)) struct MakeInputTests {
  typealias Workshop = MakeTests.Workshop

  /// A run of one's own with its inputs at `place`.
  private func own(_ place: String, _ shop: Workshop) throws -> [String] {
    for checkpoint in ["teacher", "student"] {
      try shop.write("{}", to: "\(place)/\(checkpoint)/config.json")
    }
    try shop.write("[]", to: "\(place)/data.json")
    try shop.write("index\tquestion\n", to: "\(place)/test.tsv")
    try shop.write("", to: "\(place)/images/note")
    return [
      "TEACHER=\(place)/teacher", "STUDENT=\(place)/student", "DATASET=\(place)/data.json",
      "IMAGES=\(place)/images", "BENCHMARK=\(place)/test.tsv",
    ]
  }

  // MARK: Paths

  static let places = [
    "a b  c", "it's \"quoted\"", "$HOME $(shell echo x) $$", "$(", "a#b;c|d&e `id`",
    "back\\slash\\", "größe 大きい e\u{301}", "a,b=c:d 50%", "*?[x]{y}<z>", "~", "--model", "(x",
    "!y", "'", "tab\tin trailing ",
  ]

  @Test(
    "A path of any letters comes to every program as it is, and is remembered",
    arguments: places)
  func anyLetters(_ place: String) throws {
    let shop = try Workshop()
    let inputs = try own(place, shop)
    let first = try shop.make(["distill-2b"] + inputs)
    #expect(first.outcome.code == 0, "\(first.outcome.errors)")
    #expect(first.calls.count == 15)
    let words = shop.words
    for input in inputs {
      let path = String(input.drop { $0 != "=" }.dropFirst())
      // A leading dash would be an option.
      #expect(words.contains(path.hasPrefix("-") ? "./\(path)" : path), "\(path): \(words)")
    }
    #expect(try shop.make("distill-2b").calls.isEmpty)
    #expect(try shop.make(["distill-2b"] + inputs).calls.isEmpty)
    // It is followed too.
    try shop.write("{ }", to: "\(place)/teacher/config.json")
    let again = try shop.make("distill-2b").calls
    #expect(again.contains("extract features/teacher") && !again.contains("prepare samples"))
    try shop.write("[ ]", to: "\(place)/data.json")
    #expect(try shop.make("distill-2b").calls.contains("prepare samples"))
    try shop.write("index\tquestion\tanswer\n", to: "\(place)/test.tsv")
    #expect(
      try shop.make("distill-2b").calls == [
        "evaluate evaluation/model", "evaluate evaluation/student", "evaluate evaluation/teacher",
        "report report",
      ])
  }

  @Test("ablate takes such paths too")
  func ablating() throws {
    let shop = try Workshop()
    let inputs = try own("it's $HOME's \"own\" #1", shop)
    try shop.edit("pipeline/2b.yaml", "align:\n", "align:\n  warmup_steps: 5\n")
    let (outcome, calls) = try shop.make(
      ["ablate-2b", "SEEDS=0", "CELLS=order-preservation as-it-is"] + inputs)
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(calls.contains("evaluate ablations/test/as-it-is"))
    #expect(shop.words.filter { $0 == "it's $HOME's \"own\" #1/test.tsv" }.count == 3)
    #expect(
      try shop.make("ablate-2b", "SEEDS=0", "CELLS=order-preservation as-it-is").calls
        == ["compare ablations/table-test"])
  }

  @Test(
    "What can be no path, number or list is refused, and nothing runs",
    arguments: [
      "TEACHER=a\nb", "SEED=x", "SEED=-1", "THREADS=2.5", "JOBS=two", "CELLS=a;id", "SEEDS=$(id)",
      "ABLATIONS=my list.txt", "SPLIT=../x",
    ])
  func refused(_ word: String) throws {
    let shop = try Workshop()
    let (outcome, calls) = try shop.make("ablate-tiny", word)
    #expect(outcome.code == 2 && calls.isEmpty)
    #expect(outcome.errors.contains("\(word.prefix { $0 != "=" }): "), "\(outcome.errors)")
    #expect(outcome.errors.contains("64") || outcome.errors.contains("expected"))
  }

  // MARK: Mistakes

  @Test(
    "An input that is not there stops distill before it works, and is not remembered",
    arguments: ["TEACHER", "STUDENT", "DATASET", "IMAGES", "BENCHMARK"])
  func missing(_ name: String) throws {
    let shop = try Workshop()
    let inputs = try own("mine", shop)
    let bad = inputs.map { $0.hasPrefix(name) ? "\(name)=/nope" : $0 }
    let (outcome, calls) = try shop.make(["distill-2b"] + bad)
    #expect(outcome.code == 2 && calls.isEmpty)
    #expect(outcome.errors.contains("error: \(name): no such f"), "\(outcome.errors)")
    #expect(!FileManager.default.fileExists(atPath: "\(shop.path)/runs/2b/inputs"))
    // A finished run stays what it is.
    _ = try shop.make(["distill-2b"] + inputs)
    #expect(try shop.make("distill-2b", "\(name)=/nope").outcome.code == 2)
    #expect(try shop.make("distill-2b").calls.isEmpty)
  }

  @Test("Inputs that do not fit stop distill before it works, and are not remembered")
  func unfit() throws {
    let shop = try Workshop()
    let inputs = try own("mine", shop)
    try shop.write("plan", to: "refuse")
    for goal in ["distill-2b", "align-2b", "check-2b"] {
      let (outcome, calls) = try shop.make([goal] + inputs)
      #expect(outcome.code == 2 && calls == ["prepare .survey"], "\(calls)")
      #expect(!FileManager.default.fileExists(atPath: "\(shop.path)/runs/2b/inputs"))
    }
    try FileManager.default.removeItem(atPath: "\(shop.path)/refuse")
    _ = try shop.make(["distill-2b"] + inputs)
    try shop.write("plan", to: "refuse")
    try shop.write("{}", to: "other/config.json")
    #expect(try shop.make("distill-2b", "TEACHER=other").outcome.code == 2)
    // And a stage that is to be made again keeps what it has.
    for (goal, kept) in [("redo-align-2b", "adapter"), ("redo-prepare-2b", "samples")] {
      #expect(try shop.make(goal).outcome.code == 2)
      #expect(FileManager.default.fileExists(atPath: "\(shop.path)/runs/2b/\(kept)/manifest.json"))
    }
    #expect(try shop.make("distill-2b").calls.isEmpty)
  }

  @Test("Inputs are checked once, though Make starts again for slices that changed")
  func checkedOnce() throws {
    let shop = try Workshop()
    let inputs = try own("mine", shop)
    #expect(try shop.make(["distill-2b"] + inputs).calls.filter { $0 == "plan " }.count == 1)
    for (context, arguments) in [(2048, []), (2049, inputs)] {
      try shop.edit("pipeline/2b.yaml", "context: \(context)", "context: \(context + 1)")
      try FileManager.default.removeItem(atPath: "\(shop.path)/runs/2b/samples")
      let calls = try shop.make(["distill-2b"] + arguments).calls
      #expect(calls.filter { $0 == "plan " }.count == 1, "\(calls)")
      #expect(calls.contains("prepare .survey") && calls.contains("prepare samples"))
    }
  }

  @Test("What a run no longer reads may go")
  func gone() throws {
    let shop = try Workshop()
    _ = try shop.make(["distill-2b"] + own("mine", shop))
    for name in ["teacher", "images"] {
      try FileManager.default.removeItem(atPath: "\(shop.path)/mine/\(name)")
    }
    #expect(try shop.make("distill-2b").calls.isEmpty)
    try shop.edit("pipeline/2b.yaml", "align:\n", "align:\n  epsilon: 1e-7\n")
    #expect(try shop.make("distill-2b").calls.first == "align adapter")
  }

  @Test("compare without baselines says so and starts nothing")
  func noBaselines() throws {
    let shop = try Workshop()
    let (outcome, calls) = try shop.make(["compare-2b"] + own("mine", shop))
    #expect(outcome.code == 2 && !calls.contains { $0.hasPrefix("extract") })
    #expect(outcome.errors.contains("2b has no baselines: pipeline/2b-sft.yaml"))
  }

  @Test("make -n shows, and leaves neither inputs nor slices behind")
  func asking() throws {
    let shop = try Workshop()
    let inputs = try own("a b", shop)
    let shown = try shop.make(["-n", "distill-2b"] + inputs).outcome
    #expect(shown.output.contains("--teacher 'a b/teacher'"), "\(shown.output)\(shown.errors)")
    #expect(!FileManager.default.fileExists(atPath: "\(shop.path)/runs/2b/inputs"))
    _ = try shop.make("distill-tiny")
    #expect(try shop.make("-n", "align-tiny", "SEED=5").outcome.output.contains("--seed 5"))
    #expect(try shop.make("distill-tiny").calls.isEmpty)
  }

  // MARK: Seed and execution

  @Test("SEED re-runs what uses a seed and what follows; without it the preset's counts again")
  func seed() throws {
    let shop = try Workshop()
    _ = try shop.make("distill-tiny")
    let untouched = [
      "evaluate evaluation/student", "evaluate evaluation/teacher", "extract features/student",
      "extract features/teacher", "prepare samples", "synthesize data",
    ]
    for arguments in [["distill-tiny", "SEED=5"], ["distill-tiny"]] {
      let calls = try shop.make(arguments).calls
      #expect(calls == MakeTests.everything.filter { !untouched.contains($0) })
      #expect(try shop.make(arguments).calls.isEmpty)
    }
    #expect(try shop.make("distill-tiny", "SEED=0").calls.isEmpty, "the preset's own")
  }

  @Test("THREADS re-runs nothing")
  func threads() throws {
    let shop = try Workshop()
    _ = try shop.make("distill-tiny")
    #expect(try shop.make("distill-tiny", "THREADS=2").calls.isEmpty)
  }

  static let execution = [
    ("run", "threads: 2"), ("extract", "tokens_per_batch: 64"), ("evaluate", "batch: 2"),
    ("verbalize", "checkpoint_minutes: 1"), ("align", "checkpoint_minutes: 1"),
    ("evaluate", "max_reject_share: 0.5"), ("align", "gradient_checkpointing: true"),
    ("finetune", "checkpoint_minutes: 1"), ("finetune", "tokens_per_batch: 64"),
    ("finetune", "gradient_checkpointing: true"), ("extract", "tokens_in_flight: 512"),
  ]

  @Test("A setting that decides no content re-runs nothing, however it is written")
  func executionSettings() throws {
    let shop = try Workshop()
    try shop.write("extends: tiny.yaml\n", to: "pipeline/mine.yaml")
    _ = try shop.make("distill-mine")
    let sections = Dictionary(grouping: MakeInputTests.execution, by: \.0)
    let blocks = sections.map { "\($0.key):\n" + $0.value.map { "  \($0.1)\n" }.joined() }
    try shop.write("extends: tiny.yaml\n" + blocks.joined(), to: "pipeline/mine.yaml")
    #expect(try shop.isDone("mine"))
    let inline = sections.map { "\($0.key): {\($0.value.map(\.1).joined(separator: ",\n  "))}\n" }
    try shop.write("extends: tiny.yaml\n" + inline.joined(), to: "pipeline/mine.yaml")
    #expect(try shop.isDone("mine"))
    try shop.write(
      "extends: tiny.yaml\n" + inline.joined() + "report: {title: 'a, {b} # c'}\n",
      to: "pipeline/mine.yaml")
    #expect(try shop.make("distill-mine").calls == ["report report"])
  }

  @Test("A comment with an apostrophe is a comment")
  func apostrophe() throws {
    let shop = try Workshop()
    _ = try shop.make("distill-tiny")
    try shop.edit("pipeline/tiny.yaml", "  context: 256\n", "  context: 256  # an image's, too\n")
    #expect(try shop.isDone("tiny"))
  }
}
