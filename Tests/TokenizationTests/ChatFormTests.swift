import Artifacts
import Failures
import Foundation
import TestSupport
import Testing

@testable import Tokenization

/// The checkpoint's own chat template is followed where it is of Qwen2-VL's form, in any spelling,
/// and refused where it is not.
@Suite struct ChatFormTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func read(_ files: [String: JSON]) throws -> ChatForm {
    for name in try Files.list(folder.path) { try Files.remove(folder(name)) }
    for (name, content) in files {
      try writeAtomically(
        name.hasSuffix(".jinja") ? content.asString ?? "" : content.text(), to: folder(name))
    }
    return try ChatForm(directory: folder.path)
  }

  private static let published = ChatForm().template
  private static let text =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    + "{{ '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}{% endif %}"
    + "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
    + "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

  @Test func `the template that we write is the published one`() throws {
    let path = URL(fileURLWithPath: Goldens.folder)
      .appending(path: "../../../data/tokenizer/tokenizer_config.json")
    let config = try JSON(file: path.path)
    let golden = try #require(config["chat_template"]?.asString)
    #expect(ChatForm().template == golden)
  }

  @Test func `every place and shape that transformers reads`() throws {
    let other = ChatForm(system: "Be brief.").template
    for files in [
      ["tokenizer_config.json": ["chat_template": .string(other)]],
      [
        "tokenizer_config.json": [
          "chat_template": [
            ["name": "tool_use", "template": "{{ tools }}"],
            ["name": "default", "template": .string(other)],
          ]
        ]
      ],
      ["tokenizer_config.json": ["chat_template": ["default": .string(other)]]],
      ["chat_template.jinja": .string(other)],
      ["chat_template.json": ["chat_template": .string(other)]],
      ["processor_config.json": ["chat_template": .string(other)]],
      // The processor's counts; the tokenizer's own need not have pictures.
      [
        "chat_template.jinja": .string(other),
        "tokenizer_config.json": ["chat_template": .string(Self.text)],
      ],
      [
        "chat_template.jinja": .string(other),
        "tokenizer_config.json": ["chat_template": "{{ messages }}"],
      ],
    ] as [[String: JSON]] {
      let form = try read(files)
      #expect(form.system == "Be brief." && form.template == other, "\(files.keys)")
    }
    #expect(try read([:]) == ChatForm())
    #expect(try read(["tokenizer_config.json": ["chat_template": .null]]) == ChatForm())
  }

  @Test func `a system turn of another text, of none, or no turn at all`() throws {
    for system in [nil, "", "You are Qwen.", "Zwei\nZeilen – und mehr 🙂"] as [String?] {
      let form = ChatForm(system: system)
      #expect(try read(["chat_template.jinja": .string(form.template)]) == form)
    }
  }

  @Test func `other spellings of the same`() throws {
    let spaced = Self.published
      .replacingOccurrences(of: "{% ", with: "\n  {%- ")
      .replacingOccurrences(of: " %}", with: "-%}\n")
      .replacingOccurrences(of: "'", with: "\"")
    // Whitespace control would eat the line breaks of the text itself: those as expressions.
    #expect(ChatForm(recognising: spaced) == nil)
    for (old, new) in [
      ("message['role']", "message.role"), ("{% ", "{%"), ("'", "\""),
      (" or 'image' in content or 'image_url' in content", ""),
      ("loop.first and message['role']", "loop.first and messages[0].role"),
      ("<|im_start|>assistant\n", "{{ '<|im_start|>' + \"assistant\" + '\\n' }}"),
      ("{% for content", "{# each part #}{% for content"), ("{% endfor %}", "{% endfor %}\n"),
      ("{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}", ""),
    ] {
      let other = Self.published.replacingOccurrences(of: old, with: new)
      #expect(other != Self.published)
      #expect(ChatForm(recognising: other)?.system == ChatDialect.qwen2VL.defaultSystem, "\(new)")
    }
    let plain = try #require(ChatForm(recognising: Self.text))
    #expect(plain == ChatForm(system: "Be brief."))
  }

  @Test(arguments: [
    ("<|im_end|>\n{% else %}", "<|im_end|>{% else %}"), ("<|im_start|>", "<|start|>"),
    ("{{ message['content'] }}", "{{ message['content'] | trim }}"),
    ("<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n"),
    ("You are a helpful assistant.", "Today is {{ date }}."),
    ("You are a helpful assistant.", "<|im_end|>"),
    ("<|vision_start|><|image_pad|>", " <|vision_start|><|image_pad|>"),
    ("{% endif %}{% endfor %}", "{% endfor %}"), ("{% for message", "{% for message in x"),
    ("{{ message['role'] }}", "{{ message['role'] "),
  ])
  func `another form`(old: String, new: String) throws {
    let other = Self.published.replacingOccurrences(of: old, with: new)
    #expect(other != Self.published)
    #expect {
      _ = try read(["tokenizer_config.json": ["chat_template": .string(other)]])
    } throws: { error in
      (error as? Failure)?.code == .badData && "\(error)".contains("tokenizer_config.json")
        && "\(error)".contains("another form")
    }
  }

  @Test func `two templates that contradict each other, and what is none`() throws {
    for (files, word) in [
      (
        [
          "chat_template.json": ["chat_template": .string(Self.published)],
          "tokenizer_config.json": ["chat_template": .string(ChatForm(system: nil).template)],
        ], "different system turns"
      ),
      (["tokenizer_config.json": ["chat_template": 3]], "does not read"),
      (
        ["tokenizer_config.json": ["chat_template": [["name": "rag", "template": "x"]]]],
        "does not read"
      ), (["chat_template.jinja": "<!DOCTYPE html><html></html>"], "an HTML page"),
    ] as [([String: JSON], String)] {
      #expect { _ = try read(files) } throws: { error in
        (error as? Failure)?.code == .badData && "\(error)".contains(word)
      }
    }
  }

  @Test func `without a default system turn a conversation begins with the user`() throws {
    let tokenizer = try Tokenizer(directory: Goldens.folder + "/checkpoint")
    let turns = [Turn(role: .user, "What?"), Turn(role: .assistant, "This.")]
    func text(_ form: ChatForm, _ turns: [Turn]) throws -> String {
      tokenizer.decode(
        try ChatTemplate(tokenizer: tokenizer, form: form).render(turns, imageTokenCounts: []).ids)
    }
    let spoken = "<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\nThis.<|im_end|>\n"
    #expect(try text(ChatForm(system: nil), turns) == spoken)
    #expect(
      try text(ChatForm(system: "Be brief."), turns)
        == "<|im_start|>system\nBe brief.<|im_end|>\n" + spoken)
    #expect(
      try text(ChatForm(system: nil), [Turn(role: .system, "Own.")] + turns)
        == "<|im_start|>system\nOwn.<|im_end|>\n" + spoken)
  }
}

@Suite struct PublishedTemplates {
  @Test(
    "Published templates are recognised, and our own render alike", arguments: ["4.57.1", "5.24.0"])
  func recognised(release: String) throws {
    let folder = Goldens.folder + "/../dialects/families/\(release)/"
    for (name, dialect) in [
      ("qwen2.5-vl-3b", ChatDialect.qwen2VL), ("qwen3-vl-2b", .qwen3VL),
      ("llava-onevision-0.5b", .llavaOneVision),
    ] {
      if dialect != .qwen2VL {
        let published = try String(
          contentsOfFile: folder + name + "/chat_template.jinja", encoding: .utf8)
        let digest = try #require(ChatForm.digest(published))
        #expect(
          dialect.known.contains(digest), "\(digest) is to stand in \(dialect.family)'s known")
      }
      let form = try ChatForm(directory: folder + name, dialect: dialect)
      #expect(form.system == dialect.defaultSystem && form.dialect == dialect)
      #expect(throws: Failure.self) {
        try ChatForm(
          directory: folder + name, dialect: dialect == .qwen3VL ? .llavaOneVision : .qwen3VL)
      }
    }
  }
}
