/// How a family's chat template writes a conversation down: ChatML, and what differs between families.
public struct ChatDialect: Sendable, Equatable {
  /// Whose it is, for messages.
  public var family: String
  /// What stands between a turn's role and its content.
  public var header = "\n"
  /// What stands before each text of a turn.
  public var textStart = ""
  /// What stands behind a turn's closing `<|im_end|>`.
  public var turnEnd = "\n"
  /// The images of a turn come before its texts, wherever they stood.
  public var imagesFirst = false
  /// Only a user's turn has images, and only the first turn can be the system's: the template leaves
  /// out what is otherwise.
  public var isStrict = false
  /// The tokens around an image's features, and the one that stands for each of them.
  public var imageStart: String?
  public var imagePad: String
  public var imageEnd: String?
  /// The tokens that give a conversation its form. Text that spells one of them would forge it.
  public var controlTokens: [String]
  /// The system turn of a conversation that brings none.
  public var defaultSystem: String?
  /// A template that renders so, for checkpoints that bring none.
  public var template: String
  /// Published templates that render so, each by the digest of its pieces: see `ChatForm.digest`.
  public var known: [String] = []

  public init(
    family: String, imageStart: String? = nil, imagePad: String, imageEnd: String? = nil,
    controlTokens: [String], template: String
  ) {
    self.family = family
    self.imageStart = imageStart
    self.imagePad = imagePad
    self.imageEnd = imageEnd
    self.controlTokens = controlTokens
    self.template = template
  }

  /// The first control token that a text spells, if any: by its bytes, as the tokenizer finds it,
  /// whatever combining marks follow.
  public func controlToken(in text: String) -> String? {
    guard text.holds(bytes: "<") else { return nil }
    return controlTokens.first { text.holds(bytes: $0) }
  }

  /// The parts of a turn in the order in which they are written.
  func ordered(_ content: [Turn.Part]) -> [Turn.Part] {
    guard imagesFirst else { return content }
    return content.filter { $0 == .image } + content.filter { $0 != .image }
  }

  /// Why the template would leave something of a turn out, or nil.
  func fault(of turn: Turn, isFirst: Bool) -> String? {
    guard isStrict else { return nil }
    if turn.role == .system, !isFirst {
      return "a system turn that is not the first: \(family)'s chat template leaves it out"
    }
    if turn.role != .user, turn.imageCount > 0 {
      return
        "an image in a turn of the \(turn.role.rawValue): \(family)'s chat template leaves it out"
    }
    return nil
  }

  // MARK: The Qwens'

  /// The special tokens of Qwen2-VL's tokenizer and its successors'.
  static let qwenControlTokens = [
    "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>", "<|endoftext|>",
  ]

  /// Qwen2-VL's and Qwen2.5-VL's. Its template can have any default system turn.
  public static let qwen2VL: ChatDialect = {
    var dialect = ChatDialect(
      family: "Qwen2-VL", imageStart: "<|vision_start|>", imagePad: "<|image_pad|>",
      imageEnd: "<|vision_end|>", controlTokens: qwenControlTokens, template: "")
    dialect.defaultSystem = "You are a helpful assistant."
    return dialect
  }()

  /// Qwen3-VL's: no default system turn.
  public static let qwen3VL: ChatDialect = {
    var dialect = ChatDialect(
      family: "Qwen3-VL", imageStart: "<|vision_start|>", imagePad: "<|image_pad|>",
      imageEnd: "<|vision_end|>", controlTokens: qwenControlTokens,
      template: """
        {%- for message in messages %}
            {%- if message.role == 'user' or message.role == 'assistant' or loop.first %}
                {{- '<|im_start|>' + message.role + '\\n' }}
                {%- if message.content is string %}
                    {{- message.content }}
                {%- else %}
                    {%- for part in message.content %}
                        {%- if 'text' in part %}
                            {{- part.text }}
                        {%- elif message.role == 'user' %}
                            {{- '<|vision_start|><|image_pad|><|vision_end|>' }}
                        {%- endif %}
                    {%- endfor %}
                {%- endif %}
                {{- '<|im_end|>\\n' }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}
            {{- '<|im_start|>assistant\\n' }}
        {%- endif %}
        """)
    dialect.isStrict = true
    dialect.known = ["579af012d85695751ee63219ee538f24"]
    return dialect
  }()

  /// LLaVA-OneVision's: a blank behind the role, images first, a line break before each text and none
  /// behind a turn. A prompt for an answer ends in a line break alone, as its template has it.
  public static let llavaOneVision: ChatDialect = {
    var dialect = ChatDialect(
      family: "LLaVA-OneVision", imagePad: "<image>",
      controlTokens: ["<|im_start|>", "<|im_end|>", "<image>", "<video>", "<|endoftext|>"],
      template: """
        {%- for message in messages %}
            {{- '<|im_start|>' + message.role + ' ' }}
            {%- for part in message.content if part.type == 'image' %}
                {{- '<image>' }}
            {%- endfor %}
            {%- for part in message.content if part.type == 'text' %}
                {{- '\\n' + part.text }}
            {%- endfor %}
            {{- '<|im_end|>' }}
        {%- endfor %}
        {%- if add_generation_prompt %}
            {{- '<|im_start|>assistant\\n' }}
        {%- endif %}
        """)
    dialect.header = " "
    dialect.textStart = "\n"
    dialect.turnEnd = ""
    dialect.imagesFirst = true
    dialect.known = ["3222b47af6c47ec3a9a4bbedc7b7d985"]
    return dialect
  }()
}
