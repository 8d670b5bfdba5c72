import Models
import Artifacts
import Checkpoints
import Distillation
import Failures
import Tensors
import Tokenization

/// A backbone's stored states with what turns them into words.
struct LayerPredictor {
  /// `teacher`, `student` or `model`
  let role: String
  let features: FeatureReader
  let verbalizers: VerbalizerSet
  let head: LanguageHead
  let tokenizer: Tokenizer
  /// The layers that speak, shallow to deep, the last one at the end.
  let targets: [TargetLayer]
  /// The number of the backbone's decoder blocks.
  private let blocks: Int

  init(_ run: Run, role: String) throws {
    self.role = role
    features = try FeatureReader(directory: run.path("features/\(role)"))
    verbalizers = try VerbalizerSet(run, of: role)
    let manifest = features.artifact.manifest
    guard let model = manifest.facts["model"]?.asString else {
      throw Failure(
        .badData, "the features do not name their model", at: features.artifact.directory)
    }
    let checkpoint = try Checkpoint(directory: model)
    try features.artifact.requireInput("model.weights", checkpoint.fingerprint, from: model)
    head = try LanguageHead(checkpoint)
    guard head.width == features.width, verbalizers.width == features.width else {
      throw Failure(
        .badData, "features, verbalizers and model differ in width", at: model,
        expected: "\(features.width)", found: "\(verbalizers.width) and \(head.width)")
    }
    tokenizer = try Tokenizer(directory: model)
    blocks = checkpoint.config.text.layers
    let known = Set(verbalizers.layers)
    targets = TargetLayer.all(features.layers).filter { target in
      if case .layer(let number) = target { return known.contains(number) }
      return true
    }
  }

  /// A layer's place in the backbone, 0 to 1.
  func depth(_ target: TargetLayer) -> Double {
    guard case .layer(let number) = target, blocks > 0 else { return 1 }
    return Double(number) / Double(blocks)
  }

  /// Supervised positions of one sample.
  struct Rows {
    let features: Features
    let range: Range<Int>
  }

  /// The likeliest tokens of one layer at these rows.
  func says(_ target: TargetLayer, _ samples: [Rows]) -> [Int32] {
    let count = samples.reduce(0) { $0 + $1.range.count }
    var vectors = Tensor([count, features.width])
    var answers: [Range<Int>] = []
    var start = 0
    for sample in samples {
      sample.features.copy(
        target, rows: sample.range, to: vectors.values + start * features.width)
      answers += Verbalizer.answers(Array(sample.features.positions[sample.range]), from: start)
      start += sample.range.count
    }
    if case .layer(let number) = target, let verbalizer = verbalizers[number] {
      vectors = verbalizer.forward(Tape(recording: false), vectors, answers: answers)
    }
    return head.read(vectors.values, positions: count, .argmax).argmax
  }

  /// The likeliest words of every layer about each of these samples.
  func layers(_ samples: [Rows]) -> [[LayerPredictions.Layer]] {
    guard !samples.isEmpty else { return [] }
    var layers: [[LayerPredictions.Layer]] = samples.map { _ in [] }
    for target in targets {
      var said = says(target, samples)[...]
      for (number, sample) in samples.enumerated() {
        let tokens = said.prefix(sample.range.count)
        said = said.dropFirst(sample.range.count)
        layers[number].append(
          LayerPredictions.Layer(
            backbone: role, layer: target.description,
            words: tokens.map { LayerPredictions.word($0, tokenizer) },
            agrees: zip(tokens, sample.features.labels[sample.range]).map { $0 == $1 }))
      }
    }
    return layers
  }
}

extension VerbalizerSet {
  /// The verbalizers through which a backbone of a run is heard. The distilled student speaks through
  /// those of step 1, as in the paper, or through those that the interaction trained further.
  convenience init(_ run: Run, of role: String) throws {
    let trained = run.manifest("adapter")?.files.contains { $0.file == VerbalizerSet.fileName }
    let source =
      role != "model" ? "verbalizers/\(role)" : trained == true ? "adapter" : "verbalizers/student"
    try self.init(ArtifactReader(directory: run.path(source)))
  }
}
