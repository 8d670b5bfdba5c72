import Artifacts
import Failures
import Tokenization

/// Why one entry cannot become a sample. The others go on without it.
struct Rejection: Error, Equatable {
  var reason: String
  /// Known as soon as the entry has parsed.
  var id: String?

  init(_ reason: String, id: String? = nil) {
    self.reason = reason
    self.id = id
  }
}

/// One entry of the data set: what is said, about which images.
struct Conversation: Equatable {
  var id: String
  var turns: [Turn]
  /// As the entry names them: paths, or data: URLs.
  var images: [String]
  /// A word for each merged visual token of the first image; nil where there is nothing to say.
  var visualLabels: [String?]?

  /// The text that stands for an image in LLaVA's format.
  static let placeholder = "<image>"
}

extension Conversation {
  /// Reads an entry in LLaVA's and ShareGPT's form (`conversations` with `from` and `value`) or
  /// OpenAI's (`messages` with `role` and `content`).
  ///
  /// - Throws: `Rejection`.
  init(_ entry: JSON, index: Int) throws {
    guard entry.asObject != nil else {
      throw Rejection("the entry is \(entry.kind), expected an object")
    }
    id =
      switch entry["id"] {
      case .string(let text)?: text
      case .int(let number)?: "\(number)"
      default: "\(index)"
      }
    do {
      images = try Conversation.images(entry)
      turns = []
      if let list = entry["conversations"] {
        try read(list, named: "conversations") { try Conversation.shareGPT($0) }
      } else if let list = entry["messages"] {
        var inline: [String] = []
        try read(list, named: "messages") { try Conversation.message($0, &inline) }
        if !inline.isEmpty {
          guard images.isEmpty else {
            throw Rejection("images stand both beside the messages and within them")
          }
          images = inline
        }
      } else {
        throw Rejection("the entry has neither \"conversations\" nor \"messages\"")
      }
      visualLabels = try Conversation.labels(entry["visual_labels"] ?? .null)
      try place()
      try check()
    } catch var rejection as Rejection {
      rejection.id = id
      throw rejection
    }
  }

  private mutating func read(
    _ list: JSON, named name: String, _ turn: (JSON) throws -> Turn
  ) throws {
    guard let values = list.asArray else {
      throw Rejection("\"\(name)\" is \(list.kind), expected an array")
    }
    guard !values.isEmpty else { throw Rejection("the conversation is empty") }
    for (number, value) in values.enumerated() {
      do {
        guard value.asObject != nil else {
          throw Rejection("is \(value.kind), expected an object")
        }
        turns.append(try turn(value))
      } catch let rejection as Rejection {
        throw Rejection("turn \(number + 1): \(rejection.reason)")
      }
    }
  }

  // MARK: The two forms

  private static func role(_ value: JSON?, _ key: String) throws -> Turn.Role {
    guard let name = value?.asString else {
      throw Rejection("no \"\(key)\"")
    }
    switch name {
    case "human", "user": return .user
    case "gpt", "assistant": return .assistant
    case "system": return .system
    default: throw Rejection("unknown role \"\(name)\"")
    }
  }

  private static func shareGPT(_ value: JSON) throws -> Turn {
    let role = try role(value["from"], "from")
    guard let text = value["value"]?.asString else {
      throw Rejection("\"value\" is \(value["value"]?.kind ?? "missing"), expected a string")
    }
    return Turn(role: role, content: parts(text, role))
  }

  private static func message(_ value: JSON, _ inline: inout [String]) throws -> Turn {
    let role = try role(value["role"], "role")
    switch value["content"] {
    case .string(let text)?:
      return Turn(role: role, content: parts(text, role))
    case .array(let list)?:
      var content: [Turn.Part] = []
      for part in list {
        let type = part["type"]?.asString ?? (part["text"] != nil ? "text" : "image")
        switch type {
        case "text":
          guard let text = part["text"]?.asString else {
            throw Rejection("a text part without text")
          }
          content.append(.text(text))
        case "image", "image_url":
          content.append(.image)
          let source = part["image"] ?? part["image_url"] ?? part["path"] ?? part["url"] ?? .null
          if let path = source.asString ?? source["url"]?.asString { inline.append(path) }
        default: throw Rejection("unknown part \"\(type)\"")
        }
      }
      return Turn(role: role, content: content)
    default:
      throw Rejection("\"content\" is \(value["content"]?.kind ?? "missing"), expected a string")
    }
  }

  /// A user's text with its placeholders as image parts. The line break that LLaVA puts between
  /// image and text goes: Qwen2-VL's template has none.
  private static func parts(_ text: String, _ role: Turn.Role) -> [Turn.Part] {
    guard role == .user, text.contains(placeholder) else { return [.text(text)] }
    var result: [Turn.Part] = []
    var rest = text[...]
    while let range = rest.firstRange(of: placeholder) {
      var before = rest[..<range.lowerBound]
      rest = rest[range.upperBound...]
      if rest.isEmpty, before.last?.isNewline == true { before.removeLast() }
      if !before.isEmpty { result.append(.text(String(before))) }
      result.append(.image)
      if rest.first?.isNewline == true { rest.removeFirst() }
    }
    if !rest.isEmpty { result.append(.text(String(rest))) }
    return result
  }

  // MARK: Images and labels

  private static func images(_ entry: JSON) throws -> [String] {
    let value =
      [entry["image"], entry["images"]].lazy.compactMap { $0 }.first { $0 != .null } ?? .null
    switch value {
    case .null: return []
    case .string(let path): return [path]
    case .array(let list):
      return try list.map { item in
        guard let path = item.asString ?? item["path"]?.asString ?? item["url"]?.asString else {
          throw Rejection("an image is \(item.kind), expected a path")
        }
        return path
      }
    default: throw Rejection("\"image\" is \(value.kind), expected a path")
    }
  }

  private static func labels(_ value: JSON) throws -> [String?]? {
    if value == .null { return nil }
    guard let list = value.asArray else {
      throw Rejection("\"visual_labels\" is \(value.kind), expected an array")
    }
    return try list.map { item in
      if item == .null { return nil }
      guard let word = item.asString else {
        throw Rejection("a visual label is \(item.kind), expected a word")
      }
      return word
    }
  }

  /// Where a conversation has images but no placeholder, they stand first, as LLaVA's trainers
  /// put them; else the numbers must agree.
  private mutating func place() throws {
    let places = turns.reduce(0) { $0 + $1.imageCount }
    if places == 0, !images.isEmpty, let first = turns.firstIndex(where: { $0.role == .user }) {
      turns[first].content.insert(contentsOf: images.map { _ in .image }, at: 0)
    } else if places != images.count {
      throw Rejection(
        "\(places) place\(places == 1 ? "" : "s") for \(images.count) "
          + "image\(images.count == 1 ? "" : "s")")
    }
  }

  // MARK: What every conversation must be

  private func check() throws {
    for (number, turn) in turns.enumerated() {
      let text = turn.text
      if turn.role == .assistant, text.allSatisfy(\.isWhitespace) {
        throw Rejection("turn \(number + 1): the answer is empty")
      }
      if turn.role == .system, number > 0 {
        throw Rejection("turn \(number + 1): a system turn that is not the first")
      }
      if turn.role == .assistant, turn.imageCount > 0 {
        throw Rejection("turn \(number + 1): an image in an answer")
      }
      if turn.role == .user, turn.imageCount == 0, text.allSatisfy(\.isWhitespace) {
        throw Rejection("turn \(number + 1): the question is empty")
      }
      if let token = ChatTemplate.controlToken(in: text) {
        throw Rejection("turn \(number + 1): the text contains the control token \(token)")
      }
    }
    guard turns.first(where: { $0.role != .system })?.role == .user else {
      throw Rejection("the conversation does not begin with a user's turn")
    }
    guard visualLabels != nil || turns.contains(where: { $0.role == .assistant }) else {
      throw Rejection("no answer to learn from")
    }
  }
}
