import Kernels
import Tensors
import Testing

@testable import Decoding
@testable import Models

/// A whole model in the other precisions, against what transformers gives in float32. Without
/// bfloat16 in the processor, OpenBLAS multiplies the rounded factors: the same products.
@Suite struct PrecisionParityTests {
  /// What rounded factors may change of the largest value: PyTorch's bfloat16 changes up to 0.039.
  static func bound(_ precision: Precision) -> Float { precision == .bfloat16 ? 3.9e-2 : 2e-3 }
  /// And of a tensor's gradient, of its norm. Measured: at most 0.047, 0.061 for the bias of a key,
  /// whose gradient is what others leave.
  static func gradientBound(_ precision: Precision) -> Float {
    precision == .bfloat16 ? 0.1 : 2e-3
  }

  @Test(
    .enabled(
      if: Precision.hasHardware,
      "this processor does not multiply bfloat16: the suite runs on factors rounded to it"))
  func hardware() { #expect(Precision.fastest == .bfloat16) }

  @Test(arguments: Goldens.models, [Precision.bfloat16, .bfloat16x2])
  func hiddenStatesLogitsAndLoss(model name: String, precision: Precision) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    for sample in ["one_image", "text_only"] where goldens.model.cases.contains(sample) {
      let input = try goldens.packed([sample], for: model)
      try precision.use {
        let tape = Tape(recording: false)
        let layers = model.config.text.layers
        let output = model.forward(input.batch, tape: tape, layers: [layers])
        let logits = model.logits(output.last, tape: tape).array
        for (found, key) in [
          (try #require(output.hidden[layers]).array, "hidden.\(layers)"),
          (output.last.array, "hidden.last"), (logits, "logits"),
        ] {
          let difference = relativeDifference(found, try goldens.floats("\(sample)/\(key)"))
          #expect(difference < Self.bound(precision), "\(key)")
          // Rounding happened.
          if precision == .bfloat16 { #expect(difference > 1e-5, "\(key)") }
        }
        let expected = try goldens.floats("\(sample)/loss")[0]
        for head in [Head.dense, .streaming] {
          let loss = try batchLoss(model, input, tape, head: head).scalar
          #expect(abs(loss - expected) < Self.bound(precision) * max(1, expected))
        }
        // The same bytes twice.
        #expect(model.logits(output.last, tape: tape).array == logits)
      }
    }
  }

  @Test(arguments: Goldens.models, [Precision.bfloat16, .bfloat16x2])
  func gradients(model name: String, precision: Precision) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    model.train(Set(VisionLanguageModel.Part.allCases))
    let input = try goldens.packed(goldens.model.packed, for: model)
    for head in [Head.dense, .streaming] {
      try precision.use {
        let tape = Tape(recording: true)
        tape.backward(try batchLoss(model, input, tape, head: head, checkpointing: true))
      }
      try expectGradients(goldens, "packed", model.named, tolerance: Self.gradientBound(precision))
      for parameter in model.parameters { parameter.clearGradient() }
    }
  }

  /// What PyTorch's bfloat16, weights and activations, changes of its float32 on `text_only`: hidden
  /// states, logits and the median tensor's gradient (Tests/Goldens/measure_bfloat16.py, torch 2.13).
  private static let pytorch: [String: (hidden: Float, logits: Float, gradient: Float)] = [
    "a": (0.0155, 0.0161, 0.0236), "b": (0.0104, 0.0097, 0.0147),
    "onevision": (0.0177, 0.0204, 0.0225), "qwen2.5": (0.0472, 0.0357, 0.0268),
    "qwen3": (0.0133, 0.0140, 0.0203),
  ]

  @Test("No less exact than PyTorch's bfloat16", arguments: pytorch.keys.sorted())
  func noWorseThanPyTorch(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    model.train(Set(VisionLanguageModel.Part.allCases))
    let input = try goldens.packed(["text_only"], for: model)
    let limit = try #require(Self.pytorch[name])
    let (hidden, logits) = try Precision.bfloat16.use {
      let tape = Tape(recording: false)
      let last = model.forward(input.batch, tape: tape).last
      let training = Tape(recording: true)
      training.backward(try batchLoss(model, input, training, head: .streaming))
      return (last.array, model.logits(last, tape: tape).array)
    }
    let found = (
      hidden: relativeDifference(hidden, try goldens.floats("text_only/hidden.last")),
      logits: relativeDifference(logits, try goldens.floats("text_only/logits"))
    )
    let expected = try goldens.gradients("text_only")
    let scale = expected.map(\.norm).max() ?? 0
    let named = model.named
    let differences = try expected.filter { $0.norm > 1e-6 * scale && norm($0.values) > 0 }.map {
      let gradient = try #require(named[$0.parameter.name]?.gradient).array
      let values = Goldens.kept(gradient.count).map { gradient[$0] }
      return norm(zip(values, $0.values).map { $0 - $1 }) / norm($0.values)
    }.sorted()
    let median = differences[differences.count / 2]
    #expect(found.hidden < limit.hidden, "\(found)")
    #expect(found.logits < limit.logits, "\(found)")
    #expect(median < limit.gradient, "\(median)")
  }

  /// A weight is rounded anew when it has changed, and no step is lost in the rounding.
  @Test func aChangedWeightIsRoundedAgain() throws {
    let weight = Parameter("w", shape: [2, 2], values: [1, 0, 0, 1], trainable: true)
    let x = Tensor([1, 2], [1, 2])
    func product() -> [Float] {
      Precision.bfloat16.use { Tape(recording: false).linear(x, weight).array }
    }
    #expect(product() == [1, 2])
    weight.mutableValues?[0] = 1.001
    #expect(product() == [1, 2])
    weight.mutableValues?[0] = 1.5
    #expect(product() == [1.5, 2])
    #expect(weight.array == [1.5, 0, 0, 1])
  }
}
