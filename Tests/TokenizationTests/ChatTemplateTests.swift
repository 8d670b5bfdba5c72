import Artifacts
import Failures
import Testing

@testable import Tokenization

@Suite struct ChatTemplateTests {
  let tokenizer: Tokenizer
  let template: ChatTemplate

  init() throws {
    tokenizer = try Tokenizer(directory: Goldens.folder + "/checkpoint")
    template = try ChatTemplate(tokenizer: tokenizer)
  }

  func turns(_ value: JSON?) -> [Turn] {
    (value?.asArray ?? []).compactMap { message in
      guard let role = message["role"]?.asString.flatMap({ Turn.Role(rawValue: $0) }) else {
        return nil
      }
      return Turn(
        role: role,
        content: (message["content"]?.asArray ?? []).map {
          $0["text"]?.asString.map { .text($0) } ?? .image
        })
    }
  }

  @Test("Conversations render as Qwen2-VL's chat template does, images as runs of pads")
  func rendersAsReference() throws {
    for example in try #require(try Goldens.json("chat.json").asArray) {
      let counts = Goldens.ids(example["counts"]).map { Int($0) }
      let rendered = try template.render(
        turns(example["messages"]), imageTokenCounts: counts,
        generationPrompt: example["prompt"]?.asBool ?? false)
      #expect(rendered.ids == Goldens.ids(example["ids"]))
      #expect(rendered.supervised.count == rendered.ids.count)
      #expect(rendered.segments.isEmpty)
      for (start, count) in zip(rendered.imageStarts, counts) {
        #expect(rendered.ids[start..<start + count].allSatisfy { $0 == template.imagePad })
        #expect(rendered.ids[start - 1] == tokenizer.id(ofToken: "<|vision_start|>"))
        #expect(rendered.ids[start + count] == tokenizer.id(ofToken: "<|vision_end|>"))
      }
    }
  }

  @Test(
    "Other families' conversations render as their templates do",
    arguments: [
      ("qwen2_5_vl", "checkpoint", ChatDialect.qwen2VL), ("qwen3_vl", "checkpoint", .qwen3VL),
      ("llava_onevision", "checkpoint-onevision", .llavaOneVision),
    ])
  func families(family: String, folder: String, dialect: ChatDialect) throws {
    let tokenizer = try Tokenizer(directory: Goldens.folder + "/" + folder)
    let template = try ChatTemplate(tokenizer: tokenizer, form: ChatForm(dialect))
    let examples = try #require(try Goldens.json("chat-\(family).json").asArray)
    #expect(examples.count > 8)
    for (number, example) in examples.enumerated() {
      let turns = turns(example["messages"])
      let faulty = turns.enumerated().contains { dialect.fault(of: $1, isFirst: $0 == 0) != nil }
      func rendered() throws -> Rendered {
        try template.render(
          turns, imageTokenCounts: Goldens.ids(example["counts"]).map { Int($0) },
          generationPrompt: example["prompt"]?.asBool ?? false)
      }
      // What the template would leave out is refused.
      if faulty {
        #expect(throws: Failure.self) { try rendered() }
      } else {
        #expect(try rendered().ids == Goldens.ids(example["ids"]), "example \(number)")
      }
    }
  }

  @Test("Targets are the answers and their closing token, nothing else")
  func targets() throws {
    let rendered = try template.render(
      [
        Turn(role: .user, content: [.image, .text("What?")]), Turn(role: .assistant, "A circle."),
        Turn(role: .user, "Which colour?"), Turn(role: .assistant, "Red."),
      ], imageTokenCounts: [3])
    let targets = zip(rendered.ids, rendered.supervised).filter { $0.1 == 1 }.map(\.0)
    #expect(tokenizer.decode(targets) == "A circle.<|im_end|>Red.<|im_end|>")
  }

  @Test("An independent question with its prefix is the conversation of that question alone")
  func independentQuestions() throws {
    let questions = [("What?", "A circle."), ("Which colour?", "Red."), (" How many?", "3")]
    let shared = Turn(role: .system, "Be brief.")
    var turns = [shared]
    for (index, (question, answer)) in questions.enumerated() {
      turns.append(Turn(role: .user, content: (index == 0 ? [.image] : []) + [.text(question)]))
      turns.append(Turn(role: .assistant, answer))
    }
    let all = try template.render(turns, imageTokenCounts: [4], independentQuestions: true)
    #expect(all.segments.count == all.ids.count)
    #expect(Set(all.segments) == [0, 1, 2, 3])
    #expect(zip(all.segments, all.segments.dropFirst()).allSatisfy { $0 <= $1 })
    for (index, (question, answer)) in questions.enumerated() {
      let alone = try template.render(
        [
          shared, Turn(role: .user, content: [.image, .text(question)]),
          Turn(role: .assistant, answer),
        ], imageTokenCounts: [4])
      let seen = all.segments.indices.filter {
        all.segments[$0] == 0 || all.segments[$0] == Int32(index + 1)
      }
      // Alone, a line break follows the answer; nothing sees it.
      let length = alone.ids.count - tokenizer.encode("\n").count
      #expect(seen.map { all.ids[$0] } == Array(alone.ids[..<length]))
      #expect(seen.map { all.supervised[$0] } == Array(alone.supervised[..<length]))
    }
  }

  @Test("Text that spells a control token is refused, not obeyed")
  func forgedTurns() throws {
    for token in ChatDialect.qwen2VL.controlTokens {
      let turns = [Turn(role: .user, "hi \(token)"), Turn(role: .assistant, "ok")]
      #expect { try template.render(turns, imageTokenCounts: []) } throws: {
        ($0 as? Failure)?.code == .badData && "\($0)".contains(token)
      }
    }
  }

  @Test("Images without counts, counts without images, questions out of turn: refused")
  func mismatches() throws {
    let image = Turn(role: .user, content: [.image, .text("?")])
    #expect(throws: Failure.self) { try template.render([image], imageTokenCounts: []) }
    #expect(throws: Failure.self) {
      try template.render([Turn(role: .user, "?")], imageTokenCounts: [4])
    }
    for turns in [[image], [image, image], [Turn(role: .assistant, "ok"), image]] {
      #expect(throws: Failure.self) {
        try template.render(
          turns, imageTokenCounts: turns.filter { $0.role == .user }.map { _ in 4 },
          independentQuestions: true)
      }
    }
  }
}
