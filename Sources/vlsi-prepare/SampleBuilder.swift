import Artifacts
import Failures
import Foundation
import Imaging
import StageKit
import Tokenization

/// Makes samples of the data set's entries. One value serves all threads.
struct SampleBuilder: Sendable {
  enum Outcome: Sendable {
    case sample(Record, Totals)
    case reject(Reject)
    /// The file as a whole cannot be read on.
    case failure(Failure)
  }

  let tokenizer: Tokenizer
  let template: ChatTemplate
  let processor: ImageProcessor
  let settings: PrepareSettings
  /// Where relative image paths start.
  let images: String
  let dataset: String
  let form: DatasetReader.Form

  func build(_ entry: DatasetReader.Entry) -> Outcome {
    do {
      let value = try parse(entry)
      let conversation = try Conversation(value, index: entry.index)
      do {
        let (record, totals) = try sample(conversation, index: entry.index)
        return .sample(record, totals)
      } catch var rejection as Rejection {
        rejection.id = conversation.id
        throw rejection
      }
    } catch let rejection as Rejection {
      return .reject(
        Reject(index: entry.index, line: entry.line, id: rejection.id, reason: rejection.reason))
    } catch let failure as Failure {
      return .failure(failure)
    } catch {
      return .failure(Failure(.software, "\(error)", at: "\(dataset), line \(entry.line)"))
    }
  }

  private func parse(_ entry: DatasetReader.Entry) throws -> JSON {
    do {
      return try JSON(parsing: entry.bytes, place: dataset)
    } catch let failure as Failure {
      // A line stands for itself; in an array nobody knows where the next entry starts.
      if form == .lines {
        throw Rejection("invalid JSON; expected \(failure.expected ?? "a value")")
      }
      // Parsed again behind as many lines as stand before it, for an error that names the line.
      let lines = [UInt8](repeating: 0x0A, count: entry.line - 1)
      return try JSON(parsing: lines + entry.bytes, place: dataset)
    }
  }

  // MARK: One sample

  private func sample(
    _ conversation: Conversation, index: Int
  ) throws -> (Record, Totals) {
    var tensors: [String: RawTensor] = [:]
    var grids: [Int32] = []
    var counts: [Int] = []
    for (number, name) in conversation.images.enumerated() {
      let image = try resized(name)
      let grid = processor.grid(image)
      grids += [Int32(grid.t), Int32(grid.h), Int32(grid.w)]
      counts.append(processor.tokens(grid))
      tensors["pixels.\(number)"] = RawTensor(
        uint8: image.pixels, shape: [image.height, image.width, 3])
    }
    var rendered = try render(conversation, counts)
    try fit(&rendered, counts)
    let length = rendered.ids.count
    let supervised = rendered.supervised.reduce(0) { $0 + Int($1) }
    guard supervised > 0 || conversation.visualLabels != nil else {
      throw Rejection("no answer to learn from")
    }
    tensors["input_ids"] = RawTensor(int32: rendered.ids, shape: [length])
    tensors["supervised"] = RawTensor(uint8: rendered.supervised, shape: [length])
    tensors["image_grid"] = RawTensor(int32: grids, shape: [counts.count, 3])
    if !rendered.segments.isEmpty {
      tensors["segments"] = RawTensor(int32: rendered.segments, shape: [length])
    }
    if let words = conversation.visualLabels {
      let labels = try labels(words, rendered, counts)
      tensors["labels"] = RawTensor(int32: labels, shape: [length])
    }
    let record = Record(
      index: index, tensors: tensors,
      metadata: ["id": conversation.id, "turns": conversation.text])
    let totals = Totals(
      samples: 1, tokens: length, supervised: supervised, imageTokens: counts.reduce(0, +),
      images: counts.count)
    return (record, totals)
  }

  private func resized(_ name: String) throws -> RGBImage {
    do {
      return try processor.resize(try read(name))
    } catch let failure as Failure {
      throw Rejection("image \(failure)")
    }
  }

  private func read(_ name: String) throws -> RGBImage {
    if name.hasPrefix("data:") {
      guard let comma = name.firstIndex(of: ","), name[..<comma].hasSuffix(";base64"),
        let data = Data(base64Encoded: String(name[name.index(after: comma)...]))
      else { throw Rejection("an image's data: URL is not base64") }
      return try RGBImage(decoding: [UInt8](data), place: "data: URL")
    }
    if name.hasPrefix("http://") || name.hasPrefix("https://") {
      throw Rejection("image \(name): images are not fetched, only read from files")
    }
    let path = name.hasPrefix("file://") ? String(name.dropFirst(7)) : name
    return try RGBImage(contentsOf: path.hasPrefix("/") ? path : images + "/" + path)
  }

  private func render(_ conversation: Conversation, _ counts: [Int]) throws -> Rendered {
    if let lost = tokenizer.unwritable(in: conversation.turns.map(\.text).joined()) {
      throw Rejection("the tokenizer has no token for \"\(lost)\"")
    }
    do {
      // Visual labels belong to one pass over the conversation as it stands.
      return try template.render(
        conversation.turns, imageTokenCounts: counts,
        independentQuestions: settings.questions == .independent
          && conversation.visualLabels == nil)
    } catch let failure as Failure {
      throw Rejection(failure.description)
    }
  }

  /// Keeps a sample within the context, by the preset's rule.
  private func fit(_ rendered: inout Rendered, _ counts: [Int]) throws {
    let length = rendered.ids.count
    guard length > settings.context else { return }
    let tooLong = Rejection("\(length) tokens, the context holds \(settings.context)")
    guard settings.tooLong == .cut else { throw tooLong }
    var end = settings.context
    if let last = rendered.segments.dropFirst(end).first {
      // A question goes whole: half an answer would be learned as a whole one.
      end = rendered.segments.firstIndex(of: last) ?? 0
      if last == 0 { end = 0 }
    }
    let visionEnd = zip(rendered.imageStarts, counts).map { $0 + $1 + 1 }.max() ?? 0
    guard end >= visionEnd, rendered.supervised[..<end].contains(1) else { throw tooLong }
    rendered.ids.removeSubrange(end...)
    rendered.supervised.removeSubrange(end...)
    if !rendered.segments.isEmpty { rendered.segments.removeSubrange(end...) }
  }

  /// The label at each position: a word's token at its visual token, -100 elsewhere. [n]
  private func labels(
    _ words: [String?], _ rendered: Rendered, _ counts: [Int]
  ) throws -> [Int32] {
    guard let start = rendered.imageStarts.first, let count = counts.first else {
      throw Rejection("visual labels without an image")
    }
    guard words.count == count else {
      throw Rejection("\(words.count) visual labels for \(count) visual tokens")
    }
    var labels = [Int32](repeating: -100, count: rendered.ids.count)
    for (offset, word) in words.enumerated() {
      guard let word else { continue }
      let ids = tokenizer.encode(word)
      guard ids.count == 1, let id = ids.first else {
        throw Rejection("the visual label \"\(word)\" is \(ids.count) tokens, expected one")
      }
      labels[start + offset] = id
    }
    return labels
  }
}

extension Conversation {
  /// The turns as JSON, images as placeholders: what the record keeps for people to read.
  var text: String {
    JSON.array(
      turns.map { turn in
        let content = turn.content.map { part in
          if case .text(let text) = part { text } else { Conversation.placeholder }
        }
        return ["role": .string(turn.role.rawValue), "content": .string(content.joined())]
      }
    ).text()
  }
}
