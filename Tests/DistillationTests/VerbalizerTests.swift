import Artifacts
import Checkpoints
import Failures
import Foundation
import Kernels
import Tensors
import TestSupport
import Testing

@testable import Distillation
@testable import Decoding
@testable import Models

@Suite struct VerbalizerTests {
  /// A backbone of width d with 2 heads over 1 of keys and values.
  static func backbone(_ d: Int, epsilon: Float = 1e-6) -> DecoderShape {
    DecoderShape(
      width: d, intermediate: d + 3, heads: 2, keyValueHeads: 1, ropeTheta: 1000, epsilon: epsilon)
  }

  static func verbalizer(
    _ form: VerbalizerForm, layer: Int = 2, norm: [Float]? = nil, seed: UInt64 = 2
  ) -> Verbalizer {
    let d = form.backbone.width
    return Verbalizer(
      layer: layer, form: form, finalNorm: norm ?? [Float](repeating: 1, count: d), seed: seed)
  }

  /// Fills what starts at zero, so that a test sees it at work.
  static func awaken(_ verbalizer: Verbalizer) {
    verbalizer.train()
    var generator = SplitMix64(seed: 71)
    for parameter in verbalizer.parameters where parameter.array.allSatisfy({ $0 == 0 }) {
      for i in 0..<parameter.count {
        parameter.mutableValues?[i] = Float(generator.normal() * 0.4)
      }
    }
  }

  static func hidden(_ n: Int, _ d: Int, seed: UInt64 = 70) -> Tensor {
    RandomMatrix(n, d, scale: 2, seed: seed).tensor
  }

  static let variants: [(VerbalizerForm.Architecture, depth: Int)] = [
    (.verbFFN, 1), (.verbFFN, 2), (.ffn, 1), (.ffn, 2), (.mlp, 1), (.mlp, 2), (.decoder, 1),
    (.decoder, 2),
  ]

  @Test("The paper's parameter counts for a 7B backbone, all eight, and that of the weights made")
  func parameterCount() {
    let backbone = DecoderShape(
      width: 3584, intermediate: 18944, heads: 28, keyValueHeads: 4, ropeTheta: 1e6, epsilon: 1e-6)
    // METHOD.md, "Verb-FFN"; the decoder's norms and biases are 82,432 of a layer's numbers less.
    let paper: [(VerbalizerForm.Architecture, Int, Double)] = [
      (.decoder, 2, 3.3e9), (.decoder, 1, 1.6e9), (.ffn, 2, 2.9e9), (.ffn, 1, 1.4e9),
      (.verbFFN, 2, 539e6), (.verbFFN, 1, 269e6), (.mlp, 2, 180e6), (.mlp, 1, 90e6),
    ]
    for (architecture, depth, stated) in paper {
      let form = VerbalizerForm(architecture: architecture, depth: depth, backbone: backbone)
      let count = Double(form.parameterCount(layers: 7))
      #expect(abs(count - stated) < (stated > 1e9 ? 0.05e9 : 1e6), "\(architecture) \(depth)")
    }
    #expect(VerbalizerForm(backbone: backbone).parameterCount(layers: 7) == 269_746_176)
    for (architecture, depth) in Self.variants {
      let form = VerbalizerForm(
        architecture: architecture, depth: depth, backbone: Self.backbone(4))
      let set = VerbalizerSet(layers: [2, 6], finalNorm: [1, 1, 1, 1], form: form, seed: 0)
      let made = set.all.flatMap(\.parameters).reduce(0) { $0 + $1.count }
      #expect(made == form.parameterCount(layers: 2))
    }
  }

  @Test(
    "Untrained with a residual it is the logit lens: the final norm of the hidden state",
    arguments: variants)
  func logitLens(architecture: VerbalizerForm.Architecture, depth: Int) {
    let norm: [Float] = [0.5, 1, 2, -1, 1, 3, 0.2, 1]
    var form = VerbalizerForm(architecture: architecture, depth: depth, backbone: Self.backbone(8))
    let h = Self.hidden(3, 8)
    let tape = Tape(recording: false)
    let expected = tape.rmsNorm(h, Parameter("n", shape: [8], values: norm), epsilon: 1e-6)
    let verbalizer = Self.verbalizer(form, norm: norm)
    #expect(verbalizer.forward(tape, h, answers: [0..<3]).array == expected.array)
    form.inputNorm = false
    let plain = Self.verbalizer(form, norm: norm)
    #expect(plain.forward(tape, h, answers: [0..<3]).array == h.array)
    form.residual = false
    #expect(Self.verbalizer(form).forward(tape, h, answers: [0..<3]).array != h.array)
  }

  @Test(
    "f(h) by the formula, one and two deep", arguments: variants.filter { $0.0 != .decoder },
    [(true, true), (true, false), (false, true), (false, false)])
  func formula(variant: (VerbalizerForm.Architecture, Int), options: (Bool, Bool)) {
    let (architecture, depth) = variant
    let (inputNorm, residual) = options
    let d = 6
    let form = VerbalizerForm(
      architecture: architecture, depth: depth, inputNorm: inputNorm, residual: residual,
      backbone: Self.backbone(d, epsilon: 1e-5))
    let norm: [Float] = [1, 2, 0.5, 1, -1, 0.3]
    let verbalizer = Self.verbalizer(form, norm: norm)
    Self.awaken(verbalizer)
    let h = Self.hidden(4, d)
    let found = verbalizer.forward(Tape(recording: false), h, answers: [0..<4]).array
    func product(_ name: String, _ x: [Double]) -> [Double] {
      let w = verbalizer[name]
      let values = w.array
      return (0..<w.shape[0]).map { r in
        (0..<x.count).reduce(0.0) { $0 + Double(values[r * x.count + $1]) * x[$1] }
      }
    }
    func silu(_ x: [Double]) -> [Double] { x.map { $0 / (1 + exp(-$0)) } }
    func sum(_ x: [Double], _ y: [Double]) -> [Double] { zip(x, y).map { $0 + $1 } }
    for i in 0..<4 {
      var x = h.array[i * d..<(i + 1) * d].map { Double($0) }
      if inputNorm {
        let scale = 1 / (x.reduce(0) { $0 + $1 * $1 } / Double(d) + 1e-5).squareRoot()
        x = zip(x, norm).map { $0 * scale * Double($1) }
      }
      var y = x
      if architecture == .mlp {
        y = product("linear.weight", x)
        if depth == 2 { y = product("block2.linear.weight", silu(y)) }
        if residual { y = sum(x, y) }
      } else {
        for prefix in ["", "block2."].prefix(depth) {
          let gated = zip(
            silu(product(prefix + "gate.weight", y)), product(prefix + "up.weight", y)
          ).map { $0 * $1 }
          let z = product(prefix + "down.weight", gated)
          y = residual ? sum(y, z) : z
        }
      }
      #expect(worst(Array(found[i * d..<(i + 1) * d]), y) < 1e-4)
    }
  }

  @Test(
    "A decoder verbalizer is the backbone's decoder block, bit for bit where weights are float32",
    arguments: [
      ("data/student", "model.layers.0.", 500, 0),
      // Norms of queries and keys, no bias, heads wider than their share; bf16, which a verbalizer is
      // not.
      ("Tests/Goldens/model/qwen3", "model.language_model.layers.0.", 80, 5e-6),
    ])
  func decoderBlock(
    checkpoint: String, prefix: String, words: Int, tolerance: Double
  ) throws {
    let folder =
      URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path + "/" + checkpoint
    let model = try VisionLanguageModel(Checkpoint(directory: folder))
    let text = model.config.text
    let tape = Tape(recording: false)
    let ids = (0..<11).map { Int32($0 * 37 % words) }
    let batch = try model.pack([ModelSample(inputIDs: ids)])
    let expected = try #require(model.forward(batch, tape: tape, layers: [1]).hidden[1])

    let form = VerbalizerForm(
      architecture: .decoder, inputNorm: false, backbone: text.block)
    let verbalizer = Verbalizer(
      layer: 1, form: form, finalNorm: [Float](repeating: 1, count: text.hiddenSize), seed: 1)
    verbalizer.train()
    for weight in form.weights {
      let source = try #require(model.weights[prefix + weight.name])
      #expect(source.shape == weight.shape)
      verbalizer[weight.name].mutableValues?.update(from: source.floats, count: source.count)
    }
    let embedded = model.enter(batch, tape: tape).x
    let found = verbalizer.forward(tape, embedded, answers: [0..<ids.count]).array
    #expect(
      tolerance == 0
        ? found == expected.array
        : worst(found, expected.array.map { Double($0) }) <= tolerance)
    // The form comes back from a file's metadata as it was.
    #expect(try VerbalizerForm(form.metadata, place: "metadata") == form)
  }

  @Test("A decoder verbalizer attends within an answer and nowhere else")
  func answers() {
    #expect(Verbalizer.answers([]) == [])
    #expect(Verbalizer.answers([7]) == [0..<1])
    #expect(Verbalizer.answers([3, 4, 5, 9, 10, 2], from: 4) == [4..<7, 7..<9, 9..<10])
    let form = VerbalizerForm(architecture: .decoder, depth: 2, backbone: Self.backbone(8))
    let verbalizer = Self.verbalizer(form)
    Self.awaken(verbalizer)
    let h = Self.hidden(7, 8)
    let tape = Tape(recording: false)
    let together = verbalizer.forward(tape, h, answers: [0..<4, 4..<7]).array
    let second = verbalizer.forward(tape, tape.gatherRows(h, [4, 5, 6]), answers: [0..<3]).array
    #expect(Array(together[32...]) == second)
    #expect(verbalizer.forward(tape, h, answers: [0..<7]).array != together)
    // Causal: what comes later changes nothing.
    let first = verbalizer.forward(tape, tape.gatherRows(h, [0, 1]), answers: [0..<2]).array
    #expect(worst(first, together.prefix(16).map { Double($0) }) < 1e-5)
  }

  @Test(
    "Gradients, through head and cross-entropy, against finite differences", arguments: variants)
  func gradients(architecture: VerbalizerForm.Architecture, depth: Int) throws {
    let d = 4
    let head = RandomMatrix(30, d, scale: 1, seed: 72).parameter
    let verbalizer = Self.verbalizer(
      VerbalizerForm(
        architecture: architecture, depth: depth, residual: depth == 2, backbone: Self.backbone(d)),
      seed: 3)
    Self.awaken(verbalizer)
    let h = Self.hidden(6, d)
    let labels = (0..<6).map { Int32($0 * 5) }
    func loss(_ tape: Tape) throws -> Tensor {
      try tape.crossEntropy(
        verbalizer.forward(tape, h, answers: [0..<4, 4..<6]), head, labels: labels)
    }
    let tape = Tape(recording: true)
    tape.backward(try loss(tape))
    for parameter in verbalizer.parameters {
      try expectGradient(parameter) { try loss(Tape(recording: false)).scalar }
    }
    #expect(head.gradient == nil)
  }

  @Test("The file keeps every bit, under DESIGN.md's names; a bad one is refused")
  func file() throws {
    // Of the backbone the file keeps what the architecture needs.
    let form = VerbalizerForm(
      backbone: DecoderShape(
        width: 3, intermediate: 1, heads: 1, keyValueHeads: 1, ropeTheta: 1, epsilon: 3e-6))
    let set = VerbalizerSet(layers: [10, 2, 6], finalNorm: [1, 2, 3], form: form, seed: 4)
    let folder = FileManager.default.temporaryDirectory.path + "/verbalizers-\(UUID())"
    try Files.makeDirectory(folder)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/" + VerbalizerSet.fileName
    try set.write(to: path)
    let file = try readSafetensorsFile(path)
    #expect(file.tensors.count == 12 && file.tensors["layers.10.gate.weight"]?.shape == [3, 3])
    let read = try VerbalizerSet(file)
    #expect(read.layers == [2, 6, 10] && read.form == form && read.width == 3)
    for (one, two) in zip(set.all, read.all) {
      #expect(one.parameters.map(\.array) == two.parameters.map(\.array))
      #expect(two.norm?.array == [1, 2, 3])
    }

    var missing = file.tensors
    missing["layers.6.up.weight"] = nil
    var wrong = file.tensors
    wrong["layers.6.up.weight"] = file.tensors["layers.6.norm.weight"]
    var extra = file.tensors
    extra["layers.6.other.weight"] = file.tensors["layers.6.up.weight"]
    for (tensors, metadata) in [
      (missing, file.metadata), (wrong, file.metadata), (extra, file.metadata), (file.tensors, [:]),
    ] {
      try writeSafetensorsFile(
        path, tensors.sorted { $0.key < $1.key }.map { OutputTensor($0.value, name: $0.key) },
        metadata: metadata)
      #expect(throws: Failure.self) { try VerbalizerSet(readSafetensorsFile(path)) }
    }
  }

  @Test("Every architecture comes back from its file as it was", arguments: variants)
  func everyFile(architecture: VerbalizerForm.Architecture, depth: Int) throws {
    let form = VerbalizerForm(
      architecture: architecture, depth: depth, inputNorm: depth == 1, backbone: Self.backbone(8))
    let set = VerbalizerSet(
      layers: [2, 6], finalNorm: [Float](repeating: 2, count: 8), form: form, seed: 4)
    set.all.forEach(Self.awaken)
    let folder = try TemporaryFolder()
    let path = folder.path + "/" + VerbalizerSet.fileName
    try set.write(to: path)
    let read = try VerbalizerSet(readSafetensorsFile(path))
    let h = Self.hidden(5, 8)
    let tape = Tape(recording: false)
    for (one, two) in zip(set.all, read.all) {
      #expect(
        one.forward(tape, h, answers: [0..<3, 3..<5]).array
          == two.forward(tape, h, answers: [0..<3, 3..<5]).array)
    }
    #expect(read.form.metadata == form.metadata)
  }

  @Test("Metadata that cannot be are refused with 65")
  func hostileMetadata() {
    let sound = VerbalizerForm(
      architecture: .decoder, depth: 2, backbone: Self.backbone(8)
    ).metadata
    for (key, value) in [
      ("format", "lstm"), ("depth", "0"), ("depth", "1000000000"), ("width", "-4"), ("width", "6"),
      ("heads", "3"), ("key_value_heads", "0"), ("rope_theta", "fast"), ("residual", "yes"),
      ("intermediate_size", "9223372036854775807"),
    ] {
      var bad = sound
      bad[key] = value
      #expect(failure { try VerbalizerForm(bad, place: "test") }?.code == .badData, "\(key)")
    }
  }

  @Test("A layer's untrained numbers do not depend on which other layers are made")
  func seeds() throws {
    let form = VerbalizerForm(backbone: Self.backbone(2))
    let one = VerbalizerSet(layers: [6], finalNorm: [1, 1], form: form, seed: 5)
    let two = VerbalizerSet(layers: [2, 6], finalNorm: [1, 1], form: form, seed: 5)
    #expect(one[6]?.parameters.map(\.array) == two[6]?.parameters.map(\.array))
    #expect(two[2]?.parameters.map(\.array) != two[6]?.parameters.map(\.array))
  }
}
