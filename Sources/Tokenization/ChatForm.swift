import Artifacts
import Failures

/// What a checkpoint's own chat template says: turns in its family's form, and the system turn of a
/// conversation that brings none.
///
/// It is looked for where transformers' processor looks, in its order (`processor_config.json`,
/// `chat_template.json`, `chat_template.jinja`), then where its tokenizer does
/// (`tokenizer_config.json`). A folder without any has the family's.
public struct ChatForm: Sendable, Equatable {
  public var dialect: ChatDialect
  /// The text of the system turn of a conversation that brings none; nil where there is then none.
  public var system: String?
  /// The template, for `chat_template.jinja`.
  public var template: String

  /// Qwen2-VL's own template with another default system turn, or none.
  public init(system: String? = ChatDialect.qwen2VL.defaultSystem) {
    dialect = .qwen2VL
    self.system = system
    let turn = system.map {
      "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n\($0)<|im_end|>\n"
        + "{% endif %}"
    }
    template = ChatForm.head + ChatForm.loop + (turn ?? "") + ChatForm.body
  }

  /// A family's own.
  public init(_ dialect: ChatDialect) {
    if dialect == .qwen2VL {
      self.init()
    } else {
      self.init(dialect, template: dialect.template)
    }
  }

  private init(_ dialect: ChatDialect, template: String) {
    self.dialect = dialect
    self.template = template
    system = dialect.defaultSystem
  }

  /// The template of a checkpoint's folder, in its family's dialect. Throws 65 where it is of another form, or where two
  /// files of the folder have different system turns.
  public init(directory: String, dialect: ChatDialect = .qwen2VL) throws {
    var found: (form: ChatForm, place: String)?
    for (text, place) in try ChatForm.sources(directory) {
      let form = ChatForm(recognising: text, as: dialect)
      guard let first = found else {
        guard let form else {
          throw Failure(
            .badData, "a chat template of another form than \(dialect.family)'s", at: place,
            expected: dialect == .qwen2VL
              ? "turns between <|im_start|> and <|im_end|>, with any default system text"
              : "the published template",
            advice:
              "If the model was trained with \(dialect.family)'s template, put that in its place")
        }
        found = (form, place)
        continue
      }
      // What does not count for the processor need not be its form, but must not contradict it.
      guard let form, form.system != first.form.system else { continue }
      throw Failure(
        .badData, "two chat templates with different system turns", at: place,
        expected: ChatForm.shown(first.form.system) + ", as in \(first.place)",
        found: ChatForm.shown(form.system), advice: "Keep the one that the model was trained with")
    }
    self = found?.form ?? ChatForm(dialect)
  }

  private static func shown(_ system: String?) -> String {
    system.map { "\"\($0.prefix(80))\"" } ?? "none"
  }

  // MARK: Where it stands

  private static func sources(_ directory: String) throws -> [(text: String, place: String)] {
    var found: [(text: String, place: String)] = []
    for name in [
      "processor_config.json", "chat_template.json", "chat_template.jinja", "tokenizer_config.json",
    ] {
      let place = Files.join(directory, name)
      guard Files.exists(place) else { continue }
      if name.hasSuffix(".jinja") {
        let bytes = try Files.read(place, limit: 1 << 24)
        if let kind = FileKind(prefix: bytes.prefix(FileKind.prefixLength)) {
          throw Failure(
            .badData, "not a chat template", at: place, found: kind.name, advice: kind.advice)
        }
        found.append((String(decoding: bytes, as: UTF8.self), place))
      } else if let value = try JSON(file: place, limit: 1 << 26)["chat_template"], value != .null {
        found.append((try text(value, place: place), place))
      }
    }
    return found
  }

  /// A template, or the one called default of several with names.
  private static func text(_ value: JSON, place: String) throws -> String {
    let named = value.asArray?.first { $0["name"] == "default" }?["template"] ?? value["default"]
    guard let text = value.asString ?? named?.asString else {
      throw Failure(
        .badData, "\"chat_template\" does not read", at: place,
        expected: "a template, or several with names, one of them \"default\"",
        found: String(value.text().prefix(60)))
    }
    return text
  }

  // MARK: The known form

  private static let head =
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
  private static let loop = "{% for message in messages %}"
  private static let body =
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    + "{{ message['content'] }}<|im_end|>\n{% else %}{% for content in message['content'] %}"
    + "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    + "{% set image_count.value = image_count.value + 1 %}"
    + "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    + "<|vision_start|><|image_pad|><|vision_end|>"
    + "{% elif content['type'] == 'video' or 'video' in content %}"
    + "{% set video_count.value = video_count.value + 1 %}"
    + "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}"
    + "<|vision_start|><|video_pad|><|vision_end|>"
    + "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    + "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
  /// That of the language model alone, which many checkpoints have in `tokenizer_config.json`.
  private static let textBody =
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

  /// A digest of a template's pieces, the same however it is spelled; nil where it does not read.
  static func digest(_ template: String) -> String? {
    JinjaPieces.parse(template).map { pieces in
      Fingerprint.text(
        pieces.map { piece in
          switch piece {
          case .text(let text): "text " + text
          case .output(let expression): "output " + expression
          case .statement(let words): "statement " + words
          }
        }.joined(separator: "\n"))
    }
  }

  /// nil where the template is of another form.
  init?(recognising template: String, as dialect: ChatDialect = .qwen2VL) {
    guard dialect != .qwen2VL else {
      self.init(recognisingQwen2VL: template)
      return
    }
    guard let digest = ChatForm.digest(template),
      dialect.known.contains(digest) || digest == ChatForm.digest(dialect.template)
    else { return nil }
    self.init(dialect, template: template)
  }

  private init?(recognisingQwen2VL template: String) {
    guard var pieces = JinjaPieces.parse(template) else { return nil }
    let turnStart = "<|im_start|>system\n", turnEnd = "<|im_end|>\n"
    var system: String?
    let conditions = [
      "if loop['first'] and message['role'] != 'system'",
      "if loop['first'] and messages[0]['role'] != 'system'",
      "if messages[0]['role'] != 'system'",
    ]
    // Within the loop, or before it.
    for start in [1, 0] where system == nil && pieces.count > start + 2 {
      guard case .statement(let condition) = pieces[start],
        conditions[(start == 1 ? 0 : 2)...].contains(condition),
        case .text(let turn) = pieces[start + 1], turn.hasPrefix(turnStart),
        turn.hasSuffix(turnEnd), turn.count >= turnStart.count + turnEnd.count,
        pieces[start + 2] == .statement("endif")
      else { continue }
      system = String(turn.dropFirst(turnStart.count).dropLast(turnEnd.count))
      pieces.removeSubrange(start...start + 2)
    }
    if let system, ChatDialect.qwen2VL.controlToken(in: system) != nil { return nil }
    let known = [ChatForm.body, ChatForm.textBody].map {
      JinjaPieces.parse(ChatForm.loop + $0)
    }
    guard let form = known.firstIndex(of: pieces) else { return nil }
    self.init(system: system)
    if form == 0 { self.template = template }
  }
}
