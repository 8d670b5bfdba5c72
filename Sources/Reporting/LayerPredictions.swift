import Artifacts
import Checkpoints
import Distillation
import Failures
import Imaging
import Tensors
import Tokenization

/// What each layer says at the supervised positions of a few samples (the paper's figure 3).
public struct LayerPredictions: Sendable {
  /// One question with the words of all layers.
  public struct Passage: Sendable {
    public var sample: Int
    /// A PNG file, nil for text alone.
    public var image: [UInt8]?
    public var question: String
    /// The answer as the sample has it, a word per supervised position. It may be a wrong one.
    public var label: [String]
    /// Whether the data set gives a wrong answer on purpose.
    public var isWrong = false
    /// Words of a long answer that are not shown.
    public var left = 0
    public var layers: [Layer] = []
  }

  /// What one layer of a backbone says.
  public struct Layer: Sendable {
    /// `teacher`, `student` or, the student after distillation, `model`
    public var backbone: String
    /// `2` or `last`
    public var layer: String
    /// The likeliest word at each position.
    public var words: [String]
    /// Whether it is the label's.
    public var agrees: [Bool]
  }

  /// How often one layer says what is asked of it.
  public struct Agreement: Sendable, Equatable {
    /// As a `Layer`'s.
    public var backbone: String
    public var layer: String
    /// The layer's place in its backbone, 0 to 1: the last layer's is 1.
    public var depth: Double
    /// The share of positions at which it says the label.
    public var withLabel: Double
    /// The share at which it says what the teacher's last layer says; nil without the teacher.
    public var withTeacher: Double?
  }

  public var passages: [Passage] = []
  /// By backbone and layer.
  public var agreements: [Agreement] = []
  /// The samples and supervised positions that the agreements are over.
  public var counted: (samples: Int, positions: Int) = (0, 0)
  /// Backbones that could not be read, with the reason.
  public var gaps: [String] = []

  static let backbones = ["teacher", "student", "model"]
  /// Positions enough for an agreement's error of 2 points; a large head takes a while for each.
  static let positions = 512

  /// What the layers predict for up to `count` samples, evenly spread over those whose features all
  /// backbones have.
  public init(_ run: Run, count: Int) {
    guard run.manifest("samples") != nil else {
      gaps.append("what the layers say: no samples")
      return
    }
    do {
      let samples = try ArtifactReader(directory: run.path("samples"), kind: .samples)
      var predictors: [LayerPredictor] = []
      for role in LayerPredictions.backbones where role != "model" || run.manifest("model") != nil {
        do {
          predictors.append(try LayerPredictor(run, role: role))
        } catch {
          let whose = role == "model" ? "distilled student" : role
          gaps.append("what the \(whose)'s layers say: \(error)")
        }
      }
      guard !predictors.isEmpty else { return }
      let shared = predictors.reduce(samples.indices) { indices, predictor in
        let known = Set(predictor.features.indices)
        return indices.filter(known.contains)
      }
      try listen(
        predictors, samples, wrong: run.synthesis?["splits"]?["train"]?["wrong"],
        to: LayerPredictions.spread(count, of: shared.count).map { ($0, shared[$0]) })
      try measure(predictors, shared)
    } catch {
      gaps.append("what the layers say: \(error)")
    }
  }

  /// Counts how often every layer says the label, and the teacher's word.
  private mutating func measure(_ predictors: [LayerPredictor], _ shared: [Int]) throws {
    let most = 64
    // All samples of a backbone together: a large head is read once for each layer.
    var rows: [[LayerPredictor.Rows]] = predictors.map { _ in [] }
    for place in LayerPredictions.spread(most, of: shared.count)
    where counted.positions < LayerPredictions.positions {
      let features = try predictors.map { try $0.features.features(shared[place]) }
      guard let first = features.first, first.count > 0,
        features.allSatisfy({ $0.positions == first.positions && $0.labels == first.labels })
      else { continue }
      let range = 0..<min(first.count, LayerPredictions.positions - counted.positions)
      counted = (counted.samples + 1, counted.positions + range.count)
      for (number, features) in features.enumerated() {
        rows[number].append(LayerPredictor.Rows(features: features, range: range))
      }
    }
    guard counted.positions > 0 else { return }
    let labels = rows[0].flatMap { $0.features.labels[$0.range] }
    let predicted = zip(predictors, rows).map { predictor, rows in
      predictor.targets.map { predictor.says($0, rows) }
    }
    let teacher = predictors.firstIndex { $0.role == "teacher" }.flatMap { predicted[$0].last }
    func share(_ tokens: [Int32], _ of: [Int32]) -> Double {
      Double(zip(tokens, of).count { $0 == $1 }) / Double(counted.positions)
    }
    for (predictor, layers) in zip(predictors, predicted) {
      for (target, tokens) in zip(predictor.targets, layers) {
        agreements.append(
          Agreement(
            backbone: predictor.role, layer: target.description, depth: predictor.depth(target),
            withLabel: share(tokens, labels), withTeacher: teacher.map { share(tokens, $0) }))
      }
    }
  }

  /// `count` places evenly spread over `total`, each once.
  static func spread(_ count: Int, of total: Int) -> [Int] {
    let count = min(count, total)
    return (0..<max(0, count)).map { (2 * $0 + 1) * total / (2 * count) }
  }

  // MARK: Single samples

  /// The most words of an answer.
  static let words = 24

  /// Makes a passage of each of these samples. A backbone speaks about all of them together.
  private mutating func listen(
    _ predictors: [LayerPredictor], _ samples: ArtifactReader, wrong: JSON?,
    to chosen: [(turn: Int, index: Int)]
  ) throws {
    var rows: [[(passage: Int, rows: LayerPredictor.Rows)]] = predictors.map { _ in [] }
    for (turn, index) in chosen {
      let features = try predictors.map { try $0.features.features(index) }
      guard let first = features.first, first.count > 0 else { continue }
      let (passage, range) = try LayerPredictions.passage(
        index, turn: turn, samples, first, predictors[0].tokenizer, wrong: wrong)
      for (number, features) in features.enumerated() where features.positions == first.positions {
        rows[number].append((passages.count, LayerPredictor.Rows(features: features, range: range)))
      }
      passages.append(passage)
    }
    for (predictor, rows) in zip(predictors, rows) {
      for (layers, at) in zip(predictor.layers(rows.map(\.rows)), rows.map(\.passage)) {
        passages[at].layers += layers
      }
    }
  }

  /// One question of a sample, as yet without layers, and the rows of its answer; which question
  /// alternates with `turn`.
  private static func passage(
    _ index: Int, turn: Int, _ samples: ArtifactReader, _ first: Features, _ tokenizer: Tokenizer,
    wrong: JSON?
  ) throws -> (Passage, Range<Int>) {
    let record = try samples.record(index)
    let stretches = LayerPredictions.stretches(
      first.positions, segments: try record.tensors["segments"]?.int32s())
    let number = turn % stretches.count
    let rows = stretches[number].prefix(words)
    let label = first.labels[rows]
    let spoilt = record.metadata["id"].flatMap { wrong?[$0]?.asArray } ?? []
    let passage = Passage(
      sample: index, image: try picture(record),
      question: question(record.metadata["turns"], number) ?? "",
      label: label.map { LayerPredictions.word($0, tokenizer) },
      isWrong: spoilt.contains(.int(number)),
      left: stretches[number].count - rows.count)
    return (passage, rows)
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
