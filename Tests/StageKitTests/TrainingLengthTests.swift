import Failures
import Foundation
import TestSupport
import Testing

@testable import StageKit

/// How long a training lasts: steps or epochs, one of the two.
@Suite struct TrainingLengthTests {
  private func preset(_ text: String, extending base: String = "") throws -> Preset {
    let scratch = try TemporaryFolder()
    try scratch.write(base, to: "base.yaml")
    return try Preset(contentsOf: try scratch.write("extends: base.yaml\n" + text, to: "a.yaml"))
  }

  @Test(
    "Epochs are steps once the data is known, the last one begun included",
    arguments: [
      ("{epochs: 1, samples_per_batch: 32, accumulation: 16}", 158_000, 309),
      ("{epochs: 1, samples_per_batch: 32, accumulation: 16}", 512, 1),
      ("{epochs: 2.5, samples_per_batch: 10, accumulation: 1}", 100, 25),
      ("{epochs: 1e-3, samples_per_batch: 4, accumulation: 1}", 3, 1),
      ("{epochs: 0}", 158_000, 0), ("{steps: 7, samples_per_batch: 2}", 158_000, 7),
    ])
  func stepsOfEpochs(_ section: String, samples: Int, steps: Int) throws {
    for name in ["align", "finetune"] {
      let read = try preset("\(name): \(section)\n")
      var training = name == "align" ? read.align.training : read.finetune.training
      #expect(training.length.trains == (steps > 0))
      training.settle(samples: samples)
      #expect(training.steps == steps)
    }
  }

  @Test(
    "verbalize counts positions, and has a cap",
    arguments: [
      ("{epochs: 1, tokens_per_batch: 100}", 1_001, 11),
      ("{epochs: 1, tokens_per_batch: 100, most_steps: 5}", 1_001, 5),
      ("{epochs: 1, tokens_per_batch: 100, most_steps: 50}", 1_001, 11),
      ("{steps: 9, most_steps: 5}", 1_001, 5), ("{steps: 0}", 1_001, 0),
    ])
  func verbalize(_ section: String, positions: Int, steps: Int) throws {
    var settings = try preset("verbalize: \(section)\n").verbalize
    settings.settle(positions: positions)
    #expect(settings.steps == steps)
  }

  @Test("The nearer file's choice counts, be it steps or epochs")
  func extending() throws {
    let epochs = try preset("align: {epochs: 2}\n", extending: "align: {steps: 5}\n")
    #expect(epochs.align.training.length == .epochs(2))
    let steps = try preset("align: {steps: 5}\n", extending: "align: {epochs: 2}\n")
    #expect(steps.align.training.length == .steps(5))
    let neither = try preset("align: {lora_rank: 8}\n", extending: "align: {epochs: 2}\n")
    #expect(neither.align.training.length == .epochs(2))
  }

  @Test(
    "Both in one file, and what is no length, is refused",
    arguments: [
      ("align: {steps: 5, epochs: 1}", "align has two lengths"),
      ("verbalize:\n  epochs: 1\n  steps: 5", "verbalize has two lengths"),
      ("finetune: {epochs: -1}", "finetune.epochs is out of range"),
      ("finetune: {epochs: all}", "finetune.epochs has the wrong type"),
      ("verbalize: {most_steps: 0}", "verbalize.most_steps is out of range"),
    ])
  func refusals(_ text: String, _ words: String) throws {
    let failure = #expect(throws: Failure.self) { try preset(text + "\n") }
    #expect(failure?.code == .badPreset)
    #expect(failure.map { "\($0)".contains(words) && "\($0)".contains("a.yaml:") } == true)
  }

  @Test("Manifests show the steps that epochs came to, slices the epochs")
  func shown() throws {
    var align = try preset("align: {epochs: 1, samples_per_batch: 10, accumulation: 1}\n").align
    func text(_ key: String) -> String? { align.values.first { $0.key == key }?.value.json }
    #expect(text("steps") == "null" && text("epochs") == "1.0")
    align.training.settle(samples: 95)
    #expect(text("steps") == "10" && text("epochs") == "1.0")
  }
}
