import Artifacts
import Checkpoints
import Models
import Distillation
import Evaluation
import Foundation
import Imaging
import Kernels
import Tokenization

@testable import Reporting

/// A run made by hand, in the formats that the stages write: numbers are invented, and what the
/// layers say is known, because hidden states are rows of the language head.
struct SmallRun {
  static let width = 64
  static let vocabulary = 540
  static let tasks = ["colour", "count", "existence", "digit"]
  static let teacherLayers = [2, 3, 4, 5]
  static let studentLayers = [2, 3]

  let path: String
  private let tokenizer: Tokenizer

  /// - Parameter path: the run's folder, made new.
  init(at path: String) throws {
    self.path = path
    tokenizer = try Tokenizer(directory: "\(SmallRun.repository)/data/tokenizer")
  }

  static var repository: String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().path
  }

  /// All that a whole run has.
  func makeAll() throws {
    try makeData()
    try makePredictions()
    try makeVerbalizerMetrics()
    try makeTraining()
    try evaluate(.teacher, every: 40)
    try evaluate(.student, every: 2)
    try evaluate(.sft, every: 3)
    try evaluate(.lastLayer, every: 4)
    try evaluate(.model, every: 5)
  }

  // MARK: Parts

  func text(_ name: String, _ text: String) throws {
    let file = "\(path)/\(name)"
    try Files.makeDirectory((file as NSString).deletingLastPathComponent)
    try Data(text.utf8).write(to: URL(fileURLWithPath: file))
  }

  private func metrics(_ artifact: String, _ lines: [JSON]) throws {
    try text("\(artifact)/metrics.jsonl", lines.map { $0.text() + "\n" }.joined())
  }

  func artifact(
    _ name: String, _ kind: ArtifactKind, settings: JSON = [:], inputs: [String: String] = [:],
    facts: [String: JSON] = [:], seconds: Double = 61,
    _ fill: (ArtifactWriter) throws -> Void = { _ in }
  ) throws {
    let writer = try ArtifactWriter(
      directory: "\(path)/\(name)", kind: kind, settings: settings, inputs: inputs,
      program: "vlsi-\(kind.rawValue)")
    try fill(writer)
    try writer.finish(facts: facts, wallSeconds: seconds, peakBytes: 123_000_000)
  }

  func makeData() throws {
    try text(
      "data/synthesis.json",
      """
      {"splits": {"train": {"questions": 5917, "wrong_answers": 1775},
      "test": {"questions": 400, "guessing": {"overall": 0.241, "colour": 0.2, "count": 0.25,
      "existence": 0.5, "digit": 0.1}}}}
      """)
    var table = "index\timage_path\tquestion\tanswer\tcategory\n"
    for question in questions {
      let index = Int(question.index) ?? 0
      table += "\(index)\timages/\(index % 8).png\t\(question.question)\t\(question.answer)\t"
      table += "\(question.category)\n"
    }
    try text("data/test.tsv", table)
    try Files.makeDirectory("\(path)/data/images")
    for number in 0..<8 {
      let png = try image(number).pngData()
      try Data(png).write(to: URL(fileURLWithPath: "\(path)/data/images/\(number).png"))
    }
  }

  private func image(_ number: Int) throws -> RGBImage {
    var pixels: [UInt8] = []
    for y in 0..<64 {
      for x in 0..<64 {
        let cell = (x / 16 + 4 * (y / 16)) % 8 == number
        pixels += cell ? [200, 60, 40] : [UInt8(180 + x / 4), UInt8(170 + y / 4), 190]
      }
    }
    return try RGBImage(width: 64, height: 64, pixels: pixels)
  }

  /// Head row of a token: numbers that point every row elsewhere [width].
  private static func row(_ token: Int) -> [Float] {
    var state = SplitMix64(seed: UInt64(token) &+ 77)
    return (0..<width).map { _ in Float(state.normal()) }
  }

  /// Samples, and features whose states are head rows: what is said is known.
  func makePredictions(_ count: Int = 12) throws {
    for role in ["teacher", "student", "model"] { try makeModel(role) }
    let samples = try (0..<count).map(sample)
    try artifact("samples", .samples) { writer in
      try writer.writeShard(0) { append in
        for (index, sample) in samples.enumerated() {
          let turns: JSON = .array(
            sample.answers.indices.flatMap { number -> [JSON] in
              [
                ["role": "user", "content": .string("<image>\nwhat colour is number \(number)?")],
                [
                  "role": "assistant", "content": .string(tokenizer.decode(sample.answers[number])),
                ],
              ]
            })
          try append(
            Record(
              index: index,
              tensors: [
                "input_ids": RawTensor(int32: sample.ids, shape: [sample.ids.count]),
                "segments": RawTensor(int32: sample.segments, shape: [sample.ids.count]),
                "pixels.0": RawTensor(uint8: try image(index % 8).pixels, shape: [64, 64, 3]),
              ], metadata: ["id": "s\(index)", "turns": turns.text()]))
        }
      }
    }
    try makeFeatures("teacher", SmallRun.teacherLayers, samples)
    try makeFeatures("student", SmallRun.studentLayers, samples)
    // After distillation the student's layers know more: only the shallowest errs now and then.
    try makeFeatures("model", SmallRun.studentLayers, samples, knowing: 2)
    try artifact("model", .model, settings: ["finetune": ["steps": 400]])
  }

  private struct Sample {
    var ids: [Int32], segments: [Int32], answers: [[Int32]]
    var positions: [Int32] = [], labels: [Int32] = []
  }

  /// Two questions behind a shared prefix of three tokens.
  private func sample(_ index: Int) throws -> Sample {
    var sample = Sample(ids: [1, 2, 3], segments: [0, 0, 0], answers: [])
    for (number, colour) in ["red", "green"].enumerated() {
      let words = tokenizer.encode("the circle is \(colour)") + [525]
      sample.answers.append(words)
      sample.ids += [4, 5] + words
      sample.segments += [Int32](repeating: Int32(number + 1), count: words.count + 2)
      let start = sample.ids.count - words.count - 1
      sample.positions += words.indices.map { Int32(start + $0) }
      sample.labels += words
    }
    return sample
  }

  private func makeModel(_ role: String) throws {
    let config: JSON = [
      "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl",
      "hidden_act": "silu", "hidden_size": .int(SmallRun.width), "num_hidden_layers": 6,
      "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48,
      "vocab_size": .int(SmallRun.vocabulary), "rope_theta": 10000.0,
      "rope_scaling": ["type": "mrope", "mrope_section": [2, 3, 3]], "rms_norm_eps": 1e-06,
      "tie_word_embeddings": false, "max_position_embeddings": 512, "torch_dtype": "float32",
      "image_token_id": 535, "video_token_id": 536, "vision_start_token_id": 532,
      "vision_end_token_id": 533, "eos_token_id": 525, "bos_token_id": 523,
      "vision_config": [
        "depth": 2, "embed_dim": 24, "num_heads": 2, "mlp_ratio": 2, "in_chans": 3,
        "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "hidden_size": .int(SmallRun.width),
      ],
    ]
    try text("../models/\(role)/config.json", config.text())
    let folder = "\(path)/../models/\(role)"
    for file in ["tokenizer.json", "tokenizer_config.json"] {
      let bytes = try Files.read("\(SmallRun.repository)/data/tokenizer/\(file)")
      try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(file)"))
    }
    let head = RawTensor(
      float32: (0..<SmallRun.vocabulary).flatMap(SmallRun.row),
      shape: [SmallRun.vocabulary, SmallRun.width])
    // Only the head speaks; a checkpoint has all the rest too.
    let rest = try ModelFamilies.config(directory: folder).tensorShapes.map { name, shape in
      let zeros = [Float](repeating: 0, count: shape.reduce(1, *))
      return (name, name == "lm_head.weight" ? head : RawTensor(float32: zeros, shape: shape))
    }
    try Data(Safetensors.encode(rest))
      .write(to: URL(fileURLWithPath: "\(folder)/model.safetensors"))
    if role == "model" { return }
    let layers = role == "teacher" ? SmallRun.teacherLayers : SmallRun.studentLayers
    try artifact("verbalizers/\(role)", .verbalizers) { writer in
      try VerbalizerSet(
        layers: layers, finalNorm: [Float](repeating: 1, count: SmallRun.width),
        form: VerbalizerForm(
          inputNorm: false,
          backbone: DecoderShape(
            width: SmallRun.width, intermediate: 1, heads: 1, keyValueHeads: 1, ropeTheta: 1,
            epsilon: 1e-6)), seed: 0
      ).write(to: writer.path(VerbalizerSet.fileName))
      try writer.adoptFile(VerbalizerSet.fileName)
    }
  }

  /// A layer says the label's word, but the shallower it is the more often "!"; `knowing` more
  /// places are right in every layer.
  private func makeFeatures(
    _ role: String, _ layers: [Int], _ samples: [Sample], knowing: Int = 0
  ) throws {
    let model = "\(path)/../models/\(role)"
    let names = layers.map { "hidden.\($0)" } + ["hidden.last"]
    try artifact(
      "features/\(role)", .features,
      inputs: ["model.weights": try Checkpoint(directory: model).fingerprint],
      facts: [
        "model": .string(model), "width": .int(SmallRun.width),
        "layers": .array(layers.map { .int($0) }),
      ]
    ) { writer in
      try writer.writeShard(0) { append in
        for (index, sample) in samples.enumerated() {
          let count = sample.labels.count
          var tensors = [
            "positions": RawTensor(int32: sample.positions, shape: [count]),
            "labels": RawTensor(int32: sample.labels, shape: [count]),
          ]
          for (depth, name) in names.enumerated() {
            let states = sample.labels.enumerated().flatMap { place, label in
              SmallRun.row(place % names.count <= depth + knowing ? Int(label) : 0)
            }
            tensors[name] = RawTensor(states, as: .bfloat16, shape: [count, SmallRun.width])
          }
          try append(Record(index: index, tensors: tensors))
        }
      }
    }
  }

  func makeVerbalizerMetrics(_ steps: Int = 200) throws {
    for (role, layers) in [
      ("teacher", SmallRun.teacherLayers), ("student", SmallRun.studentLayers),
    ] {
      var lines: [JSON] = []
      for step in 0..<steps {
        for layer in layers {
          let floor = 2.5 / Double(layer)
          let loss = floor + 4 * exp(-Double(step) / 30) + 0.05 * sin(Double(step * layer))
          lines.append(["step": .int(step), "layer": .int(layer), "loss": .number(loss)])
        }
      }
      try metrics("verbalizers/\(role)", lines)
    }
  }

  static let alignSettings: JSON = [
    "align": [
      "steps": 800, "matching": "multinomial", "search_range": true, "order_preservation": true,
    ]
  ]

  func makeTraining() throws {
    var state = SplitMix64(seed: 5)
    let lines: [JSON] = (0..<800).map { step in
      let first = 2 + Int(state.uniform() * 3)
      let second = first + 1 + Int(state.uniform() * Double(5 - first))
      let decay = exp(-Double(step) / 200)
      return [
        "step": .int(step), "loss": .number(3 * decay), "last": .number(0.1 + decay),
        "intermediate": [.number(0.6 + 2 * decay), .number(0.4 + 1.5 * decay)],
        "matches": [[[.int(first)], [.int(min(5, second))]]], "entropy": [1.09, 0.6],
        "maximum_entropy": [1.0986, 0.7], "last_gradient": .number(0.02 * decay),
        "intermediate_gradient": [.number(0.1 * decay), .number(0.05 * decay)],
      ]
    }
    for (name, base) in [("", ""), ("compare/last-layer/", "last")] {
      try artifact(
        "\(name)adapter", .adapter,
        settings: base.isEmpty
          ? SmallRun.alignSettings
          : ["align": ["steps": 800, "intermediate_loss": "none", "last_loss": "kl"]],
        facts: [
          "student_layers": .array(SmallRun.studentLayers.map { .int($0) }),
          "teacher_layers": .array(SmallRun.teacherLayers.map { .int($0) }),
        ])
      try metrics(
        "\(name)adapter",
        base.isEmpty
          ? lines
          : lines.map {
            [
              "step": $0["step"] ?? 0, "last": $0["last"] ?? 0, "intermediate": [0, 0],
              "matches": [],
            ]
          })
    }
    for (name, steps) in [
      ("model", 400), ("compare/last-layer/model", 400), ("compare/sft/model", 1200),
    ] {
      try artifact(name, .model, settings: ["finetune": ["steps": .int(steps)]])
      try metrics(
        name,
        (0..<steps).map {
          ["step": .int($0), "loss": .number(0.9 + exp(-Double($0) / 100) + 0.1 * sin(Double($0)))]
        })
    }
  }

  /// The training of a large backbone: verbalization, interaction and matches over many layers.
  func makeLarge(steps: Int, student: [Int], teacher: [Int]) throws {
    var state = SplitMix64(seed: 9)
    for (role, layers) in [("teacher", teacher), ("student", student)] {
      try artifact("verbalizers/\(role)", .verbalizers)
      try metrics(
        "verbalizers/\(role)",
        (0..<steps / 4).flatMap { step in
          layers.map { layer -> JSON in
            [
              "step": .int(step), "layer": .int(layer),
              "loss": .number(14 * exp(-Double(step) / 100) + 3 / Double(layer)),
            ]
          }
        })
    }
    try artifact(
      "adapter", .adapter, settings: SmallRun.alignSettings,
      facts: [
        "student_layers": .array(student.map { .int($0) }),
        "teacher_layers": .array(teacher.map { .int($0) }),
      ])
    let entropy = JSON.array(student.map { _ in .number(1.5) })
    try metrics(
      "adapter",
      (0..<steps).map { step in
        var matches: [JSON] = []
        var first = 0
        for i in student.indices {
          let last = teacher.count - student.count + i
          first += Int(state.uniform() * Double(last - first + 1))
          matches.append([.int(teacher[first])])
          first += 1
        }
        let numbers = student.map { _ in JSON.number(state.uniform()) }
        return [
          "step": .int(step), "last": .number(state.uniform()), "intermediate": .array(numbers),
          "matches": [.array(matches)], "entropy": entropy, "maximum_entropy": entropy,
          "last_gradient": .number(state.uniform()), "intermediate_gradient": .array(numbers),
        ]
      })
  }

  // MARK: Scores

  var questions: [BenchmarkQuestion] {
    (0..<400).map { index in
      let task = SmallRun.tasks[index / 100]
      return BenchmarkQuestion(
        index: String(index), pictures: [.file("images/\(index % 8).png")],
        question: "what \(task) is <number> \(index)?", answer: "the \(task) is \(index % 7)",
        columns: ["category": task])
    }
  }

  /// An evaluation in which every so many questions are answered wrongly; of one seed, where named.
  func evaluate(
    _ contender: Contender, seed: String? = nil, every: Int, count: Int = 400, model: String? = nil
  ) throws {
    let predictions = questions.prefix(count).enumerated().map { number, question in
      Prediction(
        number % every == 0 ? "no idea" : question.answer, for: question, benchmark: "test")
    }
    let benchmark = "\(path)/data/test.tsv"
    try artifact(
      "evaluation/\(contender.name)" + (seed.map { "/\($0)" } ?? ""), .evaluation,
      inputs: Files.exists(benchmark) ? ["benchmark": try Fingerprint.file(benchmark)] : [:],
      facts: [
        "benchmark": .string(benchmark), "model": model.map { .string($0) } ?? .null,
      ]
    ) { writer in
      try writer.writeFile("predictions.jsonl", Predictions.encode(predictions))
      try writer.writeFile("scores.json", Scores(predictions).encode())
    }
  }
}
