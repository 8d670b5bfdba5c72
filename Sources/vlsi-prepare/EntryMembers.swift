import Artifacts
import Failures
import Imaging
import Tokenization

/// The members of entries, turns and parts that decide what is learned, beside the texts: followed,
/// or refused by name.
enum EntryMembers {
  /// Refuses an entry whose meaning depends on what is not supported.
  static func refuse(in entry: JSON) throws {
    for name in ["video", "videos", "audio", "audios", "tools"] {
      guard let value = entry.member(name), !isNothing(value) else { continue }
      throw Rejection.unsupported(name)
    }
    for name in ["weight", "loss", "loss_scale"] {
      guard let value = entry.member(name), value != true, value.asDouble != 1 else { continue }
      throw Rejection("\"\(name)\" of a whole entry is not supported, but for 1")
    }
    if let objects = entry.member("objects"), !isNothing(objects),
      ["<bbox>", "<ref-object>"].contains(where: entry.text().holds)
    {
      throw Rejection("\"objects\" for <bbox> or <ref-object> is not supported")
    }
  }

  private static func isNothing(_ value: JSON) -> Bool {
    value == "" || value == [] || value == .object([:]) || value == false
      || value.asArray?.allSatisfy { $0 == .null || $0 == "" } == true
  }

  /// Whether a turn is a target: `loss` as ms-swift has it, `train` and `training` as axolotl,
  /// `weight` as OpenAI; also refuses what the chat template would leave out.
  static func isLearned(_ turn: JSON, _ role: Turn.Role) throws -> Bool {
    for name in [
      "tool_calls", "function_call", "video", "videos", "audio", "audios", "train_detail",
    ] {
      guard let value = turn.member(name), !isNothing(value) else { continue }
      throw Rejection("\"\(name)\" is not supported")
    }
    var words: [(name: String, isLearned: Bool)] = []
    for name in ["loss", "train", "training", "weight", "loss_scale", "loss_weight"] {
      guard let value = turn.member(name) else { continue }
      switch value.asBool.map({ $0 ? 1 : 0 }) ?? value.asDouble {
      case 0?: words.append((name, false))
      case 1?: words.append((name, true))
      default:
        throw Rejection(
          "\"\(name)\" is \(readable(value.text(), most: 40)), expected 0 or 1: a turn is learned "
            + "or not")
      }
      if role != .assistant, ["loss", "train", "training"].contains(name), words.last?.1 == true {
        throw Rejection("\"\(name)\" in a turn of the \(role.rawValue): only answers are learned")
      }
    }
    if let first = words.first, let other = words.first(where: { $0.isLearned != first.isLearned })
    {
      throw Rejection("\"\(first.name)\" and \"\(other.name)\" contradict each other")
    }
    return words.first?.isLearned ?? true
  }

  // MARK: Images

  /// The images that stand in `image` or `images` of an entry or a turn.
  static func images(_ value: JSON, _ size: RequestedSize) throws -> [NamedImage] {
    // Some data sets leave the path empty where there is no image.
    let lists = try [value.member("image"), value.member("images")].compactMap { member in
      guard let member, member != "" else { return nil as [NamedImage]? }
      return try member.asArray?.map { try image($0, size) } ?? [image(member, size)]
    }.filter { !$0.isEmpty }
    guard lists.allSatisfy({ $0 == lists[0] }) else {
      throw Rejection("\"image\" and \"images\" differ")
    }
    return lists.first ?? []
  }

  /// A path, or an object that holds one, or the bytes themselves.
  static func image(_ value: JSON, _ size: RequestedSize) throws -> NamedImage {
    // The hub's pictures have their bytes, and beside them the name that the file once had.
    let source = value.member("bytes", "data", "path", "url", "image", "image_url")
    if value.asString == nil, let source, source.asObject != nil { return try image(source, size) }
    let name = value.asString ?? source?.asString
    guard let name, !name.isEmpty else {
      throw Rejection("an image is \(name == nil ? value.kind : "an empty text"), expected a path")
    }
    return NamedImage(name: name, size: try self.size(value, over: size))
  }

  /// The size that stands beside an image, over one that stands further out.
  static func size(_ value: JSON, over outer: RequestedSize) throws -> RequestedSize {
    func number(_ name: String) throws -> Int? {
      guard let member = value.member(name) else { return nil }
      guard let number = member.asInt, number > 0 else {
        throw Rejection(
          "\"\(name)\" is \(readable(member.text(), most: 40)), expected a count of pixels")
      }
      return number
    }
    var size = outer
    size.minPixels = try number("min_pixels") ?? size.minPixels
    size.maxPixels = try number("max_pixels") ?? size.maxPixels
    size.height = try number("resized_height") ?? size.height
    size.width = try number("resized_width") ?? size.width
    return size
  }
}

extension JSON {
  /// The first of these members that is there and not null.
  func member(_ names: String...) -> JSON? {
    names.lazy.compactMap { self[$0] }.first { $0 != .null }
  }

  /// The member that stands under either of two names; both must not say different things.
  func only(_ one: String, _ other: String) throws -> JSON? {
    guard let first = member(one), let second = member(other), first != second else {
      return member(one, other)
    }
    throw Rejection("\"\(one)\" and \"\(other)\" differ")
  }
}
