import Artifacts
import Checkpoints
import Distillation
import Failures
import Imaging
import Tensors
import Tokenization

/// What each layer says at the supervised positions of a few samples (the paper's figure 3).
public struct Speech: Sendable {
  /// One question with the words of all layers.
  public struct Passage: Sendable {
    public var sample: Int
    /// A PNG file, nil for text alone.
    public var image: [UInt8]?
    public var question: String
    /// The answer as the sample has it, a word per supervised position. It may be a wrong one.
    public var label: [String]
    public var voices: [Voice] = []
  }

  /// What one layer of a backbone says.
  public struct Voice: Sendable {
    /// `teacher` or `student`
    public var backbone: String
    /// `2` or `last`
    public var layer: String
    /// The likeliest word at each position.
    public var words: [String]
    /// Whether it is the label's.
    public var agrees: [Bool]
  }

  public var passages: [Passage] = []
  /// Backbones that could not be heard, with the reason.
  public var gaps: [String] = []

  /// Lets the layers speak about up to `count` samples, evenly spread.
  public init(_ run: Run, count: Int) {
    guard run.manifest("samples") != nil else {
      gaps.append("what the layers say: no samples")
      return
    }
    do {
      let samples = try ArtifactReader(directory: run.path("samples"), kind: .samples)
      var speakers: [Speaker] = []
      for role in ["teacher", "student"] {
        do {
          speakers.append(try Speaker(run, role: role))
        } catch let failure as Failure {
          gaps.append("what the \(role)'s layers say: \(failure)")
        }
      }
      guard !speakers.isEmpty else { return }
      let heard = speakers.reduce(samples.indices) { indices, speaker in
        indices.filter { speaker.features.artifact.contains($0) }
      }
      for place in Speech.spread(count, of: heard.count) {
        passages += try Speech.passage(heard[place], turn: place, samples, speakers)
      }
    } catch {
      gaps.append("what the layers say: \(error)")
    }
  }

  /// `count` places evenly spread over `total`, each once.
  static func spread(_ count: Int, of total: Int) -> [Int] {
    let count = min(count, total)
    return (0..<max(0, count)).map { (2 * $0 + 1) * total / (2 * count) }
  }

  // MARK: One sample

  /// One question of a sample; which one alternates with `turn`.
  private static func passage(
    _ index: Int, turn: Int, _ samples: ArtifactReader, _ speakers: [Speaker]
  ) throws -> [Passage] {
    guard let tokenizer = speakers.first?.tokenizer else { return [] }
    let record = try samples.record(index)
    let features = try speakers.map { try $0.features.features(index) }
    guard let first = features.first, first.count > 0 else { return [] }
    let stretches = Speech.stretches(
      first.positions, segments: try record.tensors["segments"]?.int32s())
    let number = turn % stretches.count
    let rows = stretches[number]
    let label = first.labels[rows]
    var passage = Passage(
      sample: index, image: try picture(record),
      question: question(record.metadata["turns"], number) ?? "",
      label: label.map { Speech.word($0, tokenizer) })
    for (speaker, features) in zip(speakers, features) where features.positions == first.positions {
      passage.voices += speaker.voices(features, rows: rows)
    }
    return [passage]
  }

  /// The supervised positions of each answer: those of one segment, or, without segments, those
  /// that follow each other.
  static func stretches(_ positions: [Int32], segments: [Int32]?) -> [Range<Int>] {
    var found: [Range<Int>] = []
    var start = 0
    func segment(_ row: Int) -> Int32? {
      let place = Int(positions[row])
      return segments.flatMap { $0.indices.contains(place) ? $0[place] : nil }
    }
    for row in positions.indices.dropFirst() {
      let isNew =
        segments == nil
        ? positions[row] != positions[row - 1] + 1 : segment(row) != segment(row - 1)
      if isNew {
        found.append(start..<row)
        start = row
      }
    }
    return found + [start..<positions.count]
  }

  /// The user's words before the assistant's turn of this number.
  static func question(_ turns: String?, _ number: Int) -> String? {
    guard let turns, let parsed = try? JSON(parsing: turns, place: "turns") else { return nil }
    var last = "", answers = 0
    for turn in parsed.asArray ?? [] {
      let content = turn["content"]?.asString ?? ""
      switch turn["role"]?.asString {
      case "user":
        last =
          content.replacing("<image>", with: "").trimmingPrefix { $0.isWhitespace }
          .description
      case "assistant":
        if answers == number { return last }
        answers += 1
      default: break
      }
    }
    return nil
  }

  /// The first image, made small enough for a page.
  private static func picture(_ record: Record) throws -> [UInt8]? {
    guard let pixels = record.tensors["pixels.0"], pixels.shape.count == 3, pixels.shape[2] == 3
    else { return nil }
    let image = try RGBImage(
      width: pixels.shape[1], height: pixels.shape[0], pixels: pixels.bytes)
    return try image.small().pngData()
  }

  /// A token as a word to be shown: white space at its ends goes, a control token says its name.
  static func word(_ id: Int32, _ tokenizer: Tokenizer) -> String {
    let text = tokenizer.decode([id])
    if text == "<|im_end|>" { return "■" }
    let bare = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    return bare.isEmpty ? "␣" : bare
  }
}

extension RGBImage {
  /// The image with no side longer than `most` pixels.
  func small(_ most: Int = 288) throws -> RGBImage {
    let longest = max(width, height)
    guard longest > most else { return self }
    return try resized(
      width: max(1, width * most / longest), height: max(1, height * most / longest))
  }
}

/// A backbone's stored states with what turns them into words.
private struct Speaker {
  let role: String
  let features: FeatureReader
  let verbalizers: VerbalizerSet
  let head: LanguageHead
  let tokenizer: Tokenizer

  init(_ run: Run, role: String) throws {
    self.role = role
    features = try FeatureReader(directory: run.path("features/\(role)"))
    verbalizers = try VerbalizerSet(directory: run.path("verbalizers/\(role)"))
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
  }

  /// The likeliest words of every target layer and of the last one at these rows.
  func voices(_ features: Features, rows: Range<Int>) -> [Speech.Voice] {
    let tape = Tape(recording: false)
    let labels = features.labels[rows]
    return TargetLayer.all(self.features.layers).compactMap { layer in
      let hidden = Tensor([rows.count, self.features.width])
      features.copy(layer, rows: rows, to: hidden.values)
      var vectors = hidden
      if case .layer(let number) = layer {
        guard let verbalizer = verbalizers[number] else { return nil }
        vectors = verbalizer.forward(tape, hidden, answers: [0..<rows.count])
      }
      let said = head.read(vectors.values, positions: rows.count, .argmax).argmax
      return Speech.Voice(
        backbone: role, layer: layer.description,
        words: said.map { Speech.word($0, tokenizer) }, agrees: zip(said, labels).map { $0 == $1 })
    }
  }
}
