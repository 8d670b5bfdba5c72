import Distillation
import Kernels
import Tensors
import Testing

@testable import Decoding
@testable import Models

/// Layers that speak through verbalizers say what they would say without a cache: each continues its
/// own answer, whoever answers beside it.
@Suite struct ReadoutTests {
  private let goldens: Goldens
  private let model: VisionLanguageModel

  init() throws {
    goldens = try Goldens("a")
    model = try goldens.load()
  }

  /// A verbalizer that changes what it reads.
  private func verbalizer(
    _ layer: Int, _ architecture: VerbalizerForm.Architecture
  ) -> Verbalizer {
    let form = VerbalizerForm(
      architecture: architecture, residual: false,
      backbone: model.config.text.block)
    return Verbalizer(layer: layer, form: form, finalNorm: model.finalNorm.array, seed: 4)
  }

  /// The answer by whole passes over prompt and answer.
  private func uncached(
    _ prompt: ModelSample, _ verbalizer: Verbalizer?, count: Int
  ) throws -> [Int32] {
    let tape = Tape(recording: false)
    var sample = prompt
    for _ in 0..<count {
      let first = prompt.inputIDs.count - 1
      let output = try model.forward(
        model.pack([sample]), tape: tape, layers: [1, 2, 3],
        rows: Array(first..<sample.inputIDs.count))
      var vectors = output.last
      if let verbalizer, let states = output.hidden[verbalizer.layer] {
        vectors = verbalizer.forward(tape, states, answers: [0..<states.rows])
      }
      let logits = model.logits(tape.gatherRows(vectors, [vectors.rows - 1]), tape: tape)
      sample.inputIDs.append(Int32(indexOfMaximum(logits.values, logits.columns)))
    }
    return Array(sample.inputIDs[prompt.inputIDs.count...])
  }

  @Test(arguments: [VerbalizerForm.Architecture.verbFFN, .decoder])
  func sideBySide(architecture: VerbalizerForm.Architecture) throws {
    let verbalizers = [2, 1, 3].map { verbalizer($0, architecture) }
    let readouts = verbalizers.map(\.readout) + [model.readout]
    let prompts = [try goldens.prompt("one_image"), try goldens.prompt("text_only")]
    let settings = GenerationSettings(maxNewTokens: 8, stop: [])
    let found = try model.generate(prompts, readouts: readouts, settings).map(\.tokens)
    let expected = try prompts.flatMap { prompt in
      try (verbalizers.map(Optional.some) + [nil]).map { try uncached(prompt, $0, count: 8) }
    }
    #expect(found == expected)
    #expect(Set(found).count == 8, "all readouts say something else")
    // Alone, and where one of several ends.
    #expect(
      try model.generate(prompts, readouts: [readouts[0]], settings).map(\.tokens)
        == [expected[0], expected[4]])
    let end = expected[1][3]
    let stopped = try model.generate(
      prompts, readouts: readouts, GenerationSettings(maxNewTokens: 8, stop: [end]))
    #expect(stopped.map(\.tokens) == expected.map { Array($0.prefix { $0 != end }) })
  }

  /// Beams of a readout that looks back take their states with them: the score of each answer is the
  /// mean log-probability that a whole pass gives its tokens.
  @Test func beams() throws {
    let verbalizer = verbalizer(2, .decoder)
    let layer = verbalizer.readout
    let search = GenerationSettings(
      method: .beams(BeamSearch(beams: 4)), maxNewTokens: 8, stop: [])
    let tape = Tape(recording: false)
    var differing = 0
    for name in goldens.model.cases {
      let prompt = try goldens.prompt(name)
      let found = try model.generate([prompt], readouts: [model.readout, layer], search)[1]
      var sample = prompt
      sample.inputIDs += found.tokens.dropLast()
      let output = try model.forward(
        model.pack([sample]), tape: tape, layers: [2],
        rows: Array(prompt.inputIDs.count - 1..<sample.inputIDs.count))
      let states = try #require(output.hidden[2])
      let logits = model.logits(
        verbalizer.forward(tape, states, answers: [0..<states.rows]), tape: tape)
      var total: Float = 0
      for (row, token) in found.tokens.enumerated() {
        let line = logits.values + row * logits.columns
        logSoftmax(line, logits.columns)
        total += line[Int(token)]
      }
      #expect(abs(total / 8 - (try #require(found.score))) < 1e-4)
      let greedy = GenerationSettings(maxNewTokens: 8, stop: [])
      differing +=
        try model.generate([prompt], readouts: [layer], greedy)[0].tokens == found.tokens ? 0 : 1
    }
    #expect(differing > 0, "no beam left the greedy path: nothing was tested")
  }

  /// A step's vectors are what the whole sequence gives at that place.
  @Test func cachedStepsEqualTheWholePass() throws {
    let goldens = try Goldens("b")
    let model = try goldens.load()
    let sample = try goldens.modelSample("one_image")
    let length = try #require(goldens.model.prompts["one_image"])
    var prompt = sample
    prompt.inputIDs = Array(sample.inputIDs[..<(length - 1)])
    let tape = Tape(recording: false)
    let whole = model.forward(try model.pack([sample]), tape: tape, layers: [1])
    let first = Readout(depth: 1) { _, states, _ in states }
    let session = DecodingSession(model, readouts: [first, model.readout])
    session.begin(try session.run([prompt])[0], [sample.inputIDs[length - 1]])
    var vectors = session.step([])
    let width = model.config.text.hiddenSize
    for place in length..<sample.inputIDs.count {
      for (row, all) in [whole.hidden[1], whole.last].enumerated() {
        let expected = try #require(all).array[(place - 1) * width..<place * width]
        let found = Array(vectors.array[row * width..<(row + 1) * width])
        #expect(relativeDifference(found, Array(expected)) < 1e-4, "\(place)")
      }
      vectors = session.step([sample.inputIDs[place], sample.inputIDs[place]])
    }
  }

  /// The cache grows past its first room.
  @Test func longAnswer() throws {
    let prompt = try goldens.prompt("text_only")
    let found = try model.generate([prompt], GenerationSettings(maxNewTokens: 80, stop: []))
    #expect(try found[0].tokens == uncached(prompt, nil, count: 80))
  }
}
