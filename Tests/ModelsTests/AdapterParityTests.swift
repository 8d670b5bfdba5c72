import Failures
import Foundation
import Tensors
import Testing

@testable import Decoding
@testable import Models

/// LoRA is PEFT's: an adapter that PEFT saved gives PEFT's logits, gradients and training steps,
/// merged or not.
@Suite struct AdapterParityTests {
  static let adapted = ["a", "qwen2.5", "qwen3", "onevision"]

  private func loadWithAdapter(
    _ name: String
  ) throws -> (goldens: Goldens, model: VisionLanguageModel) {
    let goldens = try Goldens(name)
    let model = try goldens.load()
    try AdapterFiles.attach(goldens.adapter, to: model)
    let wanted = try #require(goldens.model.adapter).map(\.name)
    let found = LowRankAdapters.parameters(of: model).map { model.config.tensorNames.peft($0.name) }
    #expect(found.sorted() == wanted.sorted())
    return (goldens, model)
  }

  private func expectLogits(_ goldens: Goldens, _ model: VisionLanguageModel) throws {
    let tape = Tape(recording: false)
    for name in ["two_images", "several_turns"] {
      let output = try model.forward(model.pack([try goldens.modelSample(name)]), tape: tape)
      let found = model.logits(output.last, tape: tape).array
      let expected = try goldens.floats("lora/\(name)/logits")
      #expect(relativeDifference(found, expected) < 1e-4, "\(name)")
    }
  }

  @Test(arguments: adapted) func logits(model name: String) throws {
    let (goldens, model) = try loadWithAdapter(name)
    try expectLogits(goldens, model)
  }

  @Test(arguments: adapted) func merged(model name: String) throws {
    let (goldens, model) = try loadWithAdapter(name)
    LowRankAdapters.merge(into: model)
    #expect(LowRankAdapters.parameters(of: model).isEmpty)
    try expectLogits(goldens, model)
  }

  @Test(arguments: adapted) func gradientsAndTenSteps(model name: String) throws {
    let (goldens, model) = try loadWithAdapter(name)
    let learned = LowRankAdapters.parameters(of: model)
    for parameter in learned { parameter.train() }
    let optimizer = AdamW(
      learned,
      AdamW.Settings(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, clipNorm: nil))
    #expect(optimizer.parameters.count == learned.count)
    let input = try goldens.packed(goldens.model.packed, for: model)
    let named = Dictionary(
      uniqueKeysWithValues: learned.map { (model.config.tensorNames.peft($0.name), $0) })
    for (step, expected) in try goldens.floats("lora/losses").enumerated() {
      let tape = Tape(recording: true)
      let loss = try batchLoss(
        model, input, tape, head: step % 2 == 0 ? .dense : .streaming, checkpointing: step > 4)
      #expect(abs(loss.scalar - expected) < 1e-3 * expected, "step \(step)")
      tape.backward(loss)
      if step == 0 {
        try expectGradients(goldens, "lora", named, of: try #require(goldens.model.adapter))
      }
      optimizer.step(learningRate: 1e-3)
    }
    #expect(model.parameters.allSatisfy { $0.gradient == nil })
  }

  @Test("Whole trained weights come back bit for bit, and no others are touched")
  func trained() throws {
    let goldens = try Goldens("a")
    let model = try goldens.load()
    model.train([.language])
    for parameter in model.parameters where parameter.trainable {
      parameter.mutableValues?[0] += 0.125
    }
    let folder = NSTemporaryDirectory() + "trained-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try AdapterFiles.writeTrained(model, to: folder + "/" + AdapterFiles.trained)

    let fresh = try goldens.load()
    try AdapterFiles.attach(folder, to: fresh)
    LowRankAdapters.merge(into: fresh)
    for (one, two) in zip(model.parameters, fresh.parameters) {
      #expect(one.array == two.array, "\(one.name)")
      #expect(!two.trainable)
      // What did not learn still lies in the checkpoint, and is saved as it lies there.
      #expect((two.mutableValues != nil) == one.trainable, "\(one.name)")
    }
    #expect(fresh.parameters.contains { $0.name == "model.layers.0.mlp.up_proj.weight" })

    let other = try Goldens("b").load()
    #expect(throws: Failure.self) { try AdapterFiles.attach(folder, to: other) }
  }
}
