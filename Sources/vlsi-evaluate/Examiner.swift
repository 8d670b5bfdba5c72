import Evaluation
import Failures
import Imaging
import Qwen2VL
import StageKit
import Tokenization
import Training

/// Puts questions to a model, many side by side.
struct Examiner {
  private let backbone: Backbone
  private let builder: PromptBuilder
  private let benchmark: Benchmark
  private let maxNewTokens: Int

  init(backbone: Backbone, benchmark: Benchmark, settings: EvaluateSettings) throws {
    self.backbone = backbone
    self.benchmark = benchmark
    maxNewTokens = settings.maxNewTokens
    builder = try PromptBuilder(tokenizer: backbone.tokenizer, processor: backbone.processor)
  }

  /// The answers in the questions' order. Throws 65 or 66, naming the question, when a picture
  /// cannot be read.
  func answers(_ questions: [BenchmarkQuestion]) throws -> [String] {
    let prompts = try questions.map { question in
      let pictures = try question.pictures.map { try image($0, of: question) }
      let turn = Turn(
        role: .user, content: pictures.map { _ in .image } + [.text(question.prompt)])
      return try builder.prompt([turn], images: pictures)
    }
    return try generateGreedily(
      backbone.model, prompts: prompts, maxNewTokens: maxNewTokens, stop: [builder.end]
    ).map { backbone.tokenizer.decode($0, skipSpecialTokens: true) }
  }

  private func image(
    _ picture: BenchmarkQuestion.Picture, of question: BenchmarkQuestion
  ) throws -> RGBImage {
    switch picture {
    case .file(let path): try RGBImage(contentsOf: benchmark.path(of: path))
    case .bytes(let bytes):
      try RGBImage(decoding: bytes, place: "the image of question \(question.index)")
    }
  }
}
