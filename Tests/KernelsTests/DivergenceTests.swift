import Foundation
import Testing

@testable import Kernels

@Suite struct DivergenceTests {
  @Test("The vector logarithm is within 3e-7 of the true one, relative or absolute")
  func logarithm() {
    var generator = SplitMix64(seed: 1)
    var numbers: [Float] = [1, 0.5, 2, 0.707_106_7, 0.707_106_8, 1.000_000_1, 1e-37, 3e38]
    for _ in 0..<4_000 { numbers.append(Float(exp(generator.uniform() * 170 - 85))) }
    for _ in 0..<4_000 { numbers.append(Float(0.5 + generator.uniform())) }
    let buffer = Buffer(numbers)
    for start in stride(from: 0, to: numbers.count, by: 8) {
      let lanes = load(buffer.pointer + start)
      let found = log(lanes)
      for lane in 0..<8 {
        let expected = Foundation.log(Double(lanes[lane]))
        #expect(abs(Double(found[lane]) - expected) <= 3e-7 * max(abs(expected), 0.3))
      }
    }
  }

  @Test(
    "A distance does not depend on where the panel is cut",
    arguments: [LogitDistance.reverseKullbackLeibler, .jensenShannon, .squared])
  func cuts(distance: LogitDistance) {
    var generator = SplitMix64(seed: 2)
    let z = (0..<37).map { _ in Float(generator.normal()) }
    let y = (0..<37).map { _ in Float(generator.normal()) }
    func fold(_ cuts: [Int]) -> (value: Float, pulls: Float, pull: [Float]) {
      let student = Buffer(z), teacher = Buffer(y)
      var total: (value: Float, pulls: Float) = (0, 0)
      for (start, end) in zip([0] + cuts, cuts + [37]) {
        let part = foldDistance(
          distance, student: student.pointer + start, teacher: teacher.pointer + start,
          logSumExp: (4, 4.5), end - start)
        total = (total.value + part.value, total.pulls + part.pulls)
      }
      return (total.value, total.pulls, student.array)
    }
    let whole = fold([])
    for cuts in [[1], [8], [3, 20, 36]] {
      let parts = fold(cuts)
      #expect(abs(parts.value - whole.value) < 1e-5 * max(1, abs(whole.value)))
      #expect(abs(parts.pulls - whole.pulls) < 1e-5)
      #expect(parts.pull == whole.pull)
    }
  }
}
