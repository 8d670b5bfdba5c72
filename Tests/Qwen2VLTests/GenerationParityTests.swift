import Tensors
import Testing

@testable import Qwen2VL

/// Greedy decoding with cached keys continues as transformers' `generate(do_sample=False)`.
@Suite struct GenerationParityTests {
  private func prompt(_ goldens: Goldens, _ name: String) throws -> ModelSample {
    var sample = try goldens.modelSample(name)
    sample.inputIDs = Array(sample.inputIDs[..<(try #require(goldens.model.prompts[name]))])
    return sample
  }

  @Test(arguments: ["a", "b"]) func alone(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    for sample in goldens.model.cases {
      let expected = try goldens.int32s("generate/\(sample)")
      let found = try generateGreedily(
        model, prompts: [try prompt(goldens, sample)], maxNewTokens: expected.count, stop: [])
      #expect(found == [expected], "\(sample)")
    }
  }

  /// Several prompts at once, one of which ends early.
  @Test(arguments: ["a", "b"]) func sideBySide(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    let names = goldens.model.cases
    let expected = try names.map { try goldens.int32s("generate/\($0)") }
    let end = expected[1][2]
    let found = try generateGreedily(
      model, prompts: try names.map { try prompt(goldens, $0) }, maxNewTokens: 12, stop: [end])
    #expect(found == expected.map { Array($0.prefix { $0 != end }) })
  }

  /// A step's output is what the whole sequence gives at that place.
  @Test func cachedStepsEqualTheWholePass() throws {
    let goldens = try Goldens("b")
    let model = try goldens.load()
    let sample = try goldens.modelSample("one_image")
    let prompt = try self.prompt(goldens, "one_image")
    let tape = Tape(recording: false)
    let whole = model.forward(model.pack([sample]), tape: tape, layers: [1])
    let (session, first) = DecodingSession.start(
      model, prompts: [prompt], layers: [1], capacity: 8)
    let width = model.config.text.hiddenSize
    var output = first
    for place in prompt.inputIDs.count..<sample.inputIDs.count {
      for (found, all) in [(output.last, whole.last), (output.hidden[1], whole.hidden[1])] {
        let row = try #require(all).array[(place - 1) * width..<place * width]
        #expect(relativeDifference(try #require(found).array, Array(row)) < 1e-4, "\(place)")
      }
      output = session.step([sample.inputIDs[place]])
    }
  }
}
