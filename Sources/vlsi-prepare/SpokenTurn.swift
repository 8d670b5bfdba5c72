import Artifacts
import Failures
import Imaging
import Tokenization

/// One turn as an entry has it, with the images that it names.
struct SpokenTurn {
  /// Tags and image parts are places alike.
  var turn: Turn
  /// The other reading of a turn with as many tags as image parts: the tags alone are places.
  var byTags: Turn?
  var images: [NamedImage] = []

  /// - Throws: `Rejection`.
  init(_ value: JSON, _ size: RequestedSize) throws {
    let role = try SpokenTurn.role(try value.only("role", "from"))
    let isLearned = try EntryMembers.isLearned(value, role)
    let own = try EntryMembers.images(value, try EntryMembers.size(value, over: size))
    let content = try value.only("content", "value")
    var texts: [Turn.Part] = []
    switch content {
    case .string(let text)?:
      texts = try SpokenTurn.parts(text, role, isLast: true)
      turn = Turn(role: role, content: texts, isLearned: isLearned)
    case .array(let list)?:
      turn = Turn(role: role, content: [], isLearned: isLearned)
      var pictures = 0
      for (number, item) in list.enumerated() {
        let part = try SpokenPart(item, size)
        images += part.images
        if let text = part.text {
          let parts = try SpokenTurn.parts(text, role, isLast: number == list.count - 1)
          turn.content += parts
          texts += parts
        } else {
          turn.content.append(.image)
          pictures += 1
        }
      }
      if pictures > 0, texts.count(where: { $0 == .image }) == pictures {
        byTags = Turn(role: role, content: texts, isLearned: isLearned)
      }
    default:
      throw Rejection(
        "its text is \(content?.kind ?? "missing"), expected a string or an array of parts")
    }
    guard !own.isEmpty else { return }
    guard images.isEmpty else {
      throw Rejection("images stand both beside the text and within it")
    }
    images = own
    if turn.imageCount == 0 { turn.content.insert(contentsOf: own.map { _ in .image }, at: 0) }
  }

  private static func role(_ value: JSON?) throws -> Turn.Role {
    guard let name = value?.asString else { throw Rejection("no \"role\" or \"from\"") }
    switch name {
    case "human", "user": return .user
    case "gpt", "assistant": return .assistant
    case "system": return .system
    default: throw Rejection("unknown role \"\(readable(name, most: 40))\"")
    }
  }

  /// A user's text with its placeholders as image parts. The line break that LLaVA puts between
  /// image and text goes: Qwen2-VL's template has none. Found by bytes, whatever marks follow.
  ///
  /// - Parameter isLast: nothing follows the text in its turn.
  private static func parts(
    _ text: String, _ role: Turn.Role, isLast: Bool
  ) throws -> [Turn.Part] {
    guard role == .user else { return [.text(text)] }
    for tag in ["<video>", "<audio>"] where text.holds(bytes: tag) {
      throw Rejection.unsupported(tag, at: "a place \(tag): ")
    }
    let tag = Conversation.placeholder.utf8
    guard text.holds(bytes: Conversation.placeholder) else { return [.text(text)] }
    var result: [Turn.Part] = []
    var rest = Substring(text).utf8
    func put(_ bytes: Substring.UTF8View) {
      if !bytes.isEmpty { result.append(.text(String(decoding: bytes, as: UTF8.self))) }
    }
    while let range = rest.firstRange(of: tag) {
      var before = rest[..<range.lowerBound]
      rest = rest[range.upperBound...]
      if rest.isEmpty, isLast {
        if before.last == UInt8(ascii: "\n") { before = before.dropLast() }
        if before.last == UInt8(ascii: "\r") { before = before.dropLast() }
      }
      put(before)
      result.append(.image)
      if rest.first == UInt8(ascii: "\r") { rest = rest.dropFirst() }
      if rest.first == UInt8(ascii: "\n") { rest = rest.dropFirst() }
    }
    put(rest)
    return result
  }
}

/// One typed part of a turn: a text, or an image. An image without a source of its own stands for
/// the next one beside the conversation.
private struct SpokenPart {
  var text: String?
  var images: [NamedImage] = []

  init(_ value: JSON, _ size: RequestedSize) throws {
    if let text = value.asString {
      self.text = text
      return
    }
    let written = value.member("text")
    let source = value.member("image", "image_url", "path", "url", "source", "bytes")
    let medium = ["video", "video_url", "audio", "audio_url", "input_audio"].first {
      value.member($0) != nil
    }
    let type =
      value.member("type")?.asString ?? medium ?? (written == nil ? "image" : "text")
    switch type {
    case "text", "input_text", "output_text":
      guard let text = written?.asString else { throw Rejection("a text part without text") }
      guard source == nil, medium == nil else { throw Rejection("a text part with an image") }
      self.text = text
    case "image", "image_url", "input_image":
      guard written == nil || written == "", medium == nil else {
        throw Rejection("an image part with \(medium ?? "a text")")
      }
      if let detail = (value.member("detail") ?? source?.member("detail"))?.asString,
        !["auto", "high"].contains(detail)
      {
        throw Rejection(
          "an image with detail \"\(readable(detail, most: 40))\": give max_pixels instead")
      }
      let own = try EntryMembers.size(value, over: size)
      if let source {
        images = [try EntryMembers.image(source, own)]
      } else if own != size {
        throw Rejection("a size for an image that is named elsewhere: give it there")
      }
    case "video", "video_url", "audio", "audio_url", "input_audio":
      throw Rejection.unsupported(type)
    default: throw Rejection("unknown part \"\(readable(type, most: 40))\"")
    }
  }
}
