import Artifacts
import Failures
import Foundation
import Models

/// What others make of the same work, by a Python that has them: `pipeline/bench-peers.py`.
struct Peers {
  /// A row's peers.
  static let all: [(row: String, peers: [String])] = [
    ("extract", ["torch-bfloat16", "torch-float32"]),
    ("align", ["torch-bfloat16", "torch-float32"]),
    ("finetune", ["torch-bfloat16", "torch-float32"]),
    ("answers", ["torch-bfloat16", "torch-float32"]),
    ("answers-apart", ["torch-bfloat16", "torch-float32"]),
    ("store-write", ["lmdb", "mosaicml"]), ("store-read", ["lmdb", "mosaicml"]),
    ("store-random", ["lmdb", "mosaicml"]),
  ]
  static var names: [String] { all.flatMap { row, peers in peers.map { "\(row)/\($0)" } } }

  private static let script = "pipeline/bench-peers.py"

  let python: String
  let threads: Int
  /// The model without its weights, the shapes and the records, for the script.
  private let scratch: ScratchFolder

  init(python: String, config: any ModelConfig, threads: Int) throws {
    self.python = python
    self.threads = threads
    scratch = try ScratchFolder()
    let work: JSON = [
      "tokens": .int(SampleShape.tokens), "supervised": .int(SampleShape.supervised),
      "grid": [1, .int(SampleShape.grid.height), .int(SampleShape.grid.width)],
      "target_layers": .array(StageRows.targetLayers.map { .int($0) }),
      "teacher_layers": .int(StageRows.blocks), "lora_rank": .int(StageRows.loraRank),
      "threads": .int(threads),
      "answers": [
        "questions": .int(QuestionShape.questions), "batch": .int(QuestionShape.batch),
        "own": .int(QuestionShape.own),
        "lengths": .array(QuestionShape.lengths.map { .int($0) }),
      ],
    ]
    try writeAtomically(work.text(pretty: true), to: scratch("work.json"))
    let model = config.shortened(layers: StageRows.blocks, encoderBlocks: StageRows.blocks)
    try writeAtomically(
      JSON.object(model.members).text(pretty: true), to: scratch("config.json"))
    try FeatureRecords().write(to: scratch("features"))
  }

  /// The same work by a row's peers, against our time for it. What a peer lacks is said to `note`.
  func results(for ours: RowResult, note: (String) -> Void) throws -> [RowResult] {
    guard let seconds = ours["seconds"] else { return [] }
    let peers = Self.all.first { $0.row == ours.name }?.peers ?? []
    return try peers.compactMap { peer in
      let name = "\(ours.name)/\(peer)"
      let answer = try Child.run(
        "/usr/bin/env", [python, Self.script, ours.name, peer, scratch.path], name: name)
      if let missing = answer["missing"]?.asString {
        note("\(name): \(python) -m pip install \(missing)")
        return nil
      }
      guard let theirs = answer["seconds"]?.asDouble, theirs > 0 else {
        throw Failure(.software, "the peer gave no time", at: name, found: answer.text())
      }
      var fields = answer.asObject ?? [:]
      fields["rate"] = .number((ours["rate"] ?? 0) * seconds / theirs)
      fields["unit"] = ours.fields["unit"]
      fields["ratio"] = .number(theirs / seconds)
      return RowResult(name: name, shape: ours.shape, fields: fields)
    }
  }
}

/// Programs that measure for this one, each in a process of its own.
enum Child {
  /// Runs a program and gives the JSON that it prints. Throws 70 when it fails.
  static func run(_ program: String, _ arguments: [String], name: String) throws -> JSON {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationReason == .exit, process.terminationStatus == 0 else {
      throw Failure(
        .software, "the measurement failed", at: name, found: "status \(process.terminationStatus)")
    }
    return try JSON(parsing: text, place: name)
  }
}
