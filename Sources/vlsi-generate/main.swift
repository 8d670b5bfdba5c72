import ArgumentParser
import Failures
import Imaging
import Kernels
import Qwen2VL
import StageKit
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
  @OptionGroup var common: CommonOptions

  func run(stage: Stage) throws {
    Parallelism.threads = stage.threads
    let backbone = try Backbone(model)
    let builder = try PromptBuilder(tokenizer: backbone.tokenizer, processor: backbone.processor)
    let images = try image.map { [try RGBImage(contentsOf: $0)] } ?? []
    let turn = Turn(role: .user, content: images.map { _ in .image } + [.text(prompt)])
    let sample = try builder.prompt([turn], images: images)
    let answers = try generateGreedily(
      backbone.model, prompts: [sample], maxNewTokens: maxNewTokens, stop: [builder.end])
    print(backbone.tokenizer.decode(answers[0], skipSpecialTokens: true))
  }
}

Generate.main()
