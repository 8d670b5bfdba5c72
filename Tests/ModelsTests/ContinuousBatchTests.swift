import Kernels
import Tensors
import Testing

@testable import Decoding
@testable import Models

/// Prompts that share a beginning, and prompts that take the seats of others, are answered as each is
/// alone.
@Suite struct ContinuousBatchTests {
  /// Several questions about the picture of each case, of several lengths, some of them twice.
  private func prompts(_ goldens: Goldens) throws -> [ModelSample] {
    try goldens.model.cases.flatMap { name in
      let prompt = try goldens.prompt(name)
      let endings: [[Int32]] = [[], [5, 9, 2], [5, 9], [7, 7, 7, 7, 7, 7, 3], [5, 9]]
      return endings.map { ending in
        var sample = prompt
        sample.inputIDs += ending
        return sample
      }
    }
  }

  /// By whole passes over prompt and answer.
  private func uncached(
    _ model: VisionLanguageModel, _ prompt: ModelSample, count: Int
  ) throws -> [Int32] {
    let tape = Tape(recording: false)
    var sample = prompt
    for _ in 0..<count {
      let output = try model.forward(
        model.pack([sample]), tape: tape, rows: [sample.inputIDs.count - 1])
      let logits = model.logits(output.last, tape: tape)
      sample.inputIDs.append(Int32(indexOfMaximum(logits.values, logits.columns)))
    }
    return Array(sample.inputIDs[prompt.inputIDs.count...])
  }

  @Test(arguments: Goldens.models) func whatIsSharedIsRunOnce(model name: String) throws {
    let goldens = try Goldens(name), model = try goldens.load()
    let prompts = try prompts(goldens)
    let groups = SharedPrompt.grouping(prompts, imageToken: Int32(model.config.imageTokenID))
    #expect(groups.map(\.endings.count).reduce(0, +) == prompts.count)
    #expect(groups.count <= goldens.model.cases.count + 1, "\(groups.map(\.endings.count))")
    // Beginning and ending are the prompt again.
    let again = groups.flatMap { group in
      group.endings.map { (group.beginning?.inputIDs ?? []) + $0 }
    }
    #expect(again == prompts.map(\.inputIDs))
    let found = try model.generate(prompts, GenerationSettings(maxNewTokens: 6, stop: []))
    #expect(try found.map(\.tokens) == prompts.map { try uncached(model, $0, count: 6) })
  }

  @Test func picturesAreNotMixedUp() throws {
    let goldens = try Goldens("a"), model = try goldens.load()
    let one = try goldens.prompt("one_image")
    var other = one
    for place in other.images[0].patches.indices { other.images[0].patches[place] *= -1 }
    let groups = SharedPrompt.grouping(
      [one, other, one], imageToken: Int32(model.config.imageTokenID))
    #expect(groups.count == 3)
    let settings = GenerationSettings(maxNewTokens: 8, stop: [])
    let found = try model.generate([one, other, one], settings).map(\.tokens)
    #expect(found[0] == found[2] && found[0] != found[1])
    // What stands before the last visual token differs.
    var early = one
    early.inputIDs[0] = one.inputIDs[0] == 3 ? 4 : 3
    #expect(
      SharedPrompt.grouping([one, early], imageToken: Int32(model.config.imageTokenID)).count == 2)
  }

  @Test(arguments: [(1, Int.max), (2, .max), (3, 60), (7, 200), (64, 1)])
  func seatsAreTakenAgain(answers: Int, tokens: Int) throws {
    let goldens = try Goldens("a"), model = try goldens.load()
    let prompts = try prompts(goldens)
    let alone = try prompts.map {
      try model.generate([$0], GenerationSettings(maxNewTokens: 9, stop: []))[0].tokens
    }
    let stop: Set<Int32> = [alone[1][2], alone[7][4]]
    for beams in [1, 3] {
      var settings = GenerationSettings(maxNewTokens: 9, stop: stop)
      if beams > 1 { settings.method = .beams(BeamSearch(beams: beams)) }
      let expected = try prompts.map { try model.generate([$0], settings)[0] }
      var waiting = SharedPrompt.grouping(prompts, imageToken: Int32(model.config.imageTokenID))[
        ...]
      var found = [Answer?](repeating: nil, count: prompts.count)
      var order: [Int] = []
      var spoken = 0, steps = 0
      try model.answer(
        readouts: [model.readout], settings, bounds: BatchBounds(answers: answers, tokens: tokens),
        name: { "\($0)" },
        between: {
          #expect(spoken <= answers)
          spoken = 0
          steps += 1
        }, onToken: { _, _ in spoken += 1 }, next: { waiting.popFirst() }
      ) {
        found[$0] = $1
        order.append($0)
      }
      #expect(found.map { $0?.tokens } == expected.map(\.tokens))
      #expect(found.map { $0?.end } == expected.map(\.end))
      if beams == 1 {
        // Every step gives each growing answer a token, or the word that it ends.
        let needed = expected.map { $0.tokens.count + ($0.end == .stop ? 1 : 0) }
        if answers == 1 { #expect(steps == needed.reduce(0, +)) }
        if answers > 1, tokens == .max {
          #expect(Double(steps) <= Double(needed.reduce(0, +)) / Double(answers) + 9)
        }
        if answers == 7 { #expect(order != order.sorted(), "no answer overtook another") }
      }
    }
  }

  /// One that has no room is answered with nothing, wherever it stands.
  @Test func noRoom() throws {
    let goldens = try GenerationGoldens(), model = try FormulaModel.load()
    var long = goldens.sample(1)
    long.inputIDs = Array(repeating: 17, count: 256)
    var cut = long
    cut.inputIDs.removeLast(3)
    let settings = GenerationSettings(maxNewTokens: 5, stop: [])
    let found = try model.generate([long, goldens.sample(2), cut, long], settings)
    #expect(found.map(\.tokens.count) == [0, 5, 3, 0])
  }
}
