import Artifacts
import Failures
import Imaging
import Tokenization

/// Why one entry cannot become a sample. The others go on without it.
struct Rejection: Error, Equatable {
  var reason: String
  /// Known as soon as the entry has parsed.
  var id: String?

  /// - Parameter reason: cut to a readable length.
  init(_ reason: String, id: String? = nil) {
    self.reason = readable(reason, most: 800)
    self.id = id
  }

  /// Of what an entry may hold besides text and images, by its name there: `video`, `audio_url`, …
  static func unsupported(_ medium: String, at place: String = "") -> Rejection {
    let what =
      medium.holds(bytes: "video")
      ? "videos are" : medium.holds(bytes: "audio") ? "audio is" : "\(medium) are"
    return Rejection("\(place)\(what) not supported; text and images are")
  }
}

/// An image as an entry names it.
struct NamedImage: Equatable {
  /// A path, a data: URL, or base64.
  var name: String
  var size = RequestedSize()
}

/// One entry of the data set: what is said, about which images.
struct Conversation: Equatable {
  var id: String
  var turns: [Turn]
  var images: [NamedImage]
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
  /// - Parameter dialect: whose control tokens no text may spell.
  /// - Throws: `Rejection`.
  init(_ entry: JSON, index: Int, dialect: ChatDialect) throws {
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
      images = []
      turns = []
      try EntryMembers.refuse(in: entry)
      let size = try EntryMembers.size(entry, over: RequestedSize())
      images = try EntryMembers.images(entry, size)
      let names = ["conversations", "messages", "texts"].filter { entry.member($0) != nil }
      guard let name = names.first else {
        throw Rejection(
          "the entry has neither \"conversations\" nor \"messages\" nor \"texts\"")
      }
      var list = try entry.only("conversations", "messages") ?? .null
      if let pairs = entry.member("texts") {
        guard name == "texts" else {
          throw Rejection("\"texts\" stand beside \"conversations\" or \"messages\"")
        }
        list = try Conversation.turns(of: pairs)
      }
      let spoken = try read(list, named: name, size)
      let inline = spoken.flatMap(\.images)
      if !inline.isEmpty {
        guard images.isEmpty else {
          throw Rejection("images stand both beside the turns and within them")
        }
        images = inline
      }
      visualLabels = try Conversation.labels(entry["visual_labels"] ?? .null)
      try place(spoken)
      try check(dialect)
      try addSystem(entry.member("system"), dialect)
    } catch var rejection as Rejection {
      rejection.id = id
      throw rejection
    }
  }

  /// The turns of `texts`, as the hub's collections have them: `user` and `assistant` of each question.
  private static func turns(of texts: JSON) throws -> JSON {
    guard let pairs = texts.asArray else {
      throw Rejection("\"texts\" is \(texts.kind), expected an array")
    }
    return .array(
      try pairs.enumerated().flatMap { number, pair -> [JSON] in
        guard let user = pair.member("user"), let assistant = pair.member("assistant") else {
          throw Rejection("text \(number + 1): expected \"user\" and \"assistant\"")
        }
        return [
          ["role": "user", "content": user], ["role": "assistant", "content": assistant],
        ]
      })
  }

  /// Reads the turns.
  private func read(
    _ list: JSON, named name: String, _ size: RequestedSize
  ) throws -> [SpokenTurn] {
    guard let values = list.asArray else {
      throw Rejection("\"\(name)\" is \(list.kind), expected an array")
    }
    guard !values.isEmpty else { throw Rejection("the conversation is empty") }
    return try values.enumerated().map { number, value in
      do {
        guard value.asObject != nil else {
          throw Rejection("is \(value.kind), expected an object")
        }
        return try SpokenTurn(value, size)
      } catch let rejection as Rejection {
        throw Rejection("turn \(number + 1): \(rejection.reason)")
      }
    }
  }

  // MARK: Images and labels

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
  /// put them; else the numbers must agree. In a turn with as many tags as image parts the tags may
  /// be the places, and the parts say which image.
  private mutating func place(_ spoken: [SpokenTurn]) throws {
    func count(_ turns: [Turn]) -> Int { turns.reduce(0) { $0 + $1.imageCount } }
    turns = spoken.map(\.turn)
    let places = count(turns)
    if places == 0, !images.isEmpty, let first = turns.firstIndex(where: { $0.role == .user }) {
      if let other = turns.firstIndex(where: { $0.text.holds(bytes: Conversation.placeholder) }) {
        throw Rejection(
          "turn \(other + 1): \(Conversation.placeholder) in a turn of the "
            + turns[other].role.rawValue)
      }
      turns[first].content.insert(contentsOf: images.map { _ in .image }, at: 0)
    } else if places != images.count {
      let tagged = spoken.map { $0.byTags ?? $0.turn }
      guard count(tagged) == images.count else {
        throw Rejection(
          "\(places) place\(places == 1 ? "" : "s") for \(images.count) "
            + "image\(images.count == 1 ? "" : "s")")
      }
      turns = tagged
    }
  }

  /// Some data sets have the system's text beside the turns.
  private mutating func addSystem(_ value: JSON?, _ dialect: ChatDialect) throws {
    guard let value, value != "" else { return }
    guard let text = value.asString else {
      throw Rejection("\"system\" is \(value.kind), expected a string")
    }
    guard turns.first?.role != .system else {
      throw Rejection("a system text both beside the turns and among them")
    }
    if let token = dialect.controlToken(in: text) {
      throw Rejection("\"system\" contains the control token \(token)")
    }
    turns.insert(Turn(role: .system, text), at: 0)
  }

  // MARK: What every conversation must be

  /// By scalars: a space with a combining mark behind it is one character that counts as white.
  private static func isBlank(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy(\.properties.isWhitespace)
  }

  private func check(_ dialect: ChatDialect) throws {
    for (number, turn) in turns.enumerated() {
      let text = turn.text
      if turn.role == .assistant, Conversation.isBlank(text) {
        throw Rejection("turn \(number + 1): the answer is empty")
      }
      if turn.role == .system, number > 0 {
        throw Rejection("turn \(number + 1): a system turn that is not the first")
      }
      if turn.role != .user, turn.imageCount > 0 {
        throw Rejection("turn \(number + 1): an image in a turn of the \(turn.role.rawValue)")
      }
      if turn.role == .user, turn.imageCount == 0, Conversation.isBlank(text) {
        throw Rejection("turn \(number + 1): the question is empty")
      }
      if let token = dialect.controlToken(in: text) {
        throw Rejection("turn \(number + 1): the text contains the control token \(token)")
      }
    }
    guard turns.first(where: { $0.role != .system })?.role == .user else {
      throw Rejection("the conversation does not begin with a user's turn")
    }
    guard
      visualLabels != nil || turns.contains(where: { $0.role == .assistant && $0.isLearned })
    else {
      throw Rejection("no answer to learn from")
    }
  }
}
