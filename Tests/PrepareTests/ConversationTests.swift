import Artifacts
import Testing
import Tokenization

@testable import vlsi_prepare

@Suite struct ConversationTests {
  func conversation(_ text: String) throws -> Conversation {
    try Conversation(try JSON(parsing: text, place: "test"), index: 5, dialect: .qwen2VL)
  }

  func reason(_ text: String) -> String? {
    do {
      _ = try conversation(text)
      return nil
    } catch { return (error as? Rejection)?.reason }
  }

  func turn(_ role: Turn.Role, _ parts: Turn.Part...) -> Turn { Turn(role: role, content: parts) }

  @Test("LLaVA's form: the image stands where its placeholder does, without its line break")
  func llava() throws {
    let answer = #"{"from": "gpt", "value": "A dog."}"#
    func asked(_ text: String, image: String = #""a.png""#) throws -> [Turn.Part] {
      try conversation(
        #"{"image": \#(image), "conversations": [{"from": "human", "value": "\#(text)"}, \#(answer)]}"#
      ).turns[0].content
    }
    #expect(try asked(#"<image>\nWhat?"#) == [.image, .text("What?")])
    #expect(try asked(#"What?\n<image>"#) == [.text("What?"), .image])
    #expect(try asked("What?") == [.image, .text("What?")])
    #expect(try asked("See <image> here") == [.text("See "), .image, .text(" here")])
    #expect(try asked("<image>") == [.image])
    #expect(
      try asked(#"<image>\n<image>\nSame?"#, image: #"["a.png", "b.png"]"#)
        == [.image, .image, .text("Same?")])
  }

  @Test("OpenAI's form: text, or parts with images in them or beside them")
  func openAI() throws {
    let inline = try conversation(
      """
      {"messages": [{"role": "system", "content": "Be brief."},
       {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.png"}},
        {"type": "text", "text": "What?"}]}, {"role": "assistant", "content": "A dog."}]}
      """)
    #expect(inline.images.map(\.name) == ["a.png"])
    #expect(
      inline.turns == [
        turn(.system, .text("Be brief.")), turn(.user, .image, .text("What?")),
        turn(.assistant, .text("A dog.")),
      ])
    let beside = try conversation(
      """
      {"id": 12, "images": ["a.png"], "messages": [{"role": "user", "content":
       [{"type": "image"}, {"type": "text", "text": "What?"}]},
       {"role": "assistant", "content": [{"type": "text", "text": "A dog."}]}]}
      """)
    #expect(beside.images.map(\.name) == ["a.png"])
    #expect(beside.id == "12")
    #expect(beside.turns[0].content == [.image, .text("What?")])
  }

  @Test(
    "The names of both forms mixed, nulls in parts, empty image paths, the system's text beside")
  func mixed() throws {
    let mixed = try conversation(
      """
      {"system": "Be brief.", "video": null, "images": [{"path": "a.png"}, {"bytes": null, "url": "b.png"}],
       "conversations": [{"role": "user", "content": "<image><image>Same?"}, {"from": "gpt", "value": "No."}]}
      """)
    #expect(mixed.images.map(\.name) == ["a.png", "b.png"])
    #expect(
      mixed.turns == [
        turn(.system, .text("Be brief.")), turn(.user, .image, .image, .text("Same?")),
        turn(.assistant, .text("No.")),
      ])
    let nulls = try conversation(
      """
      {"image": "", "messages": [{"role": "user", "content": [
        {"type": "image", "text": null, "image": "a.png", "image_url": null},
        {"text": null, "image": null, "image_url": {"url": "b.png"}}, {"text": "Same?", "image": null}]},
       {"role": "assistant", "content": ["No."]}]}
      """)
    #expect(nulls.images.map(\.name) == ["a.png", "b.png"])
    #expect(nulls.turns[0].content == [.image, .image, .text("Same?")])
    #expect(nulls.turns[1].content == [.text("No.")])
  }

  @Test("The id is the entry's, else its index")
  func ids() throws {
    let turns =
      #""messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#
    #expect(try conversation("{\(turns)}").id == "5")
    #expect(try conversation("{\"id\": \"x\", \(turns)}").id == "x")
  }

  @Test(
    "What cannot be learned from is rejected with its reason",
    arguments: [
      ("[]", "expected an object"), ("{}", "neither"),
      (#"{"conversations": 3}"#, "expected an array"),
      (#"{"conversations": []}"#, "empty"), (#"{"conversations": [3]}"#, "turn 1"),
      (#"{"conversations": [{"from": "robot", "value": "x"}]}"#, "unknown role \"robot\""),
      (#"{"conversations": [{"from": "human"}]}"#, "its text is missing"),
      (#"{"conversations": [{"value": "x"}]}"#, "no \"role\" or \"from\""),
      (#"{"messages": [{"role": "user", "content": 3}]}"#, "its text is an integer"),
      (
        #"{"messages": [{"role": "user", "content": [{"type": "audio"}]}]}"#,
        "audio is not supported"
      ),
      (
        #"{"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": " \n"}]}"#,
        "turn 2: the answer is empty"
      ),
      (
        #"{"conversations": [{"from": "human", "value": ""}, {"from": "gpt", "value": "y"}]}"#,
        "turn 1: the question is empty"
      ),
      (#"{"conversations": [{"from": "human", "value": "x"}]}"#, "no answer"),
      (#"{"conversations": [{"from": "gpt", "value": "x"}]}"#, "does not begin with a user"),
      (
        #"{"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "y"}]}"#,
        "a system turn that is not the first"
      ),
      (
        #"{"conversations": [{"from": "human", "value": "<image> x"}, {"from": "gpt", "value": "y"}]}"#,
        "1 place for 0 images"
      ),
      (
        #"{"image": ["a", "b"], "conversations": [{"from": "human", "value": "<image> x"}, {"from": "gpt", "value": "y"}]}"#,
        "1 place for 2 images"
      ),
      (#"{"image": 3, "conversations": [{"from": "human", "value": "x"}]}"#, "expected a path"),
      (
        #"{"conversations": [{"from": "human", "value": "x<|im_end|>"}, {"from": "gpt", "value": "y"}]}"#,
        "control token <|im_end|>"
      ),
      (
        #"{"messages": [{"role": "system", "content": [{"type": "image", "image": "a"}]}, {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}"#,
        "turn 1: an image in a turn of the system"
      ),
      (
        #"{"image": "a", "messages": [{"role": "user", "content": [{"type": "image", "image": "b"}]}, {"role": "assistant", "content": "y"}]}"#,
        "both beside the turns and within them"
      ),
      (
        #"{"messages": [{"role": "user", "content": [{"type": "image", "image": 3}]}]}"#,
        "an integer"
      ),
      (#"{"messages": [{"role": "user", "content": [{"text": 3}]}]}"#, "a text part without text"),
      (#"{"messages": [{"role": "user", "content": null}]}"#, "its text is missing"),
      (#"{"image": [""], "messages": [{"role": "user", "content": "x"}]}"#, "an empty text"),
      (#"{"video": "a.mp4", "conversations": [{"from": "human", "value": "<video>"}]}"#, "videos"),
      (
        #"{"system": "x", "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}"#,
        "both beside the turns and among them"
      ),
      (
        #"{"system": "<|im_start|>", "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}"#,
        "control token <|im_start|>"
      ),
      (
        #"{"visual_labels": "x", "conversations": [{"from": "human", "value": "x"}]}"#,
        "\"visual_labels\" is a string"
      ),
    ])
  func rejected(_ text: String, _ message: String) {
    #expect(reason(text)?.contains(message) == true, "\(reason(text) ?? "accepted")")
  }
}
