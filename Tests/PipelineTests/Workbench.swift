import Foundation
import TestSupport
import Testing

/// A whole run on random weights and a handful of images, made once by the built programs; the
/// tests look at it and hand parts of it to programs that must refuse them.
struct Workbench: Sendable {
  static let shared: Result<Workbench, any Error> = Result { try Workbench() }

  private let scratch: TemporaryFolder
  var path: String { scratch.path }
  /// How each stage ended, by the artifact it wrote.
  let outcomes: [String: Outcome]

  static let preset = """
    run: {seed: 3, threads: 1}
    synthesize:
      train_images: 14
      test_questions: 24
      validation_questions: 12
      pretrain_images: 4
      pretrain_dense_images: 4
    prepare: {context: 256, questions: independent, samples_per_shard: 4}
    extract: {teacher_layers: [2, 3, 4, 5], student_layers: [2, 3], tokens_per_batch: 512}
    verbalize: {steps: 4, tokens_per_batch: 64, learning_rate: 1e-3}
    align: {steps: 3, samples_per_batch: 3, accumulation: 2, lora_rank: 4, learning_rate: 1e-3}
    finetune: {steps: 3, samples_per_batch: 3, accumulation: 1, learning_rate: 1e-3}
    evaluate: {max_new_tokens: 4, batch: 8}

    """

  /// The stages in order: what each makes and by which command line. `$` stands for the run.
  static let stages: [(artifact: String, command: String)] = [
    ("teacher", "vlsi-synthesize checkpoint --like tiny-teacher --seed 1"),
    ("student", "vlsi-synthesize checkpoint --like tiny-student --seed 2"),
    ("data", "vlsi-synthesize data --splits train,test,pretrain"),
    ("samples", "vlsi-prepare --dataset $/data/train.json --images $/data --model $/student"),
    (
      "features/teacher",
      "vlsi-extract --role teacher --model $/teacher --samples $/samples"
    ),
    (
      "features/student",
      "vlsi-extract --role student --model $/student --samples $/samples"
    ),
    ("verbalizers/teacher", "vlsi-verbalize --model $/teacher --features $/features/teacher"),
    ("verbalizers/student", "vlsi-verbalize --model $/student --features $/features/student"),
    (
      "targets",
      "vlsi-target --teacher $/teacher --student $/student --features $/features/teacher "
        + "--verbalizers $/verbalizers/teacher"
    ),
    (
      "adapter",
      "vlsi-align --student $/student --samples $/samples --verbalizers $/verbalizers/student "
        + "--targets $/targets"
    ),
    ("model", "vlsi-finetune --model $/student --adapter $/adapter --samples $/samples"),
    (
      "evaluation/student",
      "vlsi-evaluate --model $/student --benchmark $/data/test.tsv --images $/data"
    ),
    (
      "evaluation/model",
      "vlsi-evaluate --model $/model --benchmark $/data/test.tsv --images $/data"
    ),
    ("report", "vlsi-report --run $"),
  ]

  /// The artifacts of the run, those with a manifest.
  static let artifacts = stages.map(\.artifact).filter {
    !["teacher", "student", "data"].contains($0)
  }

  init() throws {
    scratch = try TemporaryFolder()
    try scratch.write(Workbench.preset, to: "preset.yaml")
    var outcomes: [String: Outcome] = [:]
    for (artifact, command) in Workbench.stages {
      outcomes[artifact] = try Workbench.perform(
        command + " --preset $/preset.yaml --output $/\(artifact)", path: scratch.path)
    }
    self.outcomes = outcomes
  }

  /// Runs a command line in which `$` stands for the run.
  @discardableResult
  static func perform(
    _ command: String, path: String, interruptAfter: Double? = nil
  ) throws -> Outcome {
    let words = command.split(separator: " ").map {
      $0.replacingOccurrences(of: "$", with: path)
    }
    return try run(words[0], Array(words.dropFirst()), interruptAfter: interruptAfter)
  }

  func perform(_ command: String, interruptAfter: Double? = nil) throws -> Outcome {
    try Workbench.perform(command, path: path, interruptAfter: interruptAfter)
  }

  /// The command line that makes `artifact`, without its output.
  static func command(_ artifact: String) -> String {
    (stages.first { $0.artifact == artifact }?.command ?? "") + " --preset $/preset.yaml"
  }

  func manifest(_ artifact: String) throws -> [String: Any] {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(artifact)/manifest.json"))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }
}

/// The files of a folder with their bytes, but for what changes with time.
func bytes(of folder: String) throws -> [String: Data] {
  let volatile = [
    "manifest.json", "metrics.jsonl", "README.md", ".lock", ".verified",
  ]
  var files: [String: Data] = [:]
  for name in try FileManager.default.subpathsOfDirectory(atPath: folder)
  where !volatile.contains(name) && !name.hasPrefix("events.out.tfevents.") {
    files[name] = FileManager.default.contents(atPath: "\(folder)/\(name)")
  }
  return files
}
