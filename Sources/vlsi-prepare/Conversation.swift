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
  /// OpenAI's (`messages` with `role` and `content`, a string or typed parts). Data sets in the
  /// wild mix the names of the two, so each is taken wherever it stands.
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
      if let videos = entry.member("video", "videos"), videos != "", videos != [] {
        throw Rejection("videos are not supported")
      }
      guard let name = ["conversations", "messages"].first(where: { entry.member($0) != nil }),
        let list = entry[name]
      else { throw Rejection("the entry has neither \"conversations\" nor \"messages\"") }
      let inline = try read(list, named: name)
      if !inline.isEmpty {
        guard images.isEmpty else {
          throw Rejection("images stand both beside the turns and within them")
        }
        images = inline
      }
      visualLabels = try Conversation.labels(entry["visual_labels"] ?? .null)
      try place()
      try check()
      try addSystem(entry.member("system"))
    } catch var rejection as Rejection {
      rejection.id = id
      throw rejection
    }
  }

  /// Reads the turns and gives the images that they name themselves.
  private mutating func read(_ list: JSON, named name: String) throws -> [String] {
    guard let values = list.asArray else {
      throw Rejection("\"\(name)\" is \(list.kind), expected an array")
    }
    guard !values.isEmpty else { throw Rejection("the conversation is empty") }
    var inline: [String] = []
    for (number, value) in values.enumerated() {
      do {
        guard value.asObject != nil else {
          throw Rejection("is \(value.kind), expected an object")
        }
        turns.append(try Conversation.turn(value, &inline))
      } catch let rejection as Rejection {
        throw Rejection("turn \(number + 1): \(rejection.reason)")
      }
    }
    return inline
  }

  // MARK: One turn

  private static func turn(_ value: JSON, _ inline: inout [String]) throws -> Turn {
    let role = try role(value.member("role", "from"))
    let content = value.member("content", "value")
    switch content {
    case .string(let text)?: return Turn(role: role, content: parts(text, role))
    case .array(let list)?:
      return Turn(role: role, content: try list.map { try part($0, &inline) })
    default:
      throw Rejection(
        "its text is \(content?.kind ?? "missing"), expected a string or an array of parts")
    }
  }

  private static func role(_ value: JSON?) throws -> Turn.Role {
    guard let name = value?.asString else { throw Rejection("no \"role\" or \"from\"") }
    switch name {
    case "human", "user": return .user
    case "gpt", "assistant": return .assistant
    case "system": return .system
    default: throw Rejection("unknown role \"\(name)\"")
    }
  }

  /// One typed part of a turn. An image without a path of its own stands for the next one beside
  /// the conversation.
  private static func part(_ value: JSON, _ inline: inout [String]) throws -> Turn.Part {
    if let text = value.asString { return .text(text) }
    let text = value.member("text")
    let type = value.member("type")?.asString ?? (text == nil ? "image" : "text")
    switch type {
    case "text":
      guard let text = text?.asString else { throw Rejection("a text part without text") }
      return .text(text)
    case "image", "image_url":
      guard let source = value.member("image", "image_url", "path", "url") else { return .image }
      inline.append(try path(source))
      return .image
    default: throw Rejection("unknown part \"\(type)\"")
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
    // Some data sets leave the path empty where there is no image.
    guard let value = entry.member("image", "images"), value != "" else { return [] }
    return try value.asArray?.map { try path($0) } ?? [path(value)]
  }

  /// A path, or an object that holds one.
  private static func path(_ value: JSON) throws -> String {
    let path = value.asString ?? value.member("path", "url")?.asString
    guard let path, !path.isEmpty else {
      throw Rejection("an image is \(path == nil ? value.kind : "an empty text"), expected a path")
    }
    return path
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

  /// Some data sets have the system's text beside the turns.
  private mutating func addSystem(_ value: JSON?) throws {
    guard let value, value != "" else { return }
    guard let text = value.asString else {
      throw Rejection("\"system\" is \(value.kind), expected a string")
    }
    guard turns.first?.role != .system else {
      throw Rejection("a system text both beside the turns and among them")
    }
    if let token = ChatTemplate.controlToken(in: text) {
      throw Rejection("\"system\" contains the control token \(token)")
    }
    turns.insert(Turn(role: .system, text), at: 0)
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
      if turn.role != .user, turn.imageCount > 0 {
        throw Rejection("turn \(number + 1): an image in a turn of the \(turn.role.rawValue)")
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

extension JSON {
  /// The first of these members that is there and not null.
  fileprivate func member(_ names: String...) -> JSON? {
    names.lazy.compactMap { self[$0] }.first { $0 != .null }
  }
}
