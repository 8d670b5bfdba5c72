import Foundation
import TestSupport
import Testing

/// The folder that all tests here share.
nonisolated(unsafe) private var shared: String?

/// verbalize and target from outside: what they refuse, and that nothing but the bytes depends on
/// whether they were interrupted.
@Suite(.serialized) struct DistillationStagesTests {
  /// Random checkpoints of the tiny shapes, with the features of a few samples.
  final class Inputs: Sendable {
    let scratch: TemporaryFolder
    let preset: String

    init() throws {
      scratch = try TemporaryFolder()
      shared = scratch.path
      // What all tests share has no test to end with.
      atexit { if let shared { try? FileManager.default.removeItem(atPath: shared) } }
      preset = try scratch.write(
        """
        extends: \(repository)/pipeline/tiny.yaml
        prepare:
          samples_per_shard: 8
        verbalize:
          steps: 120
          tokens_per_batch: 512
          learning_rate: 5e-3
        """,
        to: "preset.yaml")
      try stage(
        "vlsi-synthesize", ["data", "--splits", "train", "--limit", "40", "--output", at("data")])
      for role in ["teacher", "student"] {
        let outcome = try run(
          "vlsi-synthesize",
          ["checkpoint", "--like", "tiny-\(role)", "--quiet", "--output", at(role)])
        #expect(outcome.code == 0, "\(outcome.errors)")
      }
      try stage(
        "vlsi-prepare",
        [
          "--dataset", at("data/train.json"), "--images", at("data"), "--model", at("student"),
          "--output", at("samples"),
        ])
      for role in ["teacher", "student"] {
        try stage(
          "vlsi-extract",
          [
            "--role", role, "--model", at(role), "--samples", at("samples"),
            "--output", at("features-\(role)"),
          ])
      }
      try stage("vlsi-verbalize", verbalize("teacher", to: "verbalizers-teacher"))
      try stage("vlsi-verbalize", verbalize("student", to: "verbalizers-student"))
    }

    func at(_ name: String) -> String { "\(scratch.path)/\(name)" }

    func verbalize(_ role: String, features: String? = nil, to output: String) -> [String] {
      [
        "--model", at(role), "--features", at("features-\(features ?? role)"),
        "--output", at(output),
      ]
    }

    func target(
      features: String = "features-teacher", verbalizers: String = "verbalizers-teacher",
      student: String = "student", to output: String
    ) -> [String] {
      [
        "--teacher", at("teacher"), "--student", at(student), "--features", at(features),
        "--verbalizers", at(verbalizers), "--output", at(output),
      ]
    }

    func options(_ arguments: [String]) -> [String] {
      let head = arguments.first.map { $0.hasPrefix("-") ? [] : [$0] } ?? []
      return head + ["--preset", preset, "--threads", "2", "--quiet"]
        + arguments.dropFirst(head.count)
    }

    func stage(_ program: String, _ arguments: [String]) throws {
      let outcome = try run(program, options(arguments))
      #expect(outcome.code == 0, "\(program): \(outcome.errors)")
    }

    func bytes(_ name: String) -> Data? { FileManager.default.contents(atPath: at(name)) }
  }

  static let inputs = Result { try Inputs() }

  @Test("Each layer's loss is kept for every step and falls; the manifest names the final ones")
  func losses() throws {
    let inputs = try Self.inputs.get()
    let lines = try #require(inputs.bytes("verbalizers-teacher/metrics.jsonl"))
      .split(separator: UInt8(ascii: "\n"))
    let rows = try lines.compactMap {
      try JSONSerialization.jsonObject(with: Data($0)) as? [String: Any]
    }
    #expect(rows.count == 120 * 4)
    let text = try #require(inputs.bytes("verbalizers-teacher/manifest.json"))
    let manifest = try #require(try JSONSerialization.jsonObject(with: text) as? [String: Any])
    let facts = try #require(manifest["facts"] as? [String: Any])
    let final = try #require(facts["final_loss"] as? [String: Double])
    for layer in 2...5 {
      let curve = rows.filter { $0["layer"] as? Int == layer }.compactMap { $0["loss"] as? Double }
      #expect(curve.count == 120)
      let closing = curve.suffix(12).reduce(0, +) / 12
      #expect(closing < 0.7 * (curve.first ?? 0))
      #expect(abs(closing - (final["\(layer)"] ?? 0)) < 1e-6)
    }
  }

  @Test("An interrupted verbalize continues to the same bytes, metrics included")
  func interruptedVerbalize() throws {
    let inputs = try Self.inputs.get()
    let arguments = inputs.options(inputs.verbalize("teacher", to: "again"))
    let first = try run("vlsi-verbalize", arguments, interruptAfter: 0.4)
    // A very fast machine may be through by then; a very slow one may not listen yet.
    if first.code == 75 {
      #expect(first.message.contains("Run the same command again"))
    }
    if first.code != 0 { #expect(inputs.bytes("again/manifest.json") == nil) }
    let second = try run("vlsi-verbalize", arguments)
    #expect(second.code == 0)
    let expected = try #require(inputs.bytes("verbalizers-teacher/verbalizers.safetensors"))
    #expect(inputs.bytes("again/verbalizers.safetensors") == expected)
    // All but when it was.
    func metrics(_ folder: String) throws -> [Substring] {
      let text = String(
        decoding: try #require(inputs.bytes("\(folder)/metrics.jsonl")), as: UTF8.self)
      return try text.split(separator: "\n").map {
        try $0[..<#require($0.range(of: ", \"time\": ")).lowerBound]
      }
    }
    #expect(try metrics("again") == metrics("verbalizers-teacher"))
    #expect(!FileManager.default.fileExists(atPath: inputs.at("again/unfinished")))
  }

  @Test("Targets come out the same after an interruption, and are not made twice")
  func interruptedTarget() throws {
    let inputs = try Self.inputs.get()
    try inputs.stage("vlsi-target", inputs.target(to: "whole"))
    let arguments = inputs.options(inputs.target(to: "parts"))
    _ = try run("vlsi-target", arguments, interruptAfter: 0.06)
    #expect(try run("vlsi-target", arguments).code == 0)
    for shard in 0..<5 {
      let expected = try #require(inputs.bytes("whole/shard-0000\(shard).lmdb"))
      #expect(inputs.bytes("parts/shard-0000\(shard).lmdb") == expected)
    }
    let again = try run("vlsi-target", arguments.filter { $0 != "--quiet" })
    #expect(again.code == 0 && again.errors.contains("nothing to do"))
  }

  @Test("Inputs that do not belong together are refused with 65, naming both; nothing is written")
  func refused() throws {
    let inputs = try Self.inputs.get()
    try FileManager.default.copyItem(atPath: inputs.at("student"), toPath: inputs.at("other"))
    let tokenizer = inputs.at("other/tokenizer.json")
    let text = try String(contentsOfFile: tokenizer, encoding: .utf8)
    try text.replacingOccurrences(of: "<|video_pad|>", with: "<|other_pad|>")
      .write(toFile: tokenizer, atomically: true, encoding: .utf8)
    let cases: [(program: String, arguments: [String], code: Int32, names: String)] = [
      ("vlsi-target", inputs.target(features: "features-student", to: "bad"), 65, "model.weights"),
      (
        "vlsi-target", inputs.target(verbalizers: "verbalizers-student", to: "bad"), 65,
        "model.weights"
      ),
      ("vlsi-target", inputs.target(student: "other", to: "bad"), 65, "different tokenizers"),
      ("vlsi-target", inputs.target(features: "samples", to: "bad"), 65, "wrong kind"),
      ("vlsi-target", inputs.target(features: "nothing", to: "bad"), 66, "no such folder"),
      (
        "vlsi-verbalize", inputs.verbalize("student", features: "teacher", to: "bad"), 65, "weights"
      ),
      ("vlsi-verbalize", inputs.verbalize("teacher", to: "samples"), 73, "another artifact"),
    ]
    for (program, arguments, code, names) in cases {
      let outcome = try run(program, inputs.options(arguments))
      #expect(outcome.code == code, "\(arguments)")
      #expect(outcome.errors.hasPrefix("error: ") && outcome.message.contains(names))
      #expect(outcome.output.isEmpty)
      #expect(!FileManager.default.fileExists(atPath: inputs.at("bad")))
    }
  }
}
