import Foundation
import TestSupport
import Testing

@testable import StageKit

/// What Make follows of a preset.
@Suite struct PresetSlicesTests {
  private func slices(
    _ text: String, base: String = "", seed: UInt64? = 0, brought: [String: String] = [:]
  ) throws -> [String: String] {
    let scratch = try TemporaryFolder()
    try scratch.write(base, to: "base.yaml")
    let path = try scratch.write("extends: base.yaml\n" + text, to: "a.yaml")
    let slices = PresetSlices(try Preset(contentsOf: path), seed: seed, brought: brought)
    return Dictionary(slices.texts.map { ($0.name, $0.text) }, uniquingKeysWith: { $1 })
  }

  /// The slices that differ between two presets.
  private func changed(_ one: String, _ other: String, base: String = "") throws -> Set<String> {
    let (one, other) = (try slices(one, base: base), try slices(other, base: base))
    return Set(one.keys.filter { one[$0] != other[$0] })
  }

  @Test("A slice holds a section's content settings, defaults too, as its manifest does")
  func content() throws {
    let target = try slices("target: {top_k: 7}\n")["targets"]
    #expect(
      target == """
        target:
          form: "exact"
          top_k: 7
          precision: "float16"
          temperature: 1.0

        """)
    let all = try slices("").values.joined()
    for key in ["checkpoint_minutes", "gradient_checkpointing", "max_reject_share", "batch"] {
      #expect(!all.contains(" \(key):"), "\(key)")
    }
  }

  @Test(
    "A setting is in the slices of what reads it, and in no other",
    arguments: [
      ("synthesize: {train_images: 3}", ["data", "embedded"]),
      ("prepare: {context: 99}", ["samples"]),
      ("extract: {teacher_layers: [1]}", ["features-teacher"]),
      ("extract: {student_layers: [1]}", ["features-student"]),
      ("extract: {store_visual: true}", ["features-teacher"]),
      ("extract: {store_visual: false}", ["features-student", "visual"]),
      ("finetune: {train_vision: true}", ["features-student", "visual", "model"]),
      ("verbalize: {steps: 7}", ["features-student", "verbalizers"]),
      ("verbalize: {depth: 2}", ["verbalizers"]), ("target: {form: topk}", ["targets"]),
      ("align: {tokens_per_batch: 9}", ["adapter"]), ("finetune: {beta1: 0.5}", ["model"]),
      ("evaluate: {beams: 2}", ["evaluation"]), ("report: {title: it}", ["report"]),
      ("run: {threads: 3}", ["threads"]), ("run: {seed: 3}", []),
      (
        "run: {precision: bfloat16}",
        [
          "features-teacher", "features-student", "verbalizers", "targets", "adapter", "model",
          "evaluation",
        ]
      ), ("align: {epochs: 1}", ["adapter"]), ("run: {precision: auto}", []),
      ("finetune: {tokens_per_batch: 9, checkpoint_minutes: 1}", []),
      ("align: {steps: 5664, learning_rate: 0.0001}", []), ("# nothing", []),
    ])
  func readers(_ text: String, _ names: [String]) throws {
    #expect(try changed("", text + "\n") == Set(names))
  }

  @Test("A section makes a run embedded, be it empty or in a preset that is extended")
  func embedded() throws {
    #expect(try slices("")["embedded"] == "no\n")
    #expect(try slices("synthesize:\n")["embedded"] == "yes\n")
    #expect(try slices("", base: "synthesize: {seed: 0}\n")["embedded"] == "yes\n")
    #expect(try changed("align: {steps: 4}\n", "", base: "align: {steps: 4}\n").isEmpty)
  }

  @Test("The seed is in the slices of what trains; paths are where they are read, as they stand")
  func seedAndPaths() throws {
    let (one, none) = (try slices("", seed: 5), try slices("", seed: nil))
    #expect(Set(one.keys.filter { one[$0] != none[$0] }) == ["verbalizers", "adapter", "model"])
    #expect(one["adapter"]?.hasSuffix("\nseed 5\n") == true)
    let brought = [
      "TEACHER": "t $x", "STUDENT": "it's", "DATASET": "", "IMAGES": "ä b", "BENCHMARK": "q\"",
    ]
    let with = try slices("", seed: nil, brought: brought)
    let new = with.filter { $0.value != none[$0.key] }.mapValues {
      $0.split(separator: "\n").filter { !$0.hasPrefix(" ") }.dropFirst().joined(separator: "|")
    }
    #expect(
      new == [
        "samples": "IMAGES=ä b|STUDENT=it's", "features-teacher": "TEACHER=t $x",
        "features-student": "STUDENT=it's", "adapter": "STUDENT=it's", "model": "STUDENT=it's",
        "evaluation": "BENCHMARK=q\"|IMAGES=ä b",
      ])
  }

  @Test("A file is written where its bytes change, and left alone where not")
  func writing() throws {
    let scratch = try TemporaryFolder()
    var preset = Preset()
    func write(_ path: String = "é") throws -> [String] {
      try PresetSlices(preset, seed: 1, brought: ["TEACHER": path]).write(to: scratch("a/sft."))
    }
    #expect(try write().count == 15)
    #expect(try write().isEmpty)
    preset.target.topK = 5
    #expect(try write() == ["targets"])
    #expect(
      try String(contentsOfFile: scratch("a/sft.targets"), encoding: .utf8).contains("top_k: 5"))
    // Equal as text, but another path.
    #expect(try write("e\u{301}") == ["features-teacher"])
  }
}
