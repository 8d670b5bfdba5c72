import Artifacts
import Checkpoints
import Foundation
import Kernels
import TestSupport
import Testing

/// One weight that is no number, or a training that diverges, ends every stage that computes with 65
/// before anything of it is stored; `vlsi-dump --verify` finds what lies there already.
@Suite(.serialized) struct NotFiniteTests {
  private let bench: Workbench
  private let scratch: TemporaryFolder

  init() throws {
    bench = try Workbench.shared.get()
    scratch = try TemporaryFolder()
  }

  /// A copy of a checkpoint with one NaN in the middle of a layer's weight.
  private func broken(_ name: String) throws -> String {
    let folder = scratch(name)
    try FileManager.default.copyItem(atPath: "\(bench.path)/\(name)", toPath: folder)
    let path = "\(folder)/model.safetensors"
    let file = try readSafetensorsFile(path)
    let tensor = try #require(file.tensors["model.layers.1.mlp.up_proj.weight"])
    let start = try #require(file.tensors.values.map(\.pointer).min())
    var bytes = try Files.read(path)
    let data = bytes.count - file.tensors.values.reduce(0) { $0 + $1.byteCount }
    // Every bit of the exponent and one of the fraction, whatever the type.
    for place in 0..<tensor.type.size { bytes[data + (tensor.pointer - start) + place] = 0x7f }
    if tensor.type != .float32 {
      bytes[data + (tensor.pointer - start)] = 0xff
    } else {
      bytes[data + (tensor.pointer - start) + 2] = 0xff
    }
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return folder
  }

  private func expect(_ command: String, _ names: [String], output: String? = nil) throws {
    let outcome = try bench.perform(
      command + " --preset \(bench.path)/preset.yaml" + (output.map { " --output \($0)" } ?? ""))
    #expect(outcome.code == 65, "\(command): \(outcome.code) \(outcome.message)")
    for name in names + ["not finite"] {
      #expect(outcome.message.contains(name), "\(name) in: \(outcome.message)")
    }
    guard let output else { return }
    #expect(!FileManager.default.fileExists(atPath: output + "/manifest.json"))
    let metrics = (try? String(contentsOfFile: output + "/metrics.jsonl", encoding: .utf8)) ?? ""
    #expect(!metrics.contains("nan"))
  }

  @Test func extracting() throws {
    let student = try broken("student")
    try expect(
      "vlsi-extract --role student --model \(student) --samples $/samples",
      ["record ", "tensor hidden.2", "row ", "--verify"], output: scratch("features"))
  }

  @Test func training() throws {
    let student = try broken("student")
    try expect(
      "vlsi-finetune --model \(student) --samples $/samples",
      ["step 0", "loss", "learning_rate"], output: scratch("model"))
  }

  @Test(
    "A training that diverges stops before a weight is spoilt, and says at which step and where",
    arguments: [
      ("intermediate_loss: none", "loss"), ("intermediate_loss: ce", ""),
      ("intermediate_loss: kl", "divergence of layer"), ("weights: full", ""),
    ])
  func diverging(setting: String, term: String) throws {
    let preset = try scratch.write(
      """
      extends: \(bench.path)/preset.yaml
      align: {steps: 40, learning_rate: 100, weight_decay: 1, warmup_steps: 0, \(setting)}
      """, to: "diverging.yaml")
    let output = scratch("diverging")
    let outcome = try bench.perform(
      "vlsi-align --student $/student --samples $/samples --verbalizers $/verbalizers/student "
        + "--targets $/targets --preset \(preset) --output \(output)")
    #expect(outcome.code == 65, "\(outcome.errors)")
    for part in ["\(output), step ", term, "not finite", "learning_rate"] where !part.isEmpty {
      #expect(outcome.message.contains(part), "\(outcome.message)")
    }
    let metrics = try String(contentsOfFile: output + "/metrics.jsonl", encoding: .utf8)
    #expect(!metrics.contains("nan") && !metrics.contains("inf\""))
    #expect(!FileManager.default.fileExists(atPath: output + "/manifest.json"))
  }

  @Test("Merging alone reads no loss: the writer refuses the weight")
  func merging() throws {
    let student = try broken("student")
    let preset = try scratch.write(
      Workbench.preset.replacingOccurrences(of: "finetune: {steps: 3", with: "finetune: {steps: 0"),
      to: "preset.yaml")
    let output = scratch("merged")
    let outcome = try bench.perform(
      "vlsi-finetune --model \(student) --samples $/samples --preset \(preset) --output \(output)")
    #expect(outcome.code == 65)
    #expect(outcome.message.contains("tensor model.layers.1.mlp.up_proj.weight"))
    #expect(!FileManager.default.fileExists(atPath: output + "/manifest.json"))
    #expect(!FileManager.default.fileExists(atPath: output + "/model.safetensors"))
  }

  @Test(arguments: ["", " --temperature 1", " --beams 2"])
  func generating(_ options: String) throws {
    let student = try broken("student")
    let outcome = try bench.perform(
      "vlsi-generate --model \(student) --prompt red --max-new-tokens 4" + options)
    #expect(outcome.code == 65)
    #expect(outcome.message.contains("answer 1, token 1: the model's logits are not finite"))
  }

  @Test func evaluating() throws {
    let student = try broken("student")
    try expect(
      "vlsi-evaluate --model \(student) --benchmark $/data/test.tsv --images $/data",
      ["question "], output: scratch("evaluation"))
  }

  @Test func verifying() throws {
    let student = try broken("student")
    let outcome = try bench.perform("vlsi-dump \(student) --verify")
    #expect(outcome.code == 65)
    #expect(outcome.output.contains("tensor model.layers.1.mlp.up_proj.weight"))
  }
}
