import Tensors
import Testing

@testable import Decoding
@testable import Models

/// Gradients of every tensor, and ten AdamW steps, are PyTorch's.
@Suite struct TrainingParityTests {
  @Test(
    arguments: Goldens.models, ["one_image", "two_images", "text_only", "several_turns", "packed"])
  func gradients(model name: String, sample: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    model.train(Set(VisionLanguageModel.Part.allCases))
    let names = sample == "packed" ? goldens.model.packed : [sample]
    let input = try goldens.packed(names, for: model)
    for (head, checkpointing) in [(Head.dense, false), (.dense, true), (.streaming, true)] {
      let tape = Tape(recording: true)
      let loss = try batchLoss(model, input, tape, head: head, checkpointing: checkpointing)
      #expect(
        abs(loss.scalar - (try goldens.floats("\(sample)/loss")[0])) < 1e-5 * max(1, loss.scalar))
      tape.backward(loss)
      try expectGradients(goldens, sample, model.named)
      for parameter in model.parameters { parameter.clearGradient() }
    }
  }

  /// Gradients flow from every question into the prefix that they share.
  @Test(arguments: Goldens.models) func gradientsThroughASharedPrefix(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    model.train(Set(VisionLanguageModel.Part.allCases))
    let shared = try goldens.sharedPrefix()
    let tape = Tape(recording: true)
    let loss = try batchLoss(
      model, (try model.pack([shared.sample]), shared.rows, shared.labels), tape)
    #expect(abs(loss.scalar - (try goldens.floats("shared/loss")[0])) < 1e-5 * max(1, loss.scalar))
    tape.backward(loss)
    try expectGradients(goldens, "shared", model.named)
  }

  /// Frozen parts get no gradient, and the others get the same as if all learned.
  @Test(arguments: Goldens.models) func frozenVision(model name: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    model.train([.embedding, .language, .head])
    let input = try goldens.packed(goldens.model.packed, for: model)
    let tape = Tape(recording: true)
    tape.backward(try batchLoss(model, input, tape))
    let named = model.named
    let vision = Set(model.parameters(of: [.vision]).map(\.name))
    #expect(!vision.isEmpty)
    for expected in try goldens.gradients("packed") {
      let parameter = try #require(named[expected.parameter.name])
      if vision.contains(parameter.name) {
        #expect(parameter.gradient == nil, "\(parameter.name)")
      } else {
        let found = norm(try #require(parameter.gradient).array)
        #expect(abs(found - expected.norm) < 1e-3 * expected.norm, "\(parameter.name)")
      }
    }
  }

  @Test(arguments: Goldens.models, ["all", "language"])
  func tenSteps(model name: String, variant: String) throws {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    let parts: Set<VisionLanguageModel.Part> =
      variant == "all" ? Set(VisionLanguageModel.Part.allCases) : [.embedding, .language, .head]
    model.train(parts)
    let optimizer = AdamW(
      model.parameters,
      AdamW.Settings(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, clipNorm: nil))
    let input = try goldens.packed(goldens.model.packed, for: model)
    let expected = try goldens.floats("train.\(variant)/losses")
    for (step, value) in expected.enumerated() {
      let tape = Tape(recording: true)
      let loss = try batchLoss(
        model, input, tape, head: .streaming, checkpointing: step % 2 == 1)
      #expect(abs(loss.scalar - value) < 1e-3 * value, "step \(step)")
      tape.backward(loss)
      optimizer.step(learningRate: 1e-3)
    }
    #expect(expected.count == 11)
  }
}
