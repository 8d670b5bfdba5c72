import Artifacts
import Failures
import Foundation
import Imaging
import Models
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

  struct Built: Sendable {
    var outcome: Outcome
    /// Of the image files that were looked at, for a sample or in vain.
    var images: [ImageStamp]
  }

  /// Of the model that the samples are for.
  let parts: CheckpointProcessor
  /// The model's, within the preset's bounds.
  let processor: ImageProcessor
  let settings: PrepareSettings
  let images: ImageFolder
  let dataset: String

  private var tokenizer: Tokenizer { parts.tokenizer }
  private var template: ChatTemplate { parts.template }

  func build(_ entry: DatasetReader.Entry) -> Built {
    var images: [ImageStamp] = []
    let outcome = outcome(entry, &images)
    return Built(outcome: outcome, images: images)
  }

  private func outcome(_ entry: DatasetReader.Entry, _ stamps: inout [ImageStamp]) -> Outcome {
    do {
      let conversation = try Conversation(
        try parse(entry), index: entry.index, dialect: template.dialect)
      do {
        let (record, totals) = try sample(conversation, index: entry.index, &stamps)
        return .sample(record, totals)
      } catch var rejection as Rejection {
        rejection.id = conversation.id
        throw rejection
      }
    } catch let rejection as Rejection {
      return .reject(
        Reject(
          index: entry.index, part: entry.part, line: entry.line,
          id: rejection.id.map { readable($0) }, reason: rejection.reason))
    } catch let failure as Failure {
      return .failure(failure)
    } catch {
      return .failure(Failure(.software, "\(error)", at: "\(entry.file), line \(entry.line)"))
    }
  }

  private func parse(_ entry: DatasetReader.Entry) throws -> JSON {
    do {
      return try JSON(parsing: entry.bytes, place: entry.file, firstLine: entry.line)
    } catch let failure as Failure {
      throw Rejection("\(failure)")
    }
  }

  // MARK: One sample

  private func sample(
    _ conversation: Conversation, index: Int, _ stamps: inout [ImageStamp]
  ) throws -> (Record, Totals) {
    var tensors: [String: RawTensor] = [:]
    var grids: [Int32] = []
    var sizes: [Int32] = []
    var counts: [Int] = []
    for (number, named) in conversation.images.enumerated() {
      let (image, grid) = try prepared(
        named, isAlone: conversation.images.count == 1, &stamps)
      guard let count = parts.config.imageTokens(grid) else {
        throw Rejection("image \(number + 1): \(grid) is no grid of the model's images")
      }
      grids += [Int32(grid.time), Int32(grid.height), Int32(grid.width)]
      sizes += [Int32(grid.original?.height ?? 0), Int32(grid.original?.width ?? 0)]
      counts.append(count)
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
    if processor.tiling != nil {
      tensors["image_size"] = RawTensor(int32: sizes, shape: [counts.count, 2])
    }
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

  private func prepared(
    _ named: NamedImage, isAlone: Bool, _ stamps: inout [ImageStamp]
  ) throws -> (pixels: RGBImage, grid: ImageGrid) {
    do {
      let place = InlineImage.stands(in: named.name) ? "data" : readable(named.name)
      let image = try processor.fetched(
        try images.image(named.name, &stamps), at: named.size, place: place)
      return try processor.prepared(image, isAlone: isAlone, place: place)
    } catch let failure as Failure {
      throw Rejection("image \(failure)")
    }
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
    let visionEnd =
      zip(rendered.imageStarts, counts).map { $0 + $1 + template.imageEndCount }.max() ?? 0
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
        var members: [String: JSON] = [
          "role": .string(turn.role.rawValue), "content": .string(content.joined()),
        ]
        if !turn.isLearned { members["loss"] = false }
        return .object(members)
      }
    ).text()
  }
}
