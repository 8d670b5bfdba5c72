import Imaging
import Models
import StageKit
import Testing
import Tokenization

@testable import vlsi_prepare

@Suite struct ContextTests {
  /// What comes of an entry at a context, nil where it is rejected for its length.
  func sample(
    _ entry: String, _ context: Int, _ change: (inout PrepareSettings) -> Void = { _ in }
  ) throws -> (ids: [Int32], supervised: [UInt8], imageTokens: Int)? {
    let parts = try CheckpointProcessor(directory: Program.goldens + "/checkpoint")
    var processor = parts.images
    processor.minPixels = 1024
    var settings = PrepareSettings()
    settings.context = context
    settings.tooLong = .cut
    change(&settings)
    let builder = SampleBuilder(
      parts: parts, processor: processor,
      settings: settings, images: ImageFolder(path: Program.images), dataset: "data")
    switch builder.build(.init(index: 0, line: 1, bytes: Array(entry.utf8))).outcome {
    case .sample(let record, let totals):
      return (
        try record.tensor("input_ids").int32s(), try record.tensor("supervised").bytes,
        totals.imageTokens
      )
    case .reject(let reject):
      #expect(reject.reason.contains("the context holds \(context)"), "\(reject.reason)")
      return nil
    case .failure(let failure): throw failure
    }
  }

  @Test("Whatever the context, a sample keeps its images whole or is rejected, and keeps an answer")
  func everyContext() throws {
    let entry = """
      {"images": ["rgb.png", "exif6.jpg"], "conversations": [
       {"from": "human", "value": "<image>\\nWhat is this, then?"}, {"from": "gpt", "value": "A red circle."},
       {"from": "human", "value": "And <image> this?"}, {"from": "gpt", "value": "Two of them."}]}
      """
    let tokenizer = try Tokenizer(directory: Program.goldens + "/checkpoint")
    let pad = try #require(tokenizer.id(ofToken: "<|image_pad|>"))
    let end = try #require(tokenizer.id(ofToken: "<|vision_end|>"))
    let whole = try #require(try sample(entry, 10_000))
    let last = try #require(whole.ids.lastIndex(of: end))
    #expect(whole.imageTokens > 4)
    var kept = 0
    for context in 8...whole.ids.count {
      guard let cut = try sample(entry, context) else { continue }
      kept += 1
      #expect(cut.ids == Array(whole.ids.prefix(context)))
      #expect(cut.supervised == Array(whole.supervised.prefix(context)))
      #expect(cut.ids.count { $0 == pad } == cut.imageTokens)
      #expect(cut.imageTokens == whole.imageTokens)
      #expect(cut.supervised.contains(1))
    }
    // As soon as the last image is whole, for the first answer stands before it.
    #expect(kept == whole.ids.count - last)
    // Told to reject, every one of them.
    for context in [8, last, whole.ids.count - 1] {
      #expect(try sample(entry, context) { $0.tooLong = .reject } == nil)
    }
    #expect(try sample(entry, whole.ids.count) { $0.tooLong = .reject } != nil)
  }
}
