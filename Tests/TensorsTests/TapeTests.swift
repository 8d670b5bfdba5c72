import Foundation
import Kernels
import Tensors
import Testing

/// What a training loop relies on beyond single gradients: that recomputing, repeating and
/// splitting over threads change nothing they must not change.
@Suite struct TapeTests {
  @Test(arguments: [1, 2]) func checkpointingChangesNoBit(threads: Int) {
    Parallelism.withThreads(threads) {
      let model = SmallModel()
      let plain = (model.loss(), model.takeGradients())
      let again = (model.loss(checkpointed: true), model.takeGradients())
      #expect(plain.0 == again.0)
      let same = plain.1 == again.1
      #expect(same, "a gradient differs")
      #expect(plain.1.allSatisfy { gradient in gradient.contains { $0 != 0 } })
    }
  }

  @Test(arguments: [1, 2, 3]) func repetitionGivesTheSameBits(threads: Int) {
    Parallelism.withThreads(threads) {
      // Large enough that the loops are split.
      let model = SmallModel(samples: 120)
      let first = (model.loss(), model.takeGradients())
      for _ in 0..<3 {
        let again = (model.loss(), model.takeGradients())
        #expect(first.0 == again.0)
        let same = first.1 == again.1
        #expect(same, "a gradient differs")
      }
    }
  }

  @Test func threadsAgreeWithinRounding() {
    let model = SmallModel(samples: 120)
    let one = Parallelism.withThreads(1) { (model.loss(), model.takeGradients()) }
    let two = Parallelism.withThreads(2) { (model.loss(), model.takeGradients()) }
    #expect(abs(one.0 - two.0) < 1e-6 * one.0)
    for (parameter, (a, b)) in zip(model.parameters, zip(one.1, two.1)) {
      let scale = a.map(abs).max() ?? 0
      let error = zip(a, b).map { abs($0 - $1) }.max() ?? 0
      #expect(error <= 1e-5 * scale, "\(parameter.name): \(error) of \(scale)")
    }
  }

  @Test func gradientsAddUpOverPasses() {
    let model = SmallModel()
    _ = model.loss()
    let once = model.takeGradients()
    _ = model.loss()
    _ = model.loss()
    for (one, two) in zip(once, model.takeGradients()) {
      let scale = one.map(abs).max() ?? 0
      let error = zip(one, two).map { abs(2 * $0 - $1) }.max() ?? 0
      #expect(error <= 1e-5 * scale)
    }
  }

  @Test func frozenParametersGetNoGradient() {
    let model = SmallModel()
    _ = model.loss()
    let all = model.takeGradients()
    let frozen = Set([1, 5, 9, 20])
    for index in frozen { model.parameters[index].freeze() }
    _ = model.loss()
    for (index, gradient) in model.takeGradients().enumerated() {
      #expect(gradient == (frozen.contains(index) ? [] : all[index]), "\(index)")
    }
  }

  /// A frozen vision encoder must not be run a second time, nor backwards.
  @Test func checkpointingOfWhatDoesNotLearnComputesOnce() {
    for (inputLearns, weightLearns) in [(false, false), (true, false), (false, true)] {
      let weight = Parameter("w", shape: [2, 2], values: [1, 2, 3, 4], trainable: weightLearns)
      let input = Tensor([1, 1], [1, 2], needsGradient: inputLearns)
      let tape = Tape(recording: true)
      var runs = 0
      let y = tape.checkpoint(input) { tape, x in
        runs += 1
        return tape.linear(x, weight)
      }
      #expect(y.array == [3, 7])
      let learns = inputLearns || weightLearns
      #expect(y.needsGradient == learns)
      tape.backward(tape.squaredDistance(y, to: Tensor([0, 0], [1, 2])))
      #expect(runs == (learns ? 2 : 1))
      #expect((input.gradient != nil) == inputLearns)
      #expect((weight.gradient != nil) == weightLearns)
    }
  }

  @Test func aTapeThatDoesNotRecordKeepsNothing() {
    let tape = Tape(recording: false)
    let weight = Parameter("w", shape: [2, 2], values: [1, 2, 3, 4], trainable: true)
    let y = tape.linear(Tensor([1, 1], [1, 2], needsGradient: true), weight)
    #expect(y.array == [3, 7])
    #expect(!y.needsGradient)
    tape.backward(tape.squaredDistance(y, to: Tensor([0, 0], [1, 2])))
    #expect(weight.gradient == nil)
  }

  @Test("An observed tensor's gradient is seen once, whole, and passed on unchanged")
  func observed() throws {
    func gradient(_ observe: Bool, twice: Bool) throws -> (gradient: [Float], seen: [[Float]]) {
      let x = Tensor([1, 2, -3], [1, 3], needsGradient: true)
      let tape = Tape(recording: true)
      var seen: [[Float]] = []
      let y =
        observe
        ? tape.observed(x) { seen.append(Array(UnsafeBufferPointer(start: $0, count: $1))) } : x
      var losses = [
        tape.squaredDistance(y, to: Tensor([0, 0, 1], [1, 3])),
        tape.squaredDistance(y, to: Tensor([1, 1, 1], [1, 3])),
      ]
      // Another reader of x itself.
      if twice { losses.append(tape.squaredDistance(x, to: Tensor([5, 5, 5], [1, 3]))) }
      tape.backward(losses)
      return (try #require(x.gradient), seen)
    }
    for twice in [false, true] {
      let plain = try gradient(false, twice: twice)
      let watched = try gradient(true, twice: twice)
      #expect(watched.gradient == plain.gradient)
      #expect(watched.seen == [[2, 6, -16]])
    }
    let frozen = Tensor([1], [1, 1])
    #expect(Tape(recording: true).observed(frozen) { _, _ in } === frozen)
  }
}
