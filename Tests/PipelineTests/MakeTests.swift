import Foundation
import TestSupport
import Testing

/// The graph in the Makefile, with programs that only note that they were called.
@Suite(.enabled(if: systemProgram("make") != nil)) struct MakeTests {
  /// A copy of the Makefile and the presets beside stand-ins for the programs.
  struct Workshop {
    private let scratch: TemporaryFolder
    /// A checkout may lie anywhere.
    var path: String { scratch("it's a shop") }

    init() throws {
      let manager = FileManager.default
      scratch = try TemporaryFolder()
      try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
      for part in ["Makefile", "Package.swift", "pipeline"] {
        try manager.copyItem(atPath: "\(repository)/\(part)", toPath: "\(path)/\(part)")
      }
      // `refuse` names a program that must fail. Slices are written by the program that writes them.
      let file = try write(
        """
        #!/bin/sh
        for word; do case $word in
          --slices | --write) exec "$PROGRAMS/vlsi-plan" "$@" ;;
        esac; done
        for word; do [ "$last" = --budget ] && echo 120 > $word; last=$word; done
        printf '%s\\n' "${0##*vlsi-}" "$@" >> words
        case $0 in *"$(cat refuse 2> /dev/null || echo no)") echo "error: no" >&2; exit 65 ;; esac
        for word; do [ "$last" = --output ] && out=$word; last=$word; done
        echo "${0##*vlsi-} ${out#runs/*/}" >> calls
        [ -n "$out" ] || exit 0
        mkdir -p $out
        case $0 in *synthesize) echo > $out/synthesis.json ;; *) echo > $out/manifest.json ;; esac
        case $0 in *report) echo "| a table |" ;; *compare) cat "$4" ;; esac

        """,
        to: "programs/stub")
      try manager.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file)
      for name in [
        "synthesize", "prepare", "extract", "verbalize", "target", "align", "finetune", "evaluate",
        "report", "compare", "plan",
      ] {
        try manager.createSymbolicLink(
          atPath: "\(path)/programs/vlsi-\(name)", withDestinationPath: "stub")
      }
      try write("{}", to: "data/teacher/config.json")
      try write("{}", to: "data/student/config.json")
    }

    /// Writes a file of the workshop and gives its path.
    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
      try scratch.write(text, to: "it's a shop/\(name)")
    }

    /// The words of every command line that programs were called with.
    var words: [String] {
      ((try? String(contentsOfFile: "\(path)/words", encoding: .utf8)) ?? "")
        .split(separator: "\n").map(String.init)
    }

    /// Runs make and returns how it ended with the stages that were called, sorted.
    func make(_ arguments: String...) throws -> (outcome: Outcome, calls: [String]) {
      try make(arguments)
    }

    func make(_ arguments: [String]) throws -> (outcome: Outcome, calls: [String]) {
      let log = "\(path)/calls"
      for file in [log, "\(path)/words"] { try? FileManager.default.removeItem(atPath: file) }
      let outcome = try run(
        try #require(systemProgram("make")),
        ["BIN=programs", "BUILT=programs/stub"] + arguments, in: path,
        environment: ["PROGRAMS": programs])
      let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
      return (outcome, text.split(separator: "\n").map(String.init).sorted())
    }

    /// Whether distill finds nothing to do.
    func isDone(_ name: String) throws -> Bool {
      let (outcome, calls) = try make("distill-\(name)")
      return calls.isEmpty && outcome.output.hasPrefix("Nothing to do: runs/\(name) is up to date.")
    }

    func edit(_ file: String, _ old: String, _ new: String) throws {
      let path = "\(path)/\(file)"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      #expect(text.contains(old), "\(file) has no \(old)")
      let range = try #require(text.range(of: old))
      try text.replacingCharacters(in: range, with: new)
        .write(toFile: path, atomically: true, encoding: .utf8)
    }
  }

  static let everything = [
    "align adapter", "align compare/last-layer/adapter", "evaluate evaluation/last-layer",
    "evaluate evaluation/model", "evaluate evaluation/sft", "evaluate evaluation/student",
    "evaluate evaluation/teacher", "extract features/model", "extract features/student",
    "extract features/teacher",
    "finetune compare/last-layer/model", "finetune compare/sft/model", "finetune model",
    "prepare samples", "report report", "synthesize data", "target targets",
    "verbalize verbalizers/student", "verbalize verbalizers/teacher",
  ]

  static let fromAlign = [
    "align adapter", "align compare/last-layer/adapter", "evaluate evaluation/last-layer",
    "evaluate evaluation/model", "extract features/model", "finetune compare/last-layer/model",
    "finetune model", "report report",
  ]

  @Test("make alone explains itself and makes nothing")
  func help() throws {
    let shop = try Workshop()
    let (outcome, calls) = try shop.make()
    #expect(outcome.code == 0)
    #expect(calls.isEmpty)
    for word in [
      "make distill-tiny", "make distill-2b", "2b 2b-night 2b-trial 7b llava-onevision-0.5b",
      "redo-STAGE-NAME",
    ] {
      #expect(outcome.output.contains(word), "\(word)")
    }
    #expect(!FileManager.default.fileExists(atPath: "\(shop.path)/runs"))
  }

  @Test("distill runs every stage once; a second time nothing, and says so")
  func distillTwice() throws {
    let shop = try Workshop()
    let first = try shop.make("distill-tiny")
    #expect(first.outcome.code == 0)
    #expect(first.calls == MakeTests.everything)
    #expect(first.outcome.output.contains("| a table |"))
    #expect(
      first.outcome.output.hasSuffix(
        "runs/tiny is done.\nModel:  runs/tiny/model\nReport: runs/tiny/report/index.html\n"))
    let start = Date()
    let second = try shop.make("distill-tiny")
    #expect(second.calls.isEmpty)
    #expect(second.outcome.output.hasPrefix("Nothing to do: runs/tiny is up to date."))
    #expect(Date().timeIntervalSince(start) < 2)
  }

  @Test("make -n shows the steps of a stage in order and makes none")
  func dryRun() throws {
    let shop = try Workshop()
    let (outcome, calls) = try shop.make("-n", "align-tiny")
    #expect(calls.isEmpty)
    let steps = outcome.output.split(separator: "\n").compactMap { line in
      line.split(separator: " ").first { $0.hasPrefix("programs/vlsi-") }?.dropFirst(14)
    }
    #expect(steps.first == "synthesize")
    #expect(steps.last == "align")
    #expect(steps.count == 8)
    #expect(!steps.contains("finetune"))
  }

  @Test("An edited key re-runs the stages that read it and what follows, nothing before")
  func editing() throws {
    let shop = try Workshop()
    _ = try shop.make("distill-tiny")
    try shop.edit("pipeline/tiny.yaml", "align:\n  steps: ", "align:\n  steps: 1")
    #expect(try shop.make("distill-tiny").calls == MakeTests.fromAlign)
    try shop.edit("pipeline/tiny.yaml", "title: \"", "title: \"Other: ")
    #expect(try shop.make("distill-tiny").calls == ["report report"])
    try shop.edit("pipeline/tiny.yaml", "student_layers: [2, 3]", "student_layers: [1, 3]")
    let layers = try shop.make("distill-tiny").calls
    #expect(layers.contains("extract features/student"))
    #expect(!layers.contains("extract features/teacher"))
    #expect(!layers.contains("target targets"))
    try shop.edit("pipeline/tiny-sft.yaml", "warmup_steps: ", "warmup_steps: 1")
    #expect(
      try shop.make("distill-tiny").calls
        == ["evaluate evaluation/sft", "finetune compare/sft/model", "report report"])
  }

  @Test("A comment, an empty line and the order of keys change nothing")
  func commenting() throws {
    let shop = try Workshop()
    _ = try shop.make("distill-tiny")
    try shop.edit("pipeline/tiny.yaml", "align:\n", "# why\nalign:   # here\n\n  # there\n")
    try shop.edit("pipeline/tiny.yaml", "  form: exact ", "  form: exact   # and so on ")
    try shop.edit("pipeline/tiny.yaml", "  context: 256\n", "")
    try shop.edit(
      "pipeline/tiny.yaml", "  samples_per_shard: 512\n",
      "  samples_per_shard: 512\n  context: 256\n")
    #expect(try shop.isDone("tiny"))
  }

  @Test("A default written out, and a number written otherwise, change nothing")
  func spelling() throws {
    let shop = try Workshop()
    _ = try shop.make("distill-tiny")
    try shop.edit("pipeline/tiny.yaml", "align:\n", "align:\n  epsilon: 1e-8\n  last_loss: kl\n")
    try shop.edit(
      "pipeline/tiny.yaml", "weight_decay: 0.05\n  clip_norm: 1\n  gradient_checkpointing: false #",
      "weight_decay: 5e-2\n  clip_norm: 1.0\n  gradient_checkpointing: false #")
    try shop.edit("pipeline/tiny.yaml", "[2, 3, 4, 5]", "[ 2,3, 4,5 ]")
    #expect(try shop.isDone("tiny"))
  }

  @Test(
    "A preset that is wrong stops Make with the program's message before anything runs",
    arguments: ["tiny", "tiny-sft"])
  func wrongPreset(_ name: String) throws {
    let shop = try Workshop()
    _ = try shop.make("distill-tiny")
    try shop.edit("pipeline/\(name).yaml", "finetune:\n", "finetune:\n  stepz: 5\n")
    for goal in [["distill-tiny"], ["-n", "align-tiny"], ["-j2", "ablate-tiny"]] {
      let (outcome, calls) = try shop.make(goal)
      #expect(outcome.code == 2 && calls.isEmpty, "\(goal) \(calls)")
      #expect(outcome.errors.contains("error: pipeline/\(name).yaml:"), "\(outcome.errors)")
      #expect(outcome.errors.contains("unknown key stepz in section finetune. Did you mean steps?"))
      #expect(outcome.errors.contains("slices.mk] Error 78"))
    }
    #expect(try shop.make("graph-tiny").outcome.code == 0)
    try shop.edit("pipeline/\(name).yaml", "  stepz: 5\n", "")
    #expect(try shop.isDone("tiny"))
  }

  @Test("Several runs in one call have their own slices")
  func severalRuns() throws {
    let shop = try Workshop()
    #expect(try shop.make("prepare-tiny").calls == ["prepare samples", "synthesize data"])
    try shop.write("extends: tiny.yaml\nprepare: {context: 64}\n", to: "pipeline/mine.yaml")
    #expect(
      try shop.make("prepare-tiny", "prepare-mine").calls == ["prepare samples", "synthesize data"])
    try shop.edit("pipeline/mine.yaml", "64", "65")
    #expect(try shop.make("prepare-tiny", "prepare-mine").calls == ["prepare samples"])
    try shop.edit("pipeline/tiny.yaml", "context: 256", "context: 255")
    // mine.yaml says what it takes itself.
    #expect(try shop.make("prepare-tiny", "prepare-mine").calls == ["prepare samples"])
  }

  @Test("Where nothing is built, only what needs slices builds the programs first, make -n too")
  func freshClone() throws {
    let shop = try Workshop()
    // A toolchain that takes no time: it notes what it does, and brings the stand-ins.
    let swift = try shop.write(
      """
      #!/bin/sh
      echo "$1" >> builds
      [ "$1" = build ] && ln -sfn ../programs built/bin
      exit 0

      """,
      to: "tools/swift")
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: swift)
    try shop.write("#!/bin/sh\n", to: "pipeline/python.sh")
    try shop.write("", to: "built/note")
    func make(_ arguments: String...) throws -> (outcome: Outcome, builds: [String]) {
      try? FileManager.default.removeItem(atPath: "\(shop.path)/builds")
      let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
      let outcome = try run(
        try #require(systemProgram("make")), ["BIN=built/bin", "BUILT=built/done"] + arguments,
        in: shop.path,
        environment: ["PROGRAMS": programs, "PATH": "\(shop.path)/tools:\(path)"])
      let text = (try? String(contentsOfFile: "\(shop.path)/builds", encoding: .utf8)) ?? ""
      return (outcome, text.split(separator: "\n").map(String.init))
    }
    for goal in ["help", "clean", "clean-tiny", "graph-tiny"] {
      let (outcome, builds) = try make(goal)
      #expect(outcome.code == 0 && builds.isEmpty, "\(goal): \(builds) \(outcome.errors)")
    }
    #expect(try make("lint").builds == ["format"])
    #expect(try make("test").builds == ["build", "test"])
    try FileManager.default.removeItem(atPath: "\(shop.path)/built/bin")
    let (shown, built) = try make("-n", "align-tiny")
    #expect(shown.code == 0 && built == ["build"], "\(shown.errors)")
    #expect(shown.output.contains("built/bin/vlsi-align --preset pipeline/tiny.yaml"))
    #expect(!FileManager.default.fileExists(atPath: "\(shop.path)/calls"))
    // Newer sources: their programs know what may stand in a preset.
    try shop.write("// newer", to: "Sources/new.swift")
    try shop.write("[]", to: "mine/data.json")
    let (outcome, again) = try make("prepare-2b", "STUDENT=data/student", "DATASET=mine/data.json")
    #expect(outcome.code == 0 && again == ["build"], "\(outcome.errors)")
    #expect(try make("prepare-2b").builds.isEmpty)
    // Everything once, and nothing over and over.
    try FileManager.default.removeItem(atPath: "\(shop.path)/calls")
    let (all, last) = try make("-B", "prepare-2b")
    #expect(all.code == 0 && last == ["build"], "\(all.errors)")
    #expect(
      try String(contentsOfFile: "\(shop.path)/calls", encoding: .utf8) == "prepare samples\n")
  }

  @Test("redo runs a stage again with what follows, though nothing changed")
  func redo() throws {
    let shop = try Workshop()
    _ = try shop.make("distill-tiny")
    #expect(try shop.make("redo-align-tiny").calls == MakeTests.fromAlign)
    let again = try shop.make("redo-verbalize-tiny").calls
    #expect(
      again
        == (MakeTests.fromAlign + [
          "target targets", "verbalize verbalizers/student", "verbalize verbalizers/teacher",
        ]).sorted())
    #expect(try shop.make("distill-tiny").calls.isEmpty)
  }

  @Test("What was removed is made again; features may go")
  func removing() throws {
    let shop = try Workshop()
    _ = try shop.make("distill-tiny")
    let manager = FileManager.default
    try manager.removeItem(atPath: "\(shop.path)/runs/tiny/features")
    #expect(try shop.make("distill-tiny").calls.isEmpty)
    try manager.removeItem(atPath: "\(shop.path)/runs/tiny/evaluation/sft")
    // Those of the distilled student are few, and the report is made of them.
    #expect(
      try shop.make("distill-tiny").calls
        == ["evaluate evaluation/sft", "extract features/model", "report report"])
    try manager.removeItem(atPath: "\(shop.path)/runs/tiny/model")
    #expect(
      try shop.make("distill-tiny").calls
        == [
          "evaluate evaluation/model", "extract features/model", "finetune model", "report report",
        ])
  }

  @Test("A new checkpoint re-runs its own branch")
  func newTeacher() throws {
    let shop = try Workshop()
    _ = try shop.make("distill-tiny")
    try shop.write("{ }", to: "data/teacher/config.json")
    let calls = try shop.make("distill-tiny").calls
    #expect(calls.contains("extract features/teacher"))
    #expect(!calls.contains("extract features/student"))
    #expect(!calls.contains("finetune compare/sft/model"))
  }

  @Test("make -j2 makes the same")
  func sideBySide() throws {
    let shop = try Workshop()
    let (outcome, calls) = try shop.make("-j2", "distill-tiny")
    #expect(outcome.code == 0)
    #expect(calls == MakeTests.everything)
    #expect(!outcome.errors.contains("jobserver"))
  }

  @Test("COMPARE=0 leaves the baselines out, compare adds them")
  func comparing() throws {
    let shop = try Workshop()
    let alone = try shop.make("COMPARE=0", "distill-tiny").calls
    #expect(!alone.contains { $0.contains("compare") })
    let rest = try shop.make("compare-tiny").calls
    #expect(Set(alone + rest) == Set(MakeTests.everything))
    #expect(rest.contains("report report"))
    #expect(!rest.contains("finetune model"))
  }

  @Test("A run with own data asks for what it lacks, and remembers it")
  func ownData() throws {
    let shop = try Workshop()
    let bare = try shop.make("distill-2b")
    #expect(bare.outcome.code == 2)
    #expect(bare.outcome.errors.contains("2b needs DATASET=…"))
    try shop.write("[]", to: "mine/data.json")
    for checkpoint in ["t", "s", "other"] { try shop.write("{}", to: "\(checkpoint)/config.json") }
    let first = try shop.make(
      "distill-2b", "TEACHER=t", "STUDENT=s", "DATASET=mine/data.json", "IMAGES=mine")
    #expect(first.outcome.code == 0)
    #expect(first.calls.count == 12)
    #expect(!first.calls.contains { $0.hasPrefix("evaluate") })
    #expect(try shop.make("distill-2b").calls.isEmpty)
    try shop.write("[ ]", to: "mine/data.json")
    #expect(try shop.make("prepare-2b").calls == ["prepare samples"])
    let other = try shop.make("extract-2b", "TEACHER=other").calls
    #expect(other == ["extract features/student", "extract features/teacher", "plan "])
  }

  @Test("check and plan survey what is there each time, and no stage takes that for its samples")
  func beforeARun() throws {
    let shop = try Workshop()
    #expect(
      try shop.make("check-tiny").calls == ["plan ", "prepare .survey", "synthesize data"])
    // Pictures may have gone since, which no file that Make follows tells.
    #expect(try shop.make("check-tiny").calls == ["plan ", "prepare .survey"])
    #expect(try shop.make("plan-tiny").calls == ["plan ", "prepare .survey"])
    #expect(try shop.make("prepare-tiny").calls == ["prepare samples"])
  }

  @Test("A target that does not exist names those that do")
  func unknownTarget() throws {
    let shop = try Workshop()
    let (outcome, _) = try shop.make("distil-tiny")
    #expect(outcome.code == 2)
    #expect(
      outcome.errors.contains(
        "error: no target distil-tiny. Runs: 2b 2b-night 2b-trial 7b llava-onevision-0.5b "))
  }

  @Test("ablate makes what cells share once, by seed, and a second time nothing")
  func ablating() throws {
    let shop = try Workshop()
    let cells = "CELLS=order-preservation l2-kl kl-l2 verb-ffn mlp sft as-it-is"
    let (outcome, calls) = try shop.make("ablate-tiny", "SEEDS=0 1", cells)
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(Set(calls).count == calls.count, "\(calls)")
    func made(_ program: String, _ seed: Int) -> [String] {
      let start = "\(program) ablations/seed-\(seed)/"
      return calls.filter { $0.hasPrefix(start) }.map { String($0.dropFirst(start.count)) }
    }
    for seed in 0...1 {
      #expect(made("target", seed) == ["targets/l2-kl", "targets/mlp", "targets/own"])
      #expect(
        made("align", seed)
          == ["kl-l2", "l2-kl", "mlp", "order-preservation", "own"].map {
            "adapter/\($0)"
          })
      #expect(made("finetune", seed).count == 6 && made("evaluate", seed).count == 6)
    }
    #expect(calls.contains("evaluate ablations/test/as-it-is"))
    #expect(calls.filter { $0.hasPrefix("extract") }.count == 2)
    #expect(outcome.output.contains("verb-ffn\t1\truns/tiny/ablations/seed-1/test/own\n"))
    #expect(!outcome.output.contains("bottom-1"))
    let table = ["compare ablations/table-test"]
    #expect(try shop.make("ablate-tiny", "SEEDS=0 1", cells).calls == table)

    // An edited setting: what it touches is no result any more, until it is made again.
    try shop.edit("pipeline/tiny.yaml", "align:\n", "align:\n  epsilon: 1e-7\n")
    let (rest, called) = try shop.make("ablation-table-tiny", "SEEDS=0 1")
    #expect(called == table)
    #expect(
      rest.output.split(separator: "\n").map { $0.prefix(5) }.sorted() == [
        "as-it", "as-it", "sft\t0", "sft\t1",
      ])
    let again = try shop.make("ablate-tiny", "SEEDS=1", cells).calls
    #expect(again.count == 16 && again.first == "align ablations/seed-1/adapter/kl-l2")
  }

  @Test("With nothing left to make, the table holds every cell")
  func wholeTable() throws {
    let shop = try Workshop()
    #expect(try shop.make("ablate-tiny", "SEEDS=0").outcome.code == 0)
    let table = try shop.make("ablation-table-tiny", "SEEDS=0").outcome.output
    #expect(table.split(separator: "\n").count == 31)
    #expect(table.contains("bottom-1\t0\t"))
  }

  @Test("ablate refuses cells that the list does not have, and a list that is none")
  func ablatingNothing() throws {
    let shop = try Workshop()
    let (outcome, calls) = try shop.make("ablate-tiny", "CELLS=matching losess")
    #expect(outcome.code == 2 && !calls.contains { $0.hasPrefix("align") })
    #expect(outcome.errors.contains("has neither a comparison nor a cell losess"))
    try shop.write("[x] y | A\na | b | 1\n", to: "list.txt")
    let other = try shop.make("ablate-tiny", "ABLATIONS=list.txt").outcome
    #expect(other.errors.contains("list.txt:2: expected [comparison], or: cell"))
    // Nor does it go by the rules that an earlier list left.
    let cell = "[x] y | A\na | b | 1 | align.steps=3\n"
    try shop.write(cell, to: "list.txt")
    #expect(try shop.make("ablate-tiny", "ABLATIONS=list.txt", "SEEDS=0").outcome.code == 0)
    try shop.write(cell.replacing("align.steps=3", with: "align.stepz=4"), to: "list.txt")
    try shop.edit("pipeline/tiny.yaml", "warmup_steps: 20", "warmup_steps: 21")
    let (wrong, ran) = try shop.make("ablate-tiny", "ABLATIONS=list.txt", "SEEDS=0")
    #expect(wrong.code == 2 && ran.isEmpty, "\(ran)")
    #expect(wrong.errors.contains("presets/a.yaml:5: unknown key stepz in section align"))
  }

  @Test("graph draws what is made")
  func graph() throws {
    let shop = try Workshop()
    _ = try shop.make("prepare-tiny")
    let drawn = try shop.make("graph-tiny").outcome.output
    #expect(drawn.contains("[x] samples"))
    #expect(drawn.contains("[ ] adapter"))
    #expect(drawn.contains("[ ] evaluation/sft"))
    _ = try shop.make("distill-tiny")
    #expect(try shop.make("graph-tiny").outcome.output.contains("[x] report"))
    try shop.edit("pipeline/tiny.yaml", "steps: 1100", "steps: 1101")
    let stale = try shop.make("graph-tiny")
    for artifact in ["adapter", "model", "evaluation/model", "report"] {
      #expect(stale.outcome.output.contains("[!] \(artifact)"), "\(artifact)")
    }
    for artifact in ["samples", "targets", "evaluation/teacher"] {
      #expect(stale.outcome.output.contains("[x] \(artifact)"), "\(artifact)")
    }
    #expect(stale.calls.isEmpty)
  }

  @Test("SET and RUN make a run of its own, which looks at what others have made")
  func deriving() throws {
    let shop = try Workshop()
    let setting = "SET=align.learning_rate=3e-5 align.matching=uniform"
    let (outcome, calls) = try shop.make("distill-tiny", setting, "RUN=lr3")
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(calls == MakeTests.everything)
    let preset = try String(contentsOfFile: "\(shop.path)/runs/lr3/preset.yaml", encoding: .utf8)
    #expect(
      preset == """
        extends: ../../pipeline/tiny.yaml
        align:
          learning_rate: 3e-5
          matching: uniform

        """)
    #expect(
      try String(contentsOfFile: "\(shop.path)/runs/lr3/preset-sft.yaml", encoding: .utf8)
        .contains("extends: preset.yaml\n"))
    #expect(!FileManager.default.fileExists(atPath: "\(shop.path)/runs/tiny"))
    #expect(shop.words.contains("runs/lr3/preset-last-layer.yaml"))
    // By its own name it is a run as any other, and the same words again find it.
    #expect(try shop.isDone("lr3"))
    #expect(try shop.make("align-tiny", setting, "RUN=lr3").calls.isEmpty)
    #expect(try shop.make("align-tiny", "RUN=lr3").calls.isEmpty)
    let other = try shop.make("align-tiny", "SET=align.learning_rate=4e-5", "RUN=lr3")
    #expect(other.outcome.code == 2 && other.calls.isEmpty)
    #expect(other.outcome.errors.contains("now:     learning_rate: 4e-5"))
    #expect(try shop.make("clean-lr3").outcome.code == 0)
    #expect(!FileManager.default.fileExists(atPath: "\(shop.path)/runs/lr3"))
  }

  @Test(
    "What makes no run of its own is refused before anything is made",
    arguments: [
      (["align-tiny", "SET=align.steps=3"], "RUN=name"),
      (["align-tiny", "SET=align.stepz=3", "RUN=x"], "Did you mean steps?"),
      (["align-tiny", "SET=align.steps", "RUN=x"], "section.key=value"),
      (["align-tiny", "SET=align.steps=3", "RUN=2b"], "preset of its own"),
      (["align-tiny", "SET=align.steps=3", "RUN=a/b"], "RUN: a name of letters"),
      (["align-tiny", "SET=align.steps=3", "RUN=$(shell touch shot)"], "RUN: a name of letters"),
      (["align-tiny", "SET=align.steps=3", "RUN=x-sft"], "part of another run"),
      (["align-tiny", "evaluate-tiny", "RUN=x"], "one stage of one run"),
      (["build", "RUN=x"], "one stage of one run"), (["FROM=nobody", "align-tiny"], "no run"),
    ])
  func derivingWrongly(_ words: [String], _ text: String) throws {
    let shop = try Workshop()
    let (outcome, calls) = try shop.make(words)
    #expect(outcome.code == 2 && calls.isEmpty)
    #expect(outcome.errors.contains(text), "\(outcome.errors)")
    let left = (try? FileManager.default.contentsOfDirectory(atPath: "\(shop.path)/runs")) ?? []
    #expect(!left.contains("x"))
    #expect(!FileManager.default.fileExists(atPath: "\(shop.path)/shot"))
  }

  @Test("With a budget of hours the number of entries is found out once, and again for other hours")
  func budget() throws {
    let shop = try Workshop()
    try shop.write("extends: tiny.yaml\nrun: {budget_hours: 3}\n", to: "pipeline/night.yaml")
    let first = try shop.make("prepare-night")
    #expect(first.outcome.code == 0, "\(first.outcome.errors)")
    #expect(first.calls.contains { $0.hasPrefix("plan") })
    let words = shop.words
    let place = try #require(words.lastIndex(of: "--entries"))
    #expect(words[place + 1] == "120")
    #expect(try shop.make("prepare-night").calls.isEmpty)
    try shop.edit("pipeline/night.yaml", "3", "4")
    #expect(try shop.make("prepare-night").calls.contains { $0.hasPrefix("plan") })
    _ = try shop.make("prepare-tiny")
    #expect(!shop.words.contains("--entries"))
  }

  @Test("A stage looks among all runs, in the one that FROM names, or in none")
  func reusing() throws {
    let shop = try Workshop()
    func reused() -> String? {
      shop.words.firstIndex(of: "--reuse").map { shop.words[$0 + 1] }
    }
    _ = try shop.make("align-tiny")
    #expect(reused() == "runs")
    for (from, expected) in [("tiny", "runs/tiny"), ("none", nil)] {
      _ = try shop.make("align-tiny", "RUN=from-\(from)", "FROM=\(from)")
      #expect(reused() == expected)
    }
    _ = try shop.make("redo-align-tiny")
    #expect(shop.words.contains("--preset") && reused() == nil)
  }
}
