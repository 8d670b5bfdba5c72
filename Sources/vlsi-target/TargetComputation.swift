import Artifacts
import Checkpoints
import Distillation
import Failures
import Kernels
import Planning
import StageKit
import Tensors
import Tokenization
import Training

/// The teacher's stored features, its verbalizers and both heads, checked to fit together.
struct TargetComputation {
  let features: FeatureReader
  /// The teacher's target layers, shallow to deep, and the last one.
  let layers: [TargetLayer]
  /// Fingerprints of all that goes in.
  let inputs: [String: String]
  /// The tokens that both heads have.
  let shared: Int
  let teacherHeadRows: Int
  /// The student's width.
  let width: Int

  private let verbalizers: VerbalizerSet
  private let teacherHead: LanguageHead
  private let studentHead: LanguageHead
  private let settings: TargetSettings
  /// Of the student, where the teacher has its own.
  private let studentSamples: ExampleReader?
  private let facts: [String: JSON]

  /// - Throws: `Failure` 65 naming both sides when two inputs do not belong together, 78 when
  ///   `target.top_k` exceeds the shared vocabulary.
  init(
    teacher: String, student: String, features: String, verbalizers: String, samples: String?,
    settings: TargetSettings
  ) throws {
    self.settings = settings
    let (teaching, learning) = (try Backbone(teacher), try Backbone(student))
    let (teacherCheckpoint, studentCheckpoint) = (teaching.checkpoint, learning.checkpoint)
    self.features = try FeatureReader(directory: features)
    let trained = try ArtifactReader(directory: verbalizers, kind: .verbalizers)
    let artifact = self.features.artifact
    try artifact.requireInput("model.weights", teacherCheckpoint.fingerprint, from: teacher)
    try trained.requireInput("model.weights", teacherCheckpoint.fingerprint, from: teacher)

    let tokenizer = learning.tokenizer.fingerprint
    if let samples {
      try learning.tokenizer.requireSharedIDs(teaching.tokenizer, of: teacher, at: student)
      let reader = try ExampleReader(
        samples: samples, config: learning.config, processor: learning.processor)
      try learning.requireSamples(reader.artifact)
      studentSamples = reader
    } else {
      try learning.tokenizer.requireTeachers(teaching.tokenizer, of: teacher, at: student)
      studentSamples = nil
    }
    try artifact.requireInput("model.tokenizer", teaching.tokenizer.fingerprint, from: teacher)

    self.verbalizers = try VerbalizerSet(trained)
    for layer in self.features.layers where self.verbalizers[layer] == nil {
      throw Failure(
        .badData, "no verbalizer was trained for layer \(layer) of the features", at: verbalizers,
        expected: "layers \(self.features.layers)", found: "layers \(self.verbalizers.layers)",
        advice: "Run vlsi-verbalize with these features")
    }
    layers = TargetLayer.all(self.features.layers)

    let heads = (try LanguageHead(teacherCheckpoint), try LanguageHead(studentCheckpoint))
    shared = min(heads.0.vocabulary, heads.1.vocabulary)
    teacherHeadRows = heads.0.vocabulary
    teacherHead = try heads.0.prefix(shared)
    studentHead = try heads.1.prefix(shared)
    width = studentHead.width
    if settings.form == .topk, settings.topK > shared {
      throw Failure(
        .badPreset, "target.top_k exceeds the vocabulary", expected: "at most \(shared)",
        found: "\(settings.topK)")
    }
    var inputs = [
      "teacher.weights": teacherCheckpoint.fingerprint,
      "student.weights": studentCheckpoint.fingerprint,
      "teacher.tokenizer": teaching.tokenizer.fingerprint, "student.tokenizer": tokenizer,
      "features": artifact.fingerprint, "verbalizers": trained.fingerprint,
    ]
    inputs["samples"] = studentSamples?.artifact.fingerprint ?? artifact.manifest.inputs["samples"]
    self.inputs = inputs
    facts = [
      "teacher": .string(teacher), "student": .string(student),
      "layers": .array(self.features.layers.map { .int($0) }), "width": .int(width),
      "teacher_width": .int(teacherHead.width), "temperature": .number(settings.temperature),
      "teacher_vocabulary": .int(heads.0.vocabulary),
      "student_vocabulary": .int(heads.1.vocabulary), "shared_vocabulary": .int(shared),
      "tokenizer": .string(tokenizer),
    ]
  }

  /// The memory that a group of positions takes, in bytes.
  var plannedBytes: Int {
    StageMemory.target(
      verbalizers.form, numbers: settings.numbers(student: width, teacher: features.width),
      layers: layers.count, positions: features.positionsOfShard)
  }

  /// What readers need to know.
  func facts(_ settings: TargetSettings) -> [String: JSON] {
    facts.merging(["form": .string(settings.form.rawValue)]) { $1 }
  }

  /// Calls `body` with groups of samples that make one pass over the heads worthwhile.
  func forEachGroup(_ indices: [Int], _ body: ([Features]) throws -> Void) throws {
    try Training.forEachGroup(
      indices, limit: StageMemory.positionsPerPass, read: features.features, cost: { $0.count },
      body)
  }

  /// Gives a sample's targets the positions that they have in the student's sample, whose tokens at
  /// them must be the same.
  /// - Throws: `Failure(.badData)` naming the sample and the first token that differs.
  func move(_ target: inout SoftTargetRecord) throws {
    guard let studentSamples else { return }
    let (positions, labels) = try studentSamples.supervision(target.index)
    guard labels == target.labels else {
      let place = zip(labels, target.labels).enumerated().first { $1.0 != $1.1 }?.offset
      throw Failure(
        .badData, "teacher and student are supervised at other tokens",
        at: studentSamples.artifact.place(of: target.index),
        expected: place.map { "token \(target.labels[$0]) as supervised token \($0)" }
          ?? "\(target.labels.count) supervised tokens",
        found: place.map { "token \(labels[$0])" } ?? "\(labels.count)",
        advice: "Prepare both from the same conversations, with a context that holds them whole")
    }
    target.positions = positions
  }

  /// What the teacher says about these samples, in their order.
  /// - Throws: `Failure(.badData)` naming record and layer when a number is not finite.
  func targets(_ group: [Features]) throws -> [SoftTargetRecord] {
    var records = group.map {
      SoftTargetRecord(
        index: $0.index, positions: $0.positions, labels: $0.labels, layers: [:])
    }
    for layer in layers {
      var start = 0
      let computed = try softTargets(layer, group)
      for number in records.indices {
        let rows = start..<start + group[number].count
        start = rows.upperBound
        let soft = computed.soft.rows(rows)
        guard soft.entropy.allSatisfy(\.isFinite) else {
          throw Failure(
            .badData, "layer \(layer) says nothing finite",
            at: features.artifact.place(of: group[number].index),
            advice: "Look at the features with vlsi-dump --stats")
        }
        records[number].layers[layer] = soft
        records[number].vectors[layer] = computed.vectors?.rows(rows)
      }
    }
    return records
  }

  /// One layer at the supervised positions of all samples of the group.
  private func softTargets(
    _ layer: TargetLayer, _ group: [Features]
  ) throws -> (soft: SoftTarget, vectors: TeacherVectors?) {
    let count = group.reduce(0) { $0 + $1.count }
    let hidden = Tensor([count, features.width])
    var answers: [Range<Int>] = []
    var row = 0
    for sample in group {
      sample.copy(layer, rows: 0..<sample.count, to: hidden.values + row * features.width)
      answers += Verbalizer.answers(sample.positions, from: row)
      row += sample.count
    }
    var vectors = hidden
    if case .layer(let number) = layer, let verbalizer = verbalizers[number] {
      vectors = verbalizer.forward(Tape(recording: false), hidden, answers: answers)
    }
    if settings.temperature != 1 {
      Kernels.scale(vectors.values, Float(1 / settings.temperature), vectors.count)
    }
    if settings.form == .vectors {
      // What is stored of the distribution is that of the vectors as they are stored.
      vectors = try stored(vectors, layer, group)
    }
    return try withExtendedLifetime(vectors) {
      if settings.form == .topk {
        return (
          .largest(try teacherHead.largest(settings.topK, vectors.values, positions: count)), nil
        )
      }
      let projection = try teacherHead.project(
        vectors.values, positions: count, through: studentHead)
      return (
        .exact(projected: projection.projected.array, entropy: projection.entropy),
        settings.form == .vectors
          ? TeacherVectors(
            width: vectors.columns, values: vectors.array, logSumExp: projection.logSumExp) : nil
      )
    }
  }

  /// The vectors rounded to what is stored of them.
  private func stored(_ vectors: Tensor, _ layer: TargetLayer, _ group: [Features]) throws -> Tensor
  {
    let rounded = try RawTensor(vectors.array, as: settings.elementType, shape: vectors.shape)
      .floats()
    if let i = rounded.firstIndex(where: { !$0.isFinite }) {
      throw Failure(
        .badData,
        "layer \(layer) puts out a number that \(settings.precision.rawValue) does not hold",
        at: features.artifact.directory, found: "\(vectors.values[i])",
        advice: "Set target.precision: bfloat16, or look at the features with vlsi-dump --stats")
    }
    return Tensor(rounded, vectors.shape)
  }
}
