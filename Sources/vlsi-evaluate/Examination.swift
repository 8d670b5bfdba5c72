import Artifacts
import Evaluation
import Failures
import Imaging
import Kernels
import Models
import Planning
import StageKit
import Training

/// A checkpoint and how it is asked; each benchmark becomes an artifact.
struct Examination {
  /// The unit of resuming: what an interruption loses at most.
  static let questionsPerShard = 64

  let backbone: Backbone
  let stage: Stage
  let images: String?
  let kind: BenchmarkKind?
  let part: ShareOptions
  let style: PromptStyle
  private let parts: CheckpointProcessor
  private var settings: EvaluateSettings { stage.preset.evaluate }

  /// - Parameter bounded: what a refusal of the preset's bounds of pixels names.
  init(
    backbone: Backbone, stage: Stage, images: String?, kind: BenchmarkKind?, part: ShareOptions,
    bounded: String
  ) throws {
    self.backbone = backbone
    self.stage = stage
    self.images = images
    self.kind = kind
    self.part = part
    let settings = stage.preset.evaluate
    var parts = backbone.parts
    let hasOwn = settings.minPixels != nil || settings.maxPixels != nil
    if hasOwn || parts.images.tiling == nil {
      // Pictures are seen as those of the training were, unless the preset says otherwise.
      parts.images =
        try hasOwn
        ? settings.bounding(parts.images, at: bounded)
        : stage.preset.prepare.bounding(parts.images, at: bounded)
    }
    self.parts = parts
    style = try PromptStyle(
      setting: settings.prompt, hasAdapted: type(of: backbone.config).hasAdaptedQuestions)
  }

  private func opened(_ path: String, limit: Int? = nil) throws -> Benchmark {
    try Benchmark(
      contentsOf: path, images: images,
      limit: limit ?? min(stage.limit ?? Int.max, settings.limit ?? Int.max),
      allowsOutside: settings.allowOutsideImages, kind: kind)
  }

  private func examiner(_ benchmark: Benchmark) throws -> Examiner {
    try Examiner(
      backbone: backbone, parts: parts, benchmark: benchmark, style: style, settings: settings)
  }

  /// Prints what is asked in a row.
  func show(_ row: Int, of path: String) throws {
    let benchmark = try opened(path, limit: Int.max)
    guard let place = benchmark.places.firstIndex(where: { $0.row == row }) else {
      let reject = benchmark.rejects.first { $0.row == row }
      throw Failure(
        reject == nil ? .usage : .badData, reject?.reason ?? "there is no such row", at: path,
        expected: "1 to \(benchmark.questions.count + benchmark.rejects.count)", found: "\(row)")
    }
    print(try examiner(benchmark).shown(benchmark.questions[place]))
  }

  /// Asks a benchmark's questions, or those of a share.
  /// - Returns: the predictions, from the artifact, where all of them are there.
  @discardableResult
  func run(_ path: String, output: String) throws -> [Prediction]? {
    let benchmark = try opened(path)
    let examiner = try examiner(benchmark)
    // A record's index is the question's place in this order.
    let order = benchmark.askingOrder
    let questions = order.map { benchmark.questions[$0] }
    let places = order.map { benchmark.places[$0] }
    var inputs = backbone.fingerprints(as: "model")
    inputs["benchmark"] = try Fingerprint.file(path)
    inputs["pictures"] = try examiner.picturesFingerprint()
    inputs["prompts"] = examiner.promptsFingerprint
    let writer = try stage.artifact(
      at: output, kind: .evaluation,
      settings: ["evaluate": settings.json, "generation": examiner.recorded],
      execution: ["evaluate": settings.execution], inputs: inputs,
      samplesPerShard: Examination.questionsPerShard, share: part.wanted
    ) {
      try stage.plan(
        memory: try examiner.memory(threads: stage.threads),
        advice: "Lower evaluate.max_pixels, evaluate.tokens_per_batch or evaluate.batch.")
    }
    guard let writer else {
      return part.wanted == .all
        ? try Predictions.read(Files.join(output, "predictions.jsonl")) : nil
    }
    var rejects = try Rejects(
      benchmark, settings, benchmark: path, path: writer.path(Rejects.file))
    var known = Running()
    for shard in try writer.shards {
      for index in shard.indices {
        let record = try shard.record(index)
        if let reject = Rejects.reject(in: record) {
          try rejects.add(reject.reason, reject.code, questions[index], at: places[index])
        } else {
          known.add(examiner.prediction(try record.tensor("answer").int32s(), questions[index]))
        }
      }
    }
    let isWhole = try stage.writeShards(
      of: Array(questions.indices), to: writer, unit: "questions",
      label: benchmark.name, note: { known.text }
    ) { members, append, advance in
      var asked: [(record: Record, score: Double)] = []
      try examiner.answers(members.map { questions[$0] }, between: stage.checkInterrupt) {
        place, answer in
        let index = members[place]
        switch answer {
        case .success(let tokens):
          let prediction = examiner.prediction(tokens, questions[index])
          known.add(prediction)
          let tensor = RawTensor(int32: tokens, shape: [tokens.count])
          asked.append(
            (Record(index: index, tensors: ["answer": tensor]), prediction.score ?? 0))
        case .failure(let failure):
          asked.append((Rejects.record(failure, of: index), 0))
          try rejects.add(
            "\(failure)", failure.code, questions[index], at: places[index])
        }
        advance(1)
      }
      // In one order, whichever answer was complete first: sums are rounded.
      asked.sort { $0.record.index < $1.record.index }
      for member in asked { try append(member.record) }
      return [("correct", .number(asked.reduce(0) { $0 + $1.score }))]
    }
    guard isWhole else { return nil }
    let answered = try writer.shards.flatMap { shard in
      try shard.indices.compactMap { index -> (number: Int, prediction: Prediction)? in
        let record = try shard.record(index)
        if Rejects.reject(in: record) != nil { return nil }
        return (
          order[index],
          examiner.prediction(try record.tensor("answer").int32s(), questions[index])
        )
      }
    }
    let predictions = answered.sorted { $0.number < $1.number }.map(\.prediction)
    let scores = Scores(predictions)
    try writer.writeFile("predictions.jsonl", Predictions.encode(predictions))
    try writer.writeFile(
      "predictions.tsv", Predictions.table(predictions, columns: benchmark.columns))
    try writer.writeFile("scores.json", scores.encode())
    try writer.writeFile(Rejects.file, Array(rejects.lines.utf8))
    Summary.log(scores, stage)
    if !rejects.all.isEmpty {
      let total = questions.count + benchmark.rejects.count
      let list = writer.path(Rejects.file)
      stage.log.warning("\(rejects.all.count) of \(total) questions rejected: see \(list)")
    }
    try stage.finish(
      writer,
      facts: [
        "model": .string(backbone.directory), "benchmark": .string(path),
        "accuracy": .number(scores.overall.accuracy), "questions": .int(predictions.count),
        "rejects": .int(rejects.all.count),
      ])
    return predictions
  }
}

/// The score so far.
struct Running {
  private var sum = 0.0
  private var count = 0

  mutating func add(_ prediction: Prediction) {
    guard let score = prediction.score else { return }
    sum += score
    count += 1
  }

  var text: String { count == 0 ? "" : Summary.percent(100 * sum / Double(count)) }
}

/// What a set of scores comes to, in a line of the log for each benchmark.
enum Summary {
  static func percent(_ value: Double) -> String {
    "\((value * 10).rounded() / 10)%"
  }

  static func log(_ scores: Scores, _ stage: Stage) {
    for benchmark in scores.benchmarks {
      let name = "\(benchmark.name) (\(benchmark.kind), \(benchmark.questions) questions)"
      let all = benchmark.metrics.filter { $0.group == nil && $0.split == nil }
      guard !all.isEmpty else {
        stage.log.info("\(name): a judge has to score it; see predictions.tsv")
        continue
      }
      let figures = all.map { "\($0.name) \(($0.value * 100).rounded() / 100)" }
      stage.log.info("\(name): \(figures.joined(separator: ", "))")
    }
  }
}
