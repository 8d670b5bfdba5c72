import Artifacts
import Failures
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Training

@Suite struct TrainingStateTests {
  /// Two optimizers whose weights, moments and counts differ from each other.
  static func optimizers(_ value: Float, _ moments: AdamW.MomentStorage) -> ParallelOptimizers {
    let models = (0..<2).map { number in
      let count = AdamW.MomentStorage.smallest + 2
      let values = (0..<count).map { value * Float($0 % 7) + Float(number) }
      return [Parameter("w", shape: [2, count / 2], values: values, trainable: true)]
    }
    return ParallelOptimizers(
      sideBySide: models, AdamW.Settings(moments: moments), ranks: .alone)
  }

  static func step(_ training: ParallelOptimizers, _ slope: Float) {
    for (number, optimizer) in training.optimizers.enumerated() {
      let parameter = optimizer.parameters[0]
      let gradient = (0..<parameter.count).map { slope * Float(number + 1) * Float($0 % 11 - 4) }
      parameter.gradientSum()?.update(from: gradient, count: gradient.count)
      optimizer.step(learningRate: 0.1)
    }
  }

  @Test(
    "A restored state goes on to the same bits as one that was never interrupted",
    arguments: AdamW.MomentStorage.allCases)
  func resume(moments: AdamW.MomentStorage) throws {
    let folder = FileManager.default.temporaryDirectory.path + "/state-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let state = TrainingState(directory: folder, fingerprint: "one")
    let whole = Self.optimizers(5, moments)
    #expect(try state.restore(whole)?.step == nil)
    Self.step(whole, 0.5)
    Self.step(whole, -2)
    try state.save(step: 2, whole, words: ["cursor": "17"])
    Self.step(whole, 1)

    let resumed = Self.optimizers(99, moments)
    let found = try #require(try state.restore(resumed))
    #expect(found.step == 2 && found.words["cursor"] == "17")
    Self.step(resumed, 1)
    for (one, two) in zip(whole.optimizers, resumed.optimizers) {
      #expect(one.steps == two.steps)
      #expect(one.parameters[0].array == two.parameters[0].array)
      let (mine, theirs) = (one.moments[0].arrays, two.moments[0].arrays)
      #expect(mine.first == theirs.first && mine.second == theirs.second)
    }

    let larger = AdamW.MomentStorage.allCases.first { $0 != moments } ?? moments
    var problems: [Failure] = []
    #expect(try state.restore(Self.optimizers(0, larger)) { problems.append($0) }?.step == nil)
    #expect(problems.count == 1)

    let other = TrainingState(directory: folder, fingerprint: "two")
    #expect(try other.restore(Self.optimizers(0, moments))?.step == nil)
  }

  @Test("Whatever byte of the newer state is damaged, the older one serves, and both are named")
  func damage() throws {
    let folder = try TemporaryFolder()
    let state = TrainingState(directory: folder.path, fingerprint: "one")
    let optimizers = Self.optimizers(5, .blockwise8)
    Self.step(optimizers, 0.5)
    try state.save(step: 1, optimizers)
    let first = optimizers.optimizers[0].parameters[0].array
    Self.step(optimizers, 0.5)
    try state.save(step: 2, optimizers)
    #expect(try Files.list(folder.path) == ["state.previous.safetensors", "state.safetensors"])

    let sound = try Files.read(state.paths[0])
    for offset in stride(from: 0, to: sound.count, by: sound.count / 97) {
      var bytes = sound
      bytes[offset] ^= 0x10
      try writeAtomically(bytes, to: state.paths[0])
      let resumed = Self.optimizers(99, .blockwise8)
      var problems: [Failure] = []
      let found = try state.restore(resumed) { problems.append($0) }
      #expect(found?.step == 1, "byte \(offset)")
      #expect(problems.count == 1 && problems[0].place?.contains(state.paths[0]) == true)
      #expect(resumed.optimizers[0].parameters[0].array == first)
    }
    try Files.remove(state.paths[0])
    #expect(try state.restore(Self.optimizers(0, .blockwise8))?.step == 1)
    try writeAtomically("no tensors", to: state.paths[1])
    let untouched = Self.optimizers(7, .blockwise8)
    #expect(try state.restore(untouched)?.step == nil)
    #expect(
      untouched.optimizers[0].parameters[0].array
        == Self.optimizers(7, .blockwise8).optimizers[0].parameters[0].array)
  }
}
