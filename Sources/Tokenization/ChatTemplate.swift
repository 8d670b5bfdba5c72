import Failures

/// One turn of a conversation.
public struct Turn: Sendable, Equatable {
  public enum Role: String, Sendable {
    case system, user, assistant
  }

  public enum Part: Sendable, Equatable {
    case text(String)
    /// The next image of the conversation.
    case image
  }

  public var role: Role
  public var content: [Part]
  /// Whether an assistant's turn is a target; off, it is context only.
  public var isLearned = true

  public init(role: Role, content: [Part], isLearned: Bool = true) {
    self.role = role
    self.content = content
    self.isLearned = isLearned
  }

  public init(role: Role, _ text: String) {
    self.init(role: role, content: [.text(text)])
  }

  /// The texts of the turn, without its images.
  public var text: String {
    content.map { if case .text(let text) = $0 { text } else { "" } }.joined()
  }

  public var imageCount: Int {
    content.count { $0 == .image }
  }
}

/// A conversation as token ids, n of them.
public struct Rendered: Sendable, Equatable {
  public var ids: [Int32] = []
  /// 1 where the token is a target: the text of an assistant's turn that is learned, and its
  /// closing `<|im_end|>`. [n]
  public var supervised: [UInt8] = []
  /// 0 in the shared prefix, q in the q-th question; empty for an ordinary conversation.
  public var segments: [Int32] = []
  /// For each image, where its run of `<|image_pad|>` tokens starts.
  public var imageStarts: [Int] = []

  public init() {}
}

/// A family's chat template, as the checkpoint's `chat_template` renders it: ChatML with the
/// variations of its `ChatDialect`. Qwen2-VL's:
///
///     <|im_start|>system
///     You are a helpful assistant.<|im_end|>
///     <|im_start|>user
///     <|vision_start|><|image_pad|>…<|vision_end|>Question<|im_end|>
///     <|im_start|>assistant
///     Answer<|im_end|>
public struct ChatTemplate: Sendable {
  public let dialect: ChatDialect
  let tokenizer: Tokenizer
  /// The system turn of a conversation that brings none; nil: there is none then.
  public let system: String?
  let start: Int32
  public let end: Int32
  /// What stands for an image's features.
  public let imagePad: Int32
  private let imageStart: [Int32]
  private let imageEnd: [Int32]
  private let turnEnd: [Int32]

  /// - Throws: `Failure(.badData)` where the tokenizer lacks a token that the template needs.
  public init(tokenizer: Tokenizer, form: ChatForm = ChatForm()) throws {
    func id(_ token: String) throws -> Int32 {
      guard let id = tokenizer.id(ofToken: token) else {
        throw Failure(
          .badData, "the tokenizer has no \(token)", at: "tokenizer.json",
          expected: "the tokenizer of a \(form.dialect.family) checkpoint")
      }
      return id
    }
    self.tokenizer = tokenizer
    dialect = form.dialect
    system = form.system
    start = try id("<|im_start|>")
    end = try id("<|im_end|>")
    imagePad = try id(dialect.imagePad)
    imageStart = try dialect.imageStart.map { [try id($0)] } ?? []
    imageEnd = try dialect.imageEnd.map { [try id($0)] } ?? []
    turnEnd = dialect.turnEnd.isEmpty ? [] : tokenizer.encode(dialect.turnEnd)
  }

  /// The tokens that stand behind an image's features and belong to it.
  public var imageEndCount: Int { imageEnd.count }

  /// Renders a conversation.
  ///
  /// - Parameters:
  ///   - turns: in order; a system turn, if any, first.
  ///   - imageTokenCounts: visual tokens of each image, in the order of the images' parts.
  ///   - independentQuestions: each question with its answer becomes a segment of its own behind
  ///     the shared prefix (system turn, user header, images): see `Rendered.segments`. The line
  ///     break behind an answer is left out there, for nothing follows it.
  ///   - generationPrompt: end with the header of an assistant turn, to be continued.
  /// - Throws: `Failure(.badData)` where images and counts do not match, text spells a control
  ///   token, or, for independent questions, the turns are not question and answer by turns.
  public func render(
    _ turns: [Turn], imageTokenCounts: [Int], independentQuestions: Bool = false,
    generationPrompt: Bool = false
  ) throws -> Rendered {
    let images = turns.reduce(0) { $0 + $1.imageCount }
    guard images == imageTokenCounts.count else {
      throw Failure(
        .badData, "images and their places do not match", expected: "\(imageTokenCounts.count)",
        found: "\(images)")
    }
    for (number, turn) in turns.enumerated() {
      if let token = dialect.controlToken(in: turn.text) {
        throw Failure(.badData, "the text of a turn contains the control token \(token)")
      }
      if let fault = dialect.fault(of: turn, isFirst: number == 0) {
        throw Failure(.badData, fault)
      }
    }
    var writer = Writer(template: self, counts: imageTokenCounts)
    if let system, turns.first?.role != .system {
      writer.turn(Turn(role: .system, system))
    }
    if independentQuestions {
      try writer.questions(turns)
    } else {
      for turn in turns { writer.turn(turn) }
      if generationPrompt { writer.generationHeader() }
    }
    return writer.result
  }

  /// Puts ids, targets and segments down side by side.
  private struct Writer {
    let template: ChatTemplate
    let counts: [Int]
    var result = Rendered()
    var nextImage = 0
    var segment: Int32?
    private var dialect: ChatDialect { template.dialect }

    init(template: ChatTemplate, counts: [Int]) {
      self.template = template
      self.counts = counts
    }

    mutating func put(_ ids: [Int32], target: Bool = false) {
      result.ids.append(contentsOf: ids)
      result.supervised.append(contentsOf: repeatElement(target ? 1 : 0, count: ids.count))
      if let segment {
        result.segments.append(contentsOf: repeatElement(segment, count: ids.count))
      }
    }

    mutating func text(_ text: String, target: Bool = false) {
      if !text.isEmpty { put(template.tokenizer.encode(text), target: target) }
    }

    mutating func image() {
      let count = counts[nextImage]
      nextImage += 1
      put(template.imageStart)
      result.imageStarts.append(result.ids.count)
      put(Array(repeating: template.imagePad, count: count))
      put(template.imageEnd)
    }

    /// The header of an answer that is to be made.
    mutating func generationHeader() {
      put([template.start])
      text(Turn.Role.assistant.rawValue + "\n")
    }

    mutating func turn(_ turn: Turn) {
      put([template.start])
      // The header is encoded together with the text behind it, as the reference encodes the
      // whole; but before an answer it stands alone, because a model generates from there.
      var pending = turn.role.rawValue + dialect.header
      let target = turn.role == .assistant && turn.isLearned
      var beginsText = dialect.textStart
      if turn.role == .assistant {
        if dialect.ordered(turn.content).first.map({ $0 != .image }) ?? false {
          pending += beginsText
          beginsText = ""
        }
        text(pending)
        pending = ""
      }
      for part in dialect.ordered(turn.content) {
        switch part {
        case .text(let more):
          pending += beginsText + more
          beginsText = dialect.textStart
        case .image:
          text(pending, target: target)
          pending = ""
          image()
        }
      }
      text(pending, target: target)
      put([template.end], target: target)
      put(template.turnEnd)
    }

    mutating func questions(_ turns: [Turn]) throws {
      let spoken = turns.first?.role == .system ? Array(turns.dropFirst()) : turns
      guard !spoken.isEmpty, spoken.count % 2 == 0,
        spoken.indices.allSatisfy({ spoken[$0].role == ($0 % 2 == 0 ? .user : .assistant) })
      else {
        throw Failure(
          .badData, "independent questions need user and assistant by turns",
          found: spoken.map(\.role.rawValue).joined(separator: ", "))
      }
      result.segments = Array(repeating: 0, count: result.ids.count)
      segment = 0
      if let system = turns.first, system.role == .system { turn(Turn(role: .system, system.text)) }
      put([template.start])
      text(Turn.Role.user.rawValue + dialect.header)
      for _ in counts { image() }
      for index in stride(from: 0, to: spoken.count, by: 2) {
        segment = Int32(index / 2 + 1)
        text(dialect.textStart + spoken[index].text)
        put([template.end])
        put(template.turnEnd)
        put([template.start])
        text(Turn.Role.assistant.rawValue + dialect.header + dialect.textStart)
        let target = spoken[index + 1].isLearned
        text(spoken[index + 1].text, target: target)
        put([template.end], target: target)
      }
    }
  }
}
