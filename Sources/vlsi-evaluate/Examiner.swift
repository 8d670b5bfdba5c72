import Artifacts
import Decoding
import Evaluation
import Failures
import Imaging
import Models
import Planning
import StageKit
import Tokenization
import Training

/// Puts a benchmark's questions to a model, many side by side.
struct Examiner {
  private let backbone: Backbone
  private let parts: CheckpointProcessor
  private let builder: PromptBuilder
  private let benchmark: Benchmark
  private let style: PromptStyle
  private let settings: EvaluateSettings
  private let generation: GenerationSettings
  private let rule: (any AnswerRule)?

  init(
    backbone: Backbone, parts: CheckpointProcessor, benchmark: Benchmark, style: PromptStyle,
    settings: EvaluateSettings
  ) throws {
    self.backbone = backbone
    self.parts = parts
    self.benchmark = benchmark
    self.style = style
    self.settings = settings
    builder = PromptBuilder(parts)
    let defaults = try GenerationDefaults(directory: backbone.directory)
    generation = settings.generation(defaults, end: builder.end)
    rule = settings.rule.flatMap { AnswerRules.named($0) }
  }

  // MARK: What decides the answers

  /// What of the checkpoint, beside its weights and tokenizer, decides the answers; and how they are
  /// scored.
  var recorded: JSON {
    var settings: [String: JSON] = [
      "stop": .array(generation.stop.sorted().map { .int(Int($0)) }),
      "repetition_penalty": .number(Double(generation.repetitionPenalty)),
      "images": .string(parts.images.fingerprint), "benchmark": .string(benchmark.kind.name),
    ]
    if builder.system != builder.familySystem {
      settings["system"] = builder.system.map { .string($0) } ?? .null
    }
    return .object(settings)
  }

  /// A digest of the files of all pictures. Those that are not there count as such.
  func picturesFingerprint() throws -> String {
    let files = Set(
      benchmark.questions.flatMap(\.pictures).compactMap { picture in
        if case .file(let name) = picture { name } else { nil }
      })
    let digests = files.sorted().map { name in
      let path = try? benchmark.path(of: name)
      return "\(name) \(path.flatMap { try? Fingerprint.file($0) } ?? "unreadable")"
    }
    return Fingerprint.text(digests.joined(separator: "\n"))
  }

  /// A digest of what is asked in words.
  var promptsFingerprint: String {
    Fingerprint.text(
      benchmark.questions.map { "\(benchmark.kind.prompt($0, style))" }.joined(separator: "\n"))
  }

  /// Bytes of memory at the peak: of a full batch, or of the largest question alone.
  func memory(threads: Int) throws -> Int {
    var patches: [Int] = []
    var text = 0
    for question in benchmark.questions {
      let seen = question.pictures.map { parts.images.patches(of: benchmark.size(of: $0)) }
      if seen.reduce(0, +) > patches.reduce(0, +) { patches = seen }
      // A token has a byte at least.
      let words = [question.question, question.hint ?? ""] + question.options.map(\.text)
      text = max(text, words.reduce(0) { $0 + $1.utf8.count })
    }
    return StageMemory.evaluate(
      ModelNeeds(backbone.config, threads: threads), patches: patches, text: text + 128,
      tokens: settings.tokensPerBatch, batch: min(settings.batch, Examination.questionsPerShard),
      beams: settings.beams, answer: settings.maxNewTokens)
  }

  // MARK: Asking

  /// What a question is as the model is given it.
  func shown(_ question: BenchmarkQuestion) throws -> String {
    var seen: [[BenchmarkQuestion.Picture]: [ModelImage]] = [:]
    let asked = try prompt(question, seen: &seen).get()
    let text = backbone.tokenizer.decode(asked.inputIDs, skipSpecialTokens: false)
    let pads = parts.template.dialect.imagePad
    var shown = ""
    var rest = text[...]
    while let range = rest.firstRange(of: pads) {
      shown += rest[..<range.lowerBound]
      rest = rest[range.lowerBound...]
      var count = 0
      while rest.hasPrefix(pads) {
        rest = rest.dropFirst(pads.count)
        count += 1
      }
      shown += "\(pads) × \(count)"
    }
    return shown + rest
  }

  func prediction(_ tokens: [Int32], _ question: BenchmarkQuestion) -> Prediction {
    Prediction(
      backbone.tokenizer.decode(tokens, skipSpecialTokens: true), for: question,
      kind: benchmark.kind, rule: rule, benchmark: benchmark.name)
  }

  /// A prompt for a question; or why it cannot be asked: a picture that cannot be read, a text that
  /// spells a control token, no room. Throws what is no fault of a question.
  /// - Parameter seen: what is shown together and prepared already; the question's is added
  private func prompt(
    _ question: BenchmarkQuestion, seen: inout [[BenchmarkQuestion.Picture]: [ModelImage]]
  ) throws -> Result<ModelSample, Failure> {
    do {
      let parts = benchmark.kind.prompt(question, style)
      let content: [Turn.Part] = parts.map { part in part.text.map { .text($0) } ?? .image }
      let shown = parts.compactMap { $0.picture }.map { question.pictures[$0] }
      let images = try seen[shown] ?? builder.prepared(shown.map { try benchmark.image($0) })
      seen[shown] = images
      let prompt = try builder.prompt([Turn(role: .user, content: content)], images: images)
      guard backbone.model.room(after: prompt) > 0 else {
        throw Failure(
          .badData, "the question fills all positions of the model",
          expected: "fewer than \(backbone.config.text.maxPositions) tokens",
          found: "\(prompt.inputIDs.count), visual tokens included",
          advice: "Shorten it or make its images smaller, or leave it out")
      }
      return .success(prompt)
    } catch let failure as Failure where [.badData, .inputMissing].contains(failure.code) {
      return .failure(failure)
    }
  }

  /// Answers questions, those with the same pictures behind each other: `body` is given the place of
  /// each, in no order, and the tokens of its answer or why it was not asked. Throws 65 for logits that
  /// are not finite, and what `between` throws between two steps.
  func answers(
    _ questions: [BenchmarkQuestion], between: () throws -> Void,
    _ body: (Int, Result<[Int32], Failure>) throws -> Void
  ) throws {
    var place = 0
    // The prompts of questions with the same pictures, and by their number which question each is.
    var waiting: ArraySlice<SharedPrompt> = []
    var asked: [Int] = []
    func next() throws -> SharedPrompt? {
      while waiting.isEmpty, place < questions.count {
        var seen: [[BenchmarkQuestion.Picture]: [ModelImage]] = [:]
        var prompts: [ModelSample] = []
        let pictures = questions[place].pictures
        repeat {
          try between()
          switch try prompt(questions[place], seen: &seen) {
          case .success(let prompt):
            prompts.append(prompt)
            asked.append(place)
          case .failure(let failure): try body(place, .failure(failure))
          }
          place += 1
        } while place < questions.count && !pictures.isEmpty
          && questions[place].pictures == pictures
        waiting =
          SharedPrompt.grouping(prompts, imageToken: Int32(backbone.config.imageTokenID))[...]
      }
      return waiting.popFirst()
    }
    try backbone.model.answer(
      readouts: [backbone.model.readout], generation,
      bounds: BatchBounds(answers: settings.batch, tokens: settings.tokensPerBatch),
      name: { "question \(questions[asked[$0]].index)" }, between: between,
      onToken: { _, _ in }, next: next
    ) { try body(asked[$0], .success($1.tokens)) }
  }
}
