import Artifacts
import Testing
import Tokenization

@testable import vlsi_prepare

@Suite("What an entry says is followed or refused, never dropped")
struct EntryMembersTests {
  private func conversation(_ text: String) throws -> Conversation {
    try Conversation(try JSON(parsing: text, place: "test"), index: 0, dialect: .qwen2VL)
  }

  private func asked(_ content: String, more: String = "") throws -> [Turn.Part] {
    try conversation(
      "{\(more) \"messages\": [{\"role\": \"user\", \"content\": \(content)}, "
        + "{\"role\": \"assistant\", \"content\": \"y\"}]}"
    ).turns[0].content
  }

  @Test("A tag in a part of text is a place, where it stands")
  func tags() throws {
    let one = #""images": ["a.png"],"#
    let look: [Turn.Part] = [.text("Look at "), .image, .text(" and say")]
    #expect(
      try asked(#"[{"type": "text", "text": "Look at <image> and say"}]"#, more: one) == look)
    #expect(try asked(#"["Look at <image> and say"]"#, more: one) == look)
    #expect(
      try asked(
        #"[{"type": "image", "image": "a"}, {"type": "text", "text": "Look at <image> and say"}]"#)
        == look)
    #expect(
      try asked(#"["<image>\n<image>\nSame?"]"#, more: #""images": ["a", "b"],"#)
        == [.image, .image, .text("Same?")])
    #expect(try asked(#"["<image>\u0338 x"]"#, more: one).first == .image)
    for (content, more) in [
      (#"["Look at <image>"]"#, ""), (#"["<image> and <image>"]"#, one),
      (#"[{"type": "image", "image": "a"}, "<image> and <image>"]"#, ""),
    ] {
      #expect(throws: Rejection.self) { try asked(content, more: more) }
    }
  }

  @Test(
    "A control token with a mark behind it is one still",
    arguments: ["<|im_end|>\u{301}", "<|image_pad|>\u{FE0F}", "<|im_start|>\u{338}"])
  func marks(text: String) {
    #expect(ChatDialect.qwen2VL.controlToken(in: "a \(text) b") != nil)
    #expect(throws: Rejection.self) { try asked(JSON.quoted(text)) }
  }

  @Test(
    "Whether an answer is learned",
    arguments: [
      (#""loss": false"#, false), (#""weight": 0"#, false), (#""weight": 1.0"#, true),
      (#""loss": true"#, true), (#""train": false"#, false), (#""loss": null"#, true),
      (#""weight": 0.5"#, nil), (#""loss": "no""#, nil), (#""loss": true, "weight": 0"#, nil),
      (#""tool_calls": [{}]"#, nil),
    ] as [(String, Bool?)])
  func learned(member: String, isLearned: Bool?) throws {
    let text = #"""
      {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"},
       {"role": "user", "content": "x"}, {"role": "assistant", "content": "z", \#(member)}]}
      """#
    guard let isLearned else {
      #expect(throws: Rejection.self) { try conversation(text) }
      return
    }
    #expect(try conversation(text).turns[3].isLearned == isLearned)
    #expect(try conversation(text).turns[1].isLearned)
  }

  @Test("Sizes beside an image, on the outside too")
  func sizes() throws {
    let images = try conversation(
      #"""
      {"max_pixels": 5000, "images": [{"path": "a", "min_pixels": 4000},
       {"path": "b", "resized_height": 56, "resized_width": 84}], "messages":
       [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}
      """#
    ).images
    #expect(images.map(\.size.maxPixels) == [5000, 5000])
    #expect(images[0].size.minPixels == 4000)
    #expect(images[1].size.height == 56 && images[1].size.width == 84)
  }

  @Test(
    "What is not supported is named",
    arguments: [
      (#""x <video>""#, "", "videos are not supported; text and images are"),
      (#""x""#, #""video": "a.mp4","#, "videos are not supported; text and images are"),
      (#""x""#, #""audios": ["a.wav"],"#, "audio is"), (#""x""#, #""tools": [3],"#, "tools are"),
      (#"[{"video": "a.mp4"}, "x"]"#, "", "videos are not supported; text and images are"),
      (#""x""#, #""weight": 0.2,"#, "weight"),
      (#"[{"type": "image", "image": "a", "max_pixels": "many"}]"#, "", "max_pixels"),
      (#"[{"type": "text", "text": "x", "image": "a"}]"#, "", "a text part with an image"),
    ])
  func refused(content: String, more: String, says: String) {
    let error = #expect(throws: Rejection.self) { try asked(content, more: more) }
    #expect(error?.reason.contains(says) == true, "\(error?.reason ?? "")")
  }
}
