import Decoding
import Artifacts
import Evaluation
import Failures
import Imaging
import Models
import StageKit
import Tokenization
import Training

/// Puts questions to a model, many side by side.
struct Examiner {
  private let backbone: Backbone
  private let builder: PromptBuilder
  private let benchmark: Benchmark
  private let generation: GenerationSettings

  init(backbone: Backbone, benchmark: Benchmark, settings: EvaluateSettings) throws {
    self.backbone = backbone
    self.benchmark = benchmark
    builder = PromptBuilder(backbone.parts)
    let defaults = try GenerationDefaults(directory: backbone.directory)
    generation = settings.generation(defaults, end: builder.end)
  }

  /// What of the checkpoint, beside its weights and tokenizer, decides the answers.
  var settings: JSON {
    var settings: [String: JSON] = [
      "stop": .array(generation.stop.sorted().map { .int(Int($0)) }),
      "repetition_penalty": .number(Double(generation.repetitionPenalty)),
    ]
    if builder.system != builder.familySystem {
      settings["system"] = builder.system.map { .string($0) } ?? .null
    }
    return .object(settings)
  }

  /// An answer in words.
  func text(_ tokens: [Int32]) -> String {
    backbone.tokenizer.decode(tokens, skipSpecialTokens: true)
  }

  /// A prompt for each question; or why it cannot be asked: a picture that cannot be read, a text
  /// that spells a control token, no room. Throws what is no fault of a question.
  private func prompt(_ question: BenchmarkQuestion) throws -> Result<ModelSample, Failure> {
    do {
      let pictures = try question.pictures.map { try image($0, of: question) }
      let turn = Turn(
        role: .user, content: pictures.map { _ in .image } + [.text(question.prompt)])
      let prompt = try builder.prompt([turn], images: pictures)
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

  /// The tokens of the answers in the questions' order, or why a question was not asked. Throws 65
  /// for logits that are not finite, and what `between` throws between two steps.
  func answers(
    _ questions: [BenchmarkQuestion], between: () throws -> Void
  ) throws -> [Result<[Int32], Failure>] {
    let prompts = try questions.map(prompt)
    let asked = zip(questions, prompts).compactMap { question, prompt in
      (try? prompt.get()).map { (question.index, $0) }
    }
    var answers =
      asked.isEmpty
      ? [][...]
      : try backbone.model.generate(
        asked.map(\.1), generation, name: { "question \(asked[$0].0)" }, between: between
      ) { _, _ in }.map(\.tokens)[...]
    return prompts.map { prompt in prompt.map { _ in answers.popFirst() ?? [] } }
  }

  private func image(
    _ picture: BenchmarkQuestion.Picture, of question: BenchmarkQuestion
  ) throws -> RGBImage {
    switch picture {
    case .file(let path): try RGBImage(contentsOf: try benchmark.path(of: path))
    case .bytes(let bytes):
      try RGBImage(decoding: bytes, place: "the image")
    }
  }
}
