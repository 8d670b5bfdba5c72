import Artifacts
import Foundation
import TestSupport
import Testing

/// Every program that computes opens a checkpoint in one way: its files are held against each
/// other before anything is computed, and what is no checkpoint is said to be what it is.
@Suite struct CheckpointOpeningTests {
  private let bench: Workbench
  private let folder: TemporaryFolder
  private var copy: String { folder("checkpoint") }

  init() throws {
    bench = try Workbench.shared.get()
    folder = try TemporaryFolder()
    try FileManager.default.copyItem(atPath: "\(bench.path)/student", toPath: copy)
  }

  private func edit(_ name: String, _ change: (inout [String: JSON]) -> Void) throws {
    let path = "\(copy)/\(name)"
    var members = try JSON(file: path).asObject ?? [:]
    change(&members)
    try writeAtomically(JSON.object(members).text(), to: path)
  }

  /// The programs, by what they do first with a model.
  private func everyProgram(_ model: String) -> [String] {
    [
      "vlsi-generate --model \(model) --image $/data/images/test/00000.png --prompt hi<|odd|>",
      "vlsi-evaluate --model \(model) --benchmark $/data/test.tsv --images $/data",
      "vlsi-prepare --model \(model) --dataset $/data/train.json --images $/data",
      "vlsi-extract --role student --model \(model) --samples $/samples",
      "vlsi-verbalize --model \(model) --features $/features/student",
      "vlsi-target --teacher $/teacher --student \(model) --features $/features/teacher "
        + "--verbalizers $/verbalizers/teacher",
      "vlsi-align --student \(model) --samples $/samples --verbalizers $/verbalizers/student "
        + "--targets $/targets",
      "vlsi-finetune --model \(model) --samples $/samples",
    ].map { command in
      command.hasPrefix("vlsi-generate")
        ? command : command + " --preset $/preset.yaml --output \(folder("out"))"
    }
  }

  private func expectRefused(
    _ parts: String..., code: Int32 = 65, model: String? = nil, by programs: Int? = nil
  ) throws {
    for command in everyProgram(model ?? copy).prefix(programs ?? .max) {
      let outcome = try bench.perform(command)
      #expect(outcome.code == code, "\(command): \(outcome.errors)")
      for part in parts { #expect(outcome.message.contains(part), "\(outcome.message)") }
      #expect(outcome.message.utf8.count < 1000)
    }
  }

  @Test func `an added token beyond the vocabulary`() throws {
    try edit("tokenizer.json") { members in
      let token: JSON = [
        "id": 600, "content": "<|odd|>", "special": true, "normalized": false, "lstrip": false,
        "rstrip": false, "single_word": false,
      ]
      members["added_tokens"] = .array((members["added_tokens"]?.asArray ?? []) + [token])
    }
    try expectRefused("more tokens than the model", "ids below 544", "600, \"<|odd|>\"")
  }

  @Test(arguments: [
    ("patch_size", 4, "patch size"), ("merge_size", 1, "merge size"),
    ("temporal_patch_size", 1, "temporal patch size"),
  ])
  func `an image processor of other patches`(name: String, value: Int, what: String) throws {
    try edit("preprocessor_config.json") { $0[name] = .int(value) }
    try expectRefused("\(what) differs", "found \(value)")
  }

  @Test func `another image token in the config`() throws {
    try edit("config.json") { $0["image_token_id"] = 530 }
    try expectRefused("<|image_pad|> differs", "530")
  }

  @Test func `a chat template of another form`() throws {
    try writeAtomically("{{ bos }}{{ messages }}", to: "\(copy)/chat_template.jinja")
    try expectRefused("another form", "chat_template.jinja")
  }

  // MARK: The template's system turn

  @Test func `another default system turn is followed, and goes with the model`() throws {
    try edit("tokenizer_config.json") { members in
      let old = members["chat_template"]?.asString ?? ""
      members["chat_template"] = .string(
        old.replacingOccurrences(of: "You are a helpful assistant.", with: "count"))
    }
    try Files.remove("\(copy)/chat_template.jinja")
    let prepare = everyProgram(copy)[2].replacingOccurrences(
      of: folder("out"), with: folder("samples"))
    #expect(try bench.perform(prepare).code == 0)
    func tokens(_ samples: String) throws -> Int {
      let manifest = try ArtifactReader.manifest(in: samples)
      return manifest.facts["tokens"]?.asInt ?? 0
    }
    #expect(try tokens(folder("samples")) < tokens("\(bench.path)/samples"))
    // Another template is another content: the samples of before are not taken for these.
    let shared = try ArtifactReader.manifest(in: "\(bench.path)/samples")
    let own = try ArtifactReader.manifest(in: folder("samples"))
    #expect(own.inputs["system"] != nil && shared.inputs["system"] == nil)

    let ask =
      "vlsi-generate --image $/data/images/test/00000.png --prompt colour --quiet "
      + "--max-new-tokens 6 --format json --model "
    let spoken = try bench.perform(ask + copy)
    let said = try bench.perform(ask + copy + " --system count")
    #expect(spoken.code == 0 && spoken.output == said.output, "\(spoken.errors)")

    let finetune =
      "vlsi-finetune --model \(copy) --samples \(folder("samples")) "
      + "--preset $/preset.yaml --output \(folder("model"))"
    #expect(try bench.perform(finetune).code == 0)
    let written = try String(contentsOfFile: folder("model/chat_template.jinja"), encoding: .utf8)
    #expect(written.contains("<|im_start|>system\ncount<|im_end|>\n"))
    #expect(
      try Files.read(folder("model/tokenizer_config.json"))
        == Files.read("\(copy)/tokenizer_config.json"))
    let manifest = try ArtifactReader.manifest(in: folder("model"))
    #expect(manifest.files.contains { $0.file == "chat_template.jinja" })
  }

  // MARK: What is no checkpoint

  @Test func `a name on the hub, a file, an adapter, an artifact`() throws {
    try expectRefused(
      "no such folder", "hf download Qwen/Qwen2-VL-2B-Instruct", code: 66,
      model: "Qwen/Qwen2-VL-2B-Instruct", by: 3)
    try expectRefused(
      "a file in the place of a checkpoint's folder", "a safetensors file",
      "Give the folder that it lies in", code: 66, model: "\(copy)/model.safetensors", by: 3)
    try expectRefused("a PEFT adapter", "merge", model: "\(bench.path)/adapter", by: 3)
    try expectRefused(
      "one in checkpoint", copy, code: 66, model: folder.path, by: 3)
  }

  @Test(arguments: [
    ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer"),
    ("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", "an HTML page"),
    ("\u{1F}\u{8B}", "a gzip file"), ("Entry not found", "a server's error message"),
  ])
  func `another thing in the place of a file`(text: String, kind: String) throws {
    let bytes =
      kind.contains("gzip")
      ? [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3] + [UInt8](repeating: 7, count: 40) : Array(text.utf8)
    for name in [
      "config.json", "tokenizer.json", "preprocessor_config.json", "tokenizer_config.json",
      "model.safetensors",
    ] {
      let path = "\(copy)/\(name)"
      let whole = try Files.read(path)
      try writeAtomically(bytes, to: path)
      try expectRefused(kind, path, by: name == "model.safetensors" ? 2 : 3)
      try writeAtomically(whole, to: path)
    }
  }

  @Test(arguments: [
    ("model-00001-of-00002.safetensors", "without their index", "model.safetensors.index.json"),
    ("pytorch_model.bin", "torch.save", "save_pretrained"),
    ("model.gguf", "GGUF", "safetensors"), ("other.safetensors", "another name", "Rename"),
    ("adapter_model.safetensors", "an adapter's weights alone", "merge"),
  ])
  func `weights that are not read`(name: String, what: String, advice: String) throws {
    try FileManager.default.moveItem(
      atPath: "\(copy)/model.safetensors", toPath: "\(copy)/\(name)")
    try expectRefused(what, name, advice, code: 66, by: 2)
  }

  @Test func `teacher and student with different tokenizers`() throws {
    try edit("tokenizer.json") { members in
      var tokens = members["added_tokens"]?.asArray ?? []
      for index in tokens.indices where tokens[index]["content"] == "<|box_end|>" {
        tokens[index] = .object(
          (tokens[index].asObject ?? [:]).merging(["content": "<|odd|>"]) { $1 })
      }
      members["added_tokens"] = .array(tokens)
    }
    let outcome = try bench.perform(everyProgram(copy)[5])
    #expect(outcome.code == 65)
    #expect(
      outcome.message.contains("token 529 is \"<|odd|>\" here and \"<|box_end|>\" there"),
      "\(outcome.message)")
  }
}
