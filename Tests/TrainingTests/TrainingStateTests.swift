import Failures
import Foundation
import Tensors
import Testing

@testable import Training

@Suite struct TrainingStateTests {
  /// Two optimizers whose weights, moments and counts differ from each other.
  static func optimizers(_ value: Float) -> [AdamW] {
    (0..<2).map { number in
      let parameter = Parameter(
        "w", shape: [2, 2], values: [value, 1, Float(number), 3], trainable: true)
      return AdamW([parameter], AdamW.Settings())
    }
  }

  static func step(_ optimizers: [AdamW], _ slope: Float) {
    for (number, optimizer) in optimizers.enumerated() {
      optimizer.parameters[0].gradientSum()?.update(repeating: slope * Float(number + 1), count: 4)
      optimizer.step(learningRate: 0.1)
    }
  }

  @Test("A restored state goes on to the same bits as one that was never interrupted")
  func resume() throws {
    let folder = FileManager.default.temporaryDirectory.path + "/state-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let state = TrainingState(directory: folder, fingerprint: "one")
    let whole = Self.optimizers(5)
    #expect(try state.restore(whole)?.step == nil)
    Self.step(whole, 0.5)
    Self.step(whole, -2)
    try state.save(step: 2, optimizers: whole, words: ["cursor": "17"])
    Self.step(whole, 1)

    let resumed = Self.optimizers(99)
    let found = try #require(try state.restore(resumed))
    #expect(found.step == 2 && found.words["cursor"] == "17")
    Self.step(resumed, 1)
    for (one, two) in zip(whole, resumed) {
      #expect(one.steps == two.steps)
      #expect(one.parameters[0].array == two.parameters[0].array)
      #expect(one.moments[0].first.array == two.moments[0].first.array)
      #expect(one.moments[0].second.array == two.moments[0].second.array)
    }

    let other = TrainingState(directory: folder, fingerprint: "two")
    #expect(try other.restore(Self.optimizers(0))?.step == nil)
    try Data("no tensors".utf8).write(to: URL(fileURLWithPath: state.path))
    #expect(throws: Failure.self) { try state.restore(Self.optimizers(0)) }
    state.delete()
    #expect(try state.restore(Self.optimizers(0))?.step == nil)
  }
}
