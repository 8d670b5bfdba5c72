import Artifacts
import Foundation
import TestSupport
import Testing

/// What a program gave.
struct Outcome {
  var status: Int32
  var bytes: [UInt8]
  var log: String
  var text: String { String(decoding: bytes, as: UTF8.self) }
}

let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent()

func run(_ program: URL, _ arguments: [String]) throws -> Outcome {
  let process = Process()
  process.executableURL = program
  process.arguments = arguments
  let folder = try TemporaryFolder()
  // Files, not pipes: neither stream can fill up and hold the other.
  for name in ["out", "err"] { try writeAtomically("", to: folder(name)) }
  process.standardOutput = FileHandle(forWritingAtPath: folder("out"))
  process.standardError = FileHandle(forWritingAtPath: folder("err"))
  try process.run()
  process.waitUntilExit()
  return Outcome(
    status: process.terminationStatus, bytes: try Files.read(folder("out")),
    log: String(decoding: try Files.read(folder("err")), as: UTF8.self))
}

/// Runs the built `vlsi-dump`, which lies beside the tests.
func dump(_ arguments: String...) throws -> Outcome {
  let beside = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
  return try run(beside.appending(path: "vlsi-dump"), arguments)
}

func json(_ outcome: Outcome) throws -> JSON {
  try JSON(parsing: outcome.bytes, place: "standard output")
}

/// A `targets` artifact of the topk form and a `features` one, with a tokenizer beside them.
func writeRun(_ folder: TemporaryFolder) throws {
  let tokenizer = repository.appending(path: "data/tokenizer").path
  for (name, kind) in [("features", ArtifactKind.features), ("targets", .targets)] {
    let writer = try ArtifactWriter(
      directory: folder(name), kind: kind, settings: ["layers": [2, 6], "target": ["top_k": 2]],
      inputs: ["samples": "s"], samplesPerShard: 4)
    for work in writer.unfinishedShards(of: Array(0..<10)) {
      try writer.writeShard(work.shard) { append in
        for index in work.indices {
          try append(kind == .features ? feature(index) : target(index))
        }
      }
    }
    try writer.finish(facts: ["model": .string(tokenizer)])
  }
}

func feature(_ index: Int) -> Record {
  let rows = 3
  let values = (0..<(rows * 4)).map { Float($0 + index) / 4 }
  return Record(
    index: index,
    tensors: [
      "positions": RawTensor(int32: [4, 5, 6], shape: [3]),
      "labels": RawTensor(int32: [300, 301, 302], shape: [3]),
      "hidden.2": RawTensor(values, as: .bfloat16, shape: [rows, 4]),
      "hidden.6": RawTensor(values.map { -2 * $0 }, as: .bfloat16, shape: [rows, 4]),
    ], metadata: ["id": "scene-\(index)"])
}

func target(_ index: Int) -> Record {
  var tensors = [
    "positions": RawTensor(int32: [4, 5, 6], shape: [3]),
    "labels": RawTensor(int32: [300, 301, 302], shape: [3]),
  ]
  for layer in ["2", "6", "last"] {
    tensors["indices.\(layer)"] = RawTensor(int32: [300, 1, 301, 2, 302, 3], shape: [3, 2])
    tensors["probabilities.\(layer)"] = RawTensor(
      [0.75, 0.125, 0.75, 0.125, 0.75, 0.125], as: .float16, shape: [3, 2])
    tensors["tail.\(layer)"] = RawTensor(float32: [0.125, 0.125, 0.125], shape: [3])
    tensors["entropy.\(layer)"] = RawTensor(float32: [0.5, 1, 1.5], shape: [3])
  }
  return Record(index: index, tensors: tensors)
}
