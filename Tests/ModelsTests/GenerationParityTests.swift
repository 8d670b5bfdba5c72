import Tensors
import Testing

@testable import Decoding
@testable import Models

/// Answers are those of transformers' `generate`: with the two tiny golden checkpoints, and with one
/// that has Qwen2-VL's real vocabulary.
@Suite struct GenerationParityTests {
  @Test(arguments: Goldens.models) func alone(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    for sample in goldens.model.cases {
      let expected = try goldens.int32s("generate/\(sample)")
      let found = try model.generate(
        [try goldens.prompt(sample)],
        GenerationSettings(maxNewTokens: expected.count, stop: []))
      #expect(found.map(\.tokens) == [expected], "\(sample)")
    }
  }

  /// Several prompts at once, one of which ends early.
  @Test(arguments: Goldens.models) func sideBySide(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    let names = goldens.model.cases
    let expected = try names.map { try goldens.int32s("generate/\($0)") }
    let end = expected[1][2]
    var streamed = [[Int32]](repeating: [], count: names.count)
    let found = try model.generate(
      try names.map { try goldens.prompt($0) }, GenerationSettings(maxNewTokens: 12, stop: [end]),
      between: {}
    ) { streamed[$0].append($1) }
    #expect(found.map(\.tokens) == expected.map { Array($0.prefix { $0 != end }) })
    #expect(found.map(\.end) == expected.map { $0.contains(end) ? .stop : .length })
    #expect(streamed == found.map(\.tokens))
  }

  @Test(arguments: ["qwen2.5", "qwen3", "onevision"]) func fiveBeams(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    for sample in goldens.model.cases {
      let expected = try goldens.int32s("beams/\(sample)")
      let stop = try #require(goldens.model.stops?[sample])
      let found = try model.generate(
        [try goldens.prompt(sample)],
        GenerationSettings(
          method: .beams(BeamSearch(beams: 5)), maxNewTokens: expected.count, stop: Set(stop)))
      #expect(found[0].tokens == expected.filter { $0 >= 0 }, "\(sample)")
    }
  }

  @Test func greedyInTheRealVocabulary() throws {
    let goldens = try GenerationGoldens(), model = try FormulaModel.load()
    #expect(goldens.greedy.count == 20)
    for expected in goldens.greedy {
      var settings = GenerationSettings(
        maxNewTokens: goldens.newTokens, stop: Set(expected.stop))
      settings.repetitionPenalty = expected.repetitionPenalty
      let found = try model.generate([goldens.sample(expected.prompt)], settings)[0]
      #expect(found.tokens == expected.ids, "prompt \(expected.prompt)")
      #expect((found.end == .stop) == expected.stopped, "prompt \(expected.prompt)")
    }
  }

  @Test func fiveBeamsInTheRealVocabulary() throws {
    let goldens = try GenerationGoldens(), model = try FormulaModel.load()
    #expect(goldens.beams.count == 30)
    for expected in goldens.beams {
      let search = BeamSearch(
        beams: 5, lengthPenalty: expected.lengthPenalty,
        earlyStopping: try #require(.init(rawValue: expected.earlyStopping)))
      var settings = GenerationSettings(
        method: .beams(search), maxNewTokens: goldens.newTokens, stop: Set(expected.stop))
      settings.repetitionPenalty = expected.repetitionPenalty
      let found = try model.generate([goldens.sample(expected.prompt)], settings)[0]
      let place: Comment = "prompt \(expected.prompt), \(expected.lengthPenalty)"
      #expect(found.tokens == expected.ids, place)
      #expect((found.end == .stop) == expected.stopped, place)
      let score = try #require(found.score)
      #expect(abs(score - expected.score) < 1e-4 * max(1, abs(expected.score)), place)
    }
  }

  /// Searches side by side find what each finds alone, though they end at different steps.
  @Test func beamsSideBySide() throws {
    let goldens = try GenerationGoldens(), model = try FormulaModel.load()
    let settings = GenerationSettings(
      method: .beams(BeamSearch(beams: 5)), maxNewTokens: goldens.newTokens,
      stop: [95_051, 81_284, 130_662])
    let prompts = [2, 7, 8, 14].map(goldens.sample)
    let together = try model.generate(prompts, settings)
    let apart = try prompts.map { try model.generate([$0], settings)[0].tokens }
    #expect(together.map(\.tokens) == apart)
    #expect(Set(together.map(\.tokens.count)).count > 2)
  }

  /// One beam is the greedy answer.
  @Test func oneBeam() throws {
    let goldens = try GenerationGoldens(), model = try FormulaModel.load()
    for expected in goldens.greedy where expected.repetitionPenalty == 1 && !expected.stopped {
      let settings = GenerationSettings(
        method: .beams(BeamSearch(beams: 1)), maxNewTokens: goldens.newTokens,
        stop: Set(expected.stop))
      let found = try model.generate([goldens.sample(expected.prompt)], settings)[0]
      #expect(found.tokens == expected.ids, "prompt \(expected.prompt)")
    }
  }

  /// No answer goes beyond the model's positions, whatever its neighbours may still say.
  @Test func positionsBoundAnAnswer() throws {
    let goldens = try GenerationGoldens(), model = try FormulaModel.load()
    let short = goldens.sample(1)
    var long = short
    long.inputIDs = Array(repeating: 17, count: 251)
    #expect(model.room(after: long) == 5)
    for method in [GenerationSettings.Method.greedy, .beams(BeamSearch(beams: 2))] {
      let settings = GenerationSettings(method: method, maxNewTokens: 9, stop: [])
      let found = try model.generate([long, short], settings)
      #expect(found.map(\.tokens.count) == [5, 9])
    }
    long.inputIDs = Array(repeating: 17, count: 300)
    let found = try model.generate(
      [long, short], GenerationSettings(maxNewTokens: 3, stop: []))
    #expect(found.map(\.tokens.count) == [0, 3])
  }
}
