import ArgumentParser
import Artifacts
import Distillation
import Failures
import Imaging
import Kernels
import Qwen2VL
import StageKit
import Tensors
import Tokenization
import Training

/// One answer to one prompt.
struct Generate: StageCommand {
  static let name = "vlsi-generate"
  static let abstract = "Answers a prompt about an image."
  static let example =
    "vlsi-generate --model runs/tiny/model --image scan.png --prompt \"Which digit is this?\""

  @Option(help: "The checkpoint.")
  var model: String
  @Option(help: "An image file.")
  var image: String?
  @Option(help: "What to ask.")
  var prompt: String
  @Option(help: "The longest answer, in tokens.")
  var maxNewTokens = 128
  @Option(help: "Verbalizers of this checkpoint: an earlier layer speaks, see --layer.")
  var verbalizers: String?
  @Option(help: "The layer that speaks through its verbalizer, counted from 1.")
  var layer: Int?
  @OptionGroup var common: CommonOptions

  func run(stage: Stage) throws {
    Parallelism.threads = stage.threads
    let backbone = try Backbone(model)
    let builder = try PromptBuilder(tokenizer: backbone.tokenizer, processor: backbone.processor)
    let images = try image.map { [try RGBImage(contentsOf: $0)] } ?? []
    let turn = Turn(role: .user, content: images.map { _ in .image } + [.text(prompt)])
    let sample = try builder.prompt([turn], images: images)
    var speaker: LogitsOf?
    if let verbalizers, let layer {
      speaker = try logits(ofLayer: layer, verbalizers: verbalizers, backbone: backbone)
    }
    let answers = try generateGreedily(
      backbone.model, prompts: [sample], maxNewTokens: maxNewTokens, stop: [builder.end],
      layers: layer.map { [$0] } ?? [], logits: speaker)
    print(backbone.tokenizer.decode(answers[0], skipSpecialTokens: true))
  }

  func validate() throws {
    if (verbalizers == nil) != (layer == nil) {
      throw ValidationError("--verbalizers and --layer go together")
    }
    if maxNewTokens < 1 { throw ValidationError("--max-new-tokens must be at least 1") }
  }

  /// What layer `number` says: its hidden state through its verb-FFN and the language head.
  private func logits(
    ofLayer number: Int, verbalizers directory: String, backbone: Backbone
  ) throws -> LogitsOf {
    let artifact = try ArtifactReader(directory: directory, kind: .verbalizers)
    try artifact.requireInput("model.weights", backbone.checkpoint.fingerprint, from: model)
    let all = try VerbalizerSet(artifact)
    guard let verbalizer = all[number] else {
      throw Failure(
        .badData, "no verbalizer for layer \(number)", at: directory,
        expected: all.layers.map(String.init).joined(separator: ", "))
    }
    let tape = Tape(recording: false)
    // The answer's states so far: a verbalizer that attends looks back at them.
    var answer: [Float] = []
    return { output in
      // The session gives every layer that it was asked for.
      guard let hidden = output.hidden[number] else { return output.last }
      answer += hidden.array
      let states = Tensor(answer, [answer.count / hidden.columns, hidden.columns])
      let said = verbalizer.forward(tape, states, answers: [0..<states.rows])
      return backbone.model.logits(tape.gatherRows(said, [states.rows - 1]), tape: tape)
    }
  }
}

Generate.main()
