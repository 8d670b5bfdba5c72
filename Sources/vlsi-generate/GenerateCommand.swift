import Decoding
import ArgumentParser
import Artifacts
import Failures
import Foundation
import Imaging
import Kernels
import Models
import StageKit
import Tokenization
import Training

extension BeamSearch.EarlyStopping: ExpressibleByArgument {}

/// What a model, or its layers, answer to one prompt.
struct GenerateCommand: StageCommand {
  static let name = "vlsi-generate"
  static let abstract =
    "Answers a prompt about images: the model, or each of its layers through its verbalizer."
  static let example =
    "vlsi-generate --model runs/tiny/model --image scan.png --prompt \"which digit is the largest?\""

  @Option(help: "The checkpoint.")
  var model: String
  @Option(
    name: .customLong("image"),
    help: ArgumentHelp(
      """
      An image, seen before the prompt; again for more. A file, a file: or data: URL, or base64, as \
      in a data set.
      """, valueName: "image"))
  var images: [String] = []
  @Option(help: "What to ask.")
  var prompt: String
  @Option(
    help: ArgumentHelp(
      "The system turn (default: that of the checkpoint's chat template).", valueName: "text"))
  var system: String?
  @Option(help: ArgumentHelp("The longest answer, in tokens.", valueName: "n"))
  var maxNewTokens = 128

  @Option(
    help: ArgumentHelp(
      "Verbalizers of this checkpoint, or of the one it was fine-tuned from: layers speak.",
      valueName: "dir"))
  var verbalizers: String?
  @Option(help: ArgumentHelp("The one layer that speaks, counted from 1.", valueName: "k"))
  var layer: Int?
  @Option(
    help: ArgumentHelp(
      "Layers that speak side by side, and the model: all, a list 2,6,10 or first:step 2:4.",
      valueName: "layers"))
  var layers: String?

  @Option(help: ArgumentHelp("Beam search with n beams; 1 is greedy.", valueName: "n"))
  var beams = 1
  @Option(
    help: ArgumentHelp(
      "Of beam search: above 0 favours long answers, below 0 short ones.", valueName: "x"))
  var lengthPenalty: Float = 1
  @Option(
    help: "Of beam search: end with n finished beams, or never before none can win any more.")
  var earlyStopping = BeamSearch.EarlyStopping.no
  @Option(
    help: ArgumentHelp(
      """
      Draws tokens at random, by scores divided by t, from --seed; 0 is greedy. --top-k and --top-p \
      draw too, with t 1 if not given.
      """, valueName: "t"))
  var temperature: Float?
  @Option(help: ArgumentHelp("Draws among the k likeliest tokens.", valueName: "k"))
  var topK: Int?
  @Option(
    help: ArgumentHelp(
      "Draws among the likeliest tokens that have the probability p together.", valueName: "p"))
  var topP: Double?
  @Option(
    help: ArgumentHelp(
      """
      Above 1 makes tokens that occurred less likely (default: the checkpoint's \
      generation_config.json, else 1).
      """, valueName: "x"))
  var repetitionPenalty: Float?
  @Option(help: "text, streamed as it comes, or json with ids and how each answer ended.")
  var format: OutputFormat = .text
  @OptionGroup var common: WorkingOptions

  enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  static let configuration = CommandConfiguration(
    commandName: name, abstract: abstract,
    discussion: """
      Greedy unless told otherwise, whatever the checkpoint's generation_config.json says of \
      sampling. An answer ends at <|im_end|> or another of the checkpoint's end tokens.

      Example:
        \(example)
        vlsi-generate --model runs/tiny/model --image scan.png \
      --prompt "which digit is the largest?" \
      --verbalizers runs/tiny/verbalizers/student --layers all
      """,
    version: Version.current)

  func validate() throws {
    if layer != nil, layers != nil {
      throw ValidationError("--layer and --layers exclude each other")
    }
    if (verbalizers == nil) != (layer == nil && layers == nil) {
      throw ValidationError("--verbalizers and --layer or --layers go together")
    }
    if maxNewTokens < 1 { throw ValidationError("--max-new-tokens must be at least 1") }
    if !(1...1000).contains(beams) { throw ValidationError("--beams takes 1 to 1000") }
    if !lengthPenalty.isFinite { throw ValidationError("--length-penalty takes a number") }
    if let temperature, !(temperature >= 0 && temperature.isFinite) {
      throw ValidationError("--temperature takes 0 or more")
    }
    if let topK, topK < 1 { throw ValidationError("--top-k must be at least 1") }
    if let topP, !(topP > 0 && topP <= 1) {
      throw ValidationError("--top-p takes more than 0, at most 1")
    }
    if let repetitionPenalty, !(repetitionPenalty > 0 && repetitionPenalty.isFinite) {
      throw ValidationError("--repetition-penalty takes more than 0")
    }
    if beams > 1, isSampling {
      throw ValidationError("--beams excludes --temperature, --top-k and --top-p")
    }
  }

  private var isSampling: Bool {
    temperature.map { $0 > 0 } ?? (topK != nil || topP != nil)
  }

  func run(stage: Stage) throws {
    let backbone = try Backbone(model)
    let builder = PromptBuilder(backbone.parts)
    let sample = try sample(builder)
    guard backbone.model.room(after: sample) > 0 else {
      throw Failure(
        .badData, "the prompt fills all positions of the model", at: model,
        expected: "fewer than \(backbone.config.text.maxPositions) tokens",
        found: "\(sample.inputIDs.count), visual tokens included",
        advice: "Ask less, or give smaller images")
    }
    let settings = try settings(backbone, builder, seed: stage.seed)
    let readouts = try verbalizers.map { directory in
      try LayerReadouts(directory, backbone: backbone, layers: selection())
    }
    if let readouts, readouts.isReused, layers == nil { stage.log.info("\(readouts.description)") }

    let isStreaming = format == .text && layers == nil
    var stream = TextStream(backbone.tokenizer, skipSpecialTokens: true)
    var pace = Pace(stage)
    let answers = try backbone.model.generate(
      [sample], readouts: readouts?.readouts(alone: layers == nil), settings
    ) {
      pace.step()
      if stage.interrupted, isStreaming { try StandardOutput.write("\n") }
      try stage.checkInterrupt()
    } onToken: { _, token in
      if isStreaming { try StandardOutput.write(stream.add(token)) }
    }
    if isStreaming, case .beams = settings.method {
      try StandardOutput.write(answers[0].tokens.map { stream.add($0) }.joined())
    }
    if isStreaming {
      try StandardOutput.write(stream.finish() + "\n")
    } else {
      let report = AnswerReport(
        names: readouts?.names(alone: layers == nil) ?? [.model], answers: answers,
        tokenizer: backbone.tokenizer)
      try StandardOutput.write(
        format == .json
          ? report.json(model: model, images: images, prompt: prompt, readouts: readouts)
          : report.table(readouts))
    }
    pace.log(promptTokens: sample.inputIDs.count)
    if answers.contains(where: { $0.end == .length && $0.tokens.count < maxNewTokens }) {
      stage.log.warning(
        "cut short: all \(backbone.config.text.maxPositions) positions of the model are taken")
    }
  }

  private func selection() throws -> LayerSelection? {
    if let layer { return .list([layer]) }
    return try layers.flatMap { $0 == "all" ? nil : try LayerSelection(parsing: $0) }
  }

  private func sample(_ builder: PromptBuilder) throws -> ModelSample {
    let files = ImageFiles(path: ".", allowsOutside: true, setting: "")
    let pictures = try images.map { image in
      InlineImage.stands(in: image)
        ? try RGBImage(decoding: InlineImage.bytes(image, place: "--image"), place: "--image")
        : try RGBImage(contentsOf: files.file(image))
    }
    let question = Turn(role: .user, content: pictures.map { _ in .image } + [.text(prompt)])
    let turns = system.map { [Turn(role: .system, $0), question] } ?? [question]
    return try builder.prompt(turns, images: pictures)
  }

  private func settings(
    _ backbone: Backbone, _ builder: PromptBuilder, seed: UInt64
  ) throws -> GenerationSettings {
    let defaults = try GenerationDefaults(directory: model)
    var settings = GenerationSettings(
      maxNewTokens: maxNewTokens, stop: defaults.stop.union([builder.end]))
    settings.repetitionPenalty = repetitionPenalty ?? defaults.repetitionPenalty
    if beams > 1 {
      settings.method = .beams(
        BeamSearch(beams: beams, lengthPenalty: lengthPenalty, earlyStopping: earlyStopping))
    } else if isSampling {
      settings.method = .sampling(
        Sampling(temperature: temperature ?? 1, topK: topK, topP: topP, seed: seed))
    }
    return settings
  }
}

/// How fast a prompt is read and an answer is written.
private struct Pace {
  private let stage: Stage
  private let start: Double
  private var first: Double?
  private var steps = 0

  init(_ stage: Stage) {
    self.stage = stage
    start = stage.wallSeconds
  }

  /// The prompt is read, or one more token of each answer chosen.
  mutating func step() {
    first = first ?? stage.wallSeconds
    steps += 1
  }

  func log(promptTokens: Int) {
    guard let first else { return }
    let rate = Double(steps) / max(1e-6, stage.wallSeconds - first)
    let read = rounded(first - start), pace = rounded(rate)
    stage.log.info("\(promptTokens) tokens read in \(read) s, then \(pace) tokens a second")
  }

  private func rounded(_ number: Double) -> String { String(format: "%.1f", number) }
}
