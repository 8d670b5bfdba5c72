import Artifacts
import Foundation
import TestSupport
import Testing

/// A student of one family learns from a teacher of another on the embedded data: samples are prepared
/// for each by its own processor, and matched token by token.
@Suite(.serialized) struct TwoFamiliesTests {
  /// A whole run up to the model; the teacher is a Qwen2-VL.
  private final class Families {
    let scratch: TemporaryFolder
    let student: String

    init(student: String) throws {
      self.student = student
      scratch = try TemporaryFolder()
      try scratch.write(Workbench.preset, to: "preset.yaml")
      try perform("vlsi-synthesize checkpoint --like tiny-teacher --seed 1 --output $/teacher")
      try perform("vlsi-synthesize checkpoint --like \(student) --seed 2 --output $/student")
      try perform("vlsi-synthesize data --splits train --output $/data")
      for (role, name) in [("student", "samples"), ("teacher", "samples-teacher")] {
        try perform(
          "vlsi-prepare --dataset $/data/train.json --images $/data --model $/\(role) "
            + "--output $/\(name)")
        try perform(
          "vlsi-extract --role \(role) --model $/\(role) --samples $/\(name) "
            + "--output $/features-\(role)")
        try perform(
          "vlsi-verbalize --model $/\(role) --features $/features-\(role) "
            + "--output $/verbalizers-\(role)")
      }
    }

    @discardableResult
    func perform(_ command: String, code: Int32 = 0) throws -> Outcome {
      let isStage = !command.hasPrefix("vlsi-dump")
      let outcome = try Workbench.perform(
        command + (isStage ? " --preset $/preset.yaml" : ""), path: scratch.path)
      #expect(outcome.code == code, "\(command): \(outcome.errors)")
      return outcome
    }

    var target: String {
      "vlsi-target --teacher $/teacher --student $/student --features $/features-teacher "
        + "--verbalizers $/verbalizers-teacher"
    }
  }

  @Test(arguments: ["tiny-qwen2.5-vl", "tiny-qwen3-vl"])
  func distils(student: String) throws {
    let run = try Families(student: student)
    try run.perform(run.target + " --samples $/samples --output $/targets")
    let targets = try ArtifactReader(directory: run.scratch("targets"), kind: .targets)
    let own = try ArtifactReader(directory: run.scratch("samples"), kind: .samples)
    let theirs = try ArtifactReader(directory: run.scratch("features-teacher"), kind: .features)
    #expect(targets.indices == own.indices && own.indices.count > 10)
    var moved = 0
    for index in targets.indices {
      let target = try targets.record(index), feature = try theirs.record(index)
      let ids = try own.record(index).tensor("input_ids").int32s()
      let positions = try target.tensor("positions").int32s()
      let labels = try target.tensor("labels").int32s()
      // Each label stands behind its position in the student's own sample.
      #expect(zip(positions, labels).allSatisfy { ids[Int($0) + 1] == $1 }, "sample \(index)")
      #expect(try feature.tensor("labels").int32s() == labels)
      if try feature.tensor("positions").int32s() != positions { moved += 1 }
    }
    // Qwen3-VL's chat template has no system turn of its own.
    #expect((moved == targets.indices.count) == (student == "tiny-qwen3-vl"))

    try run.perform(
      "vlsi-align --student $/student --samples $/samples --verbalizers $/verbalizers-student "
        + "--targets $/targets --output $/adapter")
    try run.perform(
      "vlsi-finetune --model $/student --adapter $/adapter --samples $/samples --output $/model")
    try run.perform("vlsi-dump $/model --verify")
    try run.perform("vlsi-generate --model $/model --prompt hello --max-new-tokens 2")
  }

  @Test func refused() throws {
    let run = try Families(student: "tiny-qwen3-vl")
    // The teacher's samples are not the student's.
    try run.perform(run.target + " --output $/targets")
    let align = try run.perform(
      "vlsi-align --student $/student --samples $/samples --verbalizers $/verbalizers-student "
        + "--targets $/targets --output $/adapter", code: 65)
    #expect(align.message.contains("samples"))
    // Other conversations have other answers.
    let file = run.scratch("data/train.json")
    let text = try String(contentsOfFile: file, encoding: .utf8)
    try text.replacingOccurrences(of: "\"value\": \"yes ", with: "\"value\": \"no ")
      .write(toFile: file, atomically: true, encoding: .utf8)
    try run.perform(
      "vlsi-prepare --dataset $/data/train.json --images $/data --model $/student "
        + "--output $/others")
    let target = try run.perform(run.target + " --samples $/others --output $/bad", code: 65)
    #expect(target.message.contains("supervised at other tokens"), "\(target.errors)")
    #expect(target.message.contains("token "), "\(target.errors)")
    // A tokenizer whose ids mean something else.
    let tokenizer = run.scratch("student/tokenizer.json")
    let tokens = try String(contentsOfFile: tokenizer, encoding: .utf8)
    try tokens.replacingOccurrences(of: "<|quad_end|>", with: "<|other_end|>")
      .write(toFile: tokenizer, atomically: true, encoding: .utf8)
    try run.perform(
      "vlsi-prepare --dataset $/data/train.json --images $/data --model $/student "
        + "--output $/foreign")
    let foreign = try run.perform(run.target + " --samples $/foreign --output $/bad", code: 65)
    #expect(foreign.message.contains("same ids"), "\(foreign.errors)")
  }
}
