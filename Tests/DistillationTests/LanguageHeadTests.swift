import Failures
import Foundation
import Kernels
import Tensors
import Testing

@testable import Distillation

@Suite struct LanguageHeadTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var vocabulary: Int
    var width: Int
    var positions: Int
    /// The standard deviation of the logits, roughly: flat to peaked to absurd.
    var spread: Double
    var type = ElementType.float32

    var testDescription: String {
      "V \(vocabulary), d \(width), n \(positions), logits ± \(spread), \(type)"
    }
  }

  static let cases = [
    Case(vocabulary: 77, width: 8, positions: 5, spread: 1),
    Case(vocabulary: 5, width: 3, positions: 600, spread: 3),
    Case(vocabulary: 5_003, width: 24, positions: 31, spread: 0.01),
    Case(vocabulary: 5_003, width: 24, positions: 31, spread: 1, type: .bfloat16),
    Case(vocabulary: 5_003, width: 24, positions: 31, spread: 10, type: .float16),
    Case(vocabulary: 5_003, width: 24, positions: 31, spread: 5_000),
    Case(vocabulary: 5_003, width: 24, positions: 9, spread: 5_000, type: .bfloat16),
    Case(vocabulary: 151_936, width: 16, positions: 3, spread: 0.1, type: .bfloat16),
    Case(vocabulary: 151_936, width: 16, positions: 3, spread: 8, type: .bfloat16),
    Case(vocabulary: 151_936, width: 16, positions: 3, spread: 3),
    Case(vocabulary: 1, width: 4, positions: 2, spread: 1),
  ]

  @Test("The streamed pass equals the dense formula", arguments: cases)
  func read(_ c: Case) throws {
    let w = RandomMatrix(c.vocabulary, c.width, scale: 1, type: c.type, seed: 1)
    let v = RandomMatrix(
      c.positions, c.width, scale: c.spread / Double(c.width).squareRoot(), seed: 2)
    let labels = (0..<c.positions).map { Int32(($0 * 7_919) % c.vocabulary) }
    let reading = w.head.read(
      v.floats, positions: c.positions, [.expectation, .entropy, .argmax])
    let chosen = try w.head.logits(of: labels, v.floats)
    let m = try #require(reading.expectation?.array)
    // float32 logits carry an error that grows with their size.
    let tolerance = 2e-5 + 2e-6 * c.spread
    for i in 0..<c.positions {
      let z = w.dense.logits(v.rows[i])
      let p = Dense.softmax(z)
      let lse = Dense.logSumExp(z)
      #expect(abs(Double(reading.logSumExp[i]) - lse) < tolerance + 3e-7 * abs(lse))
      #expect(abs(Double(chosen[i]) - z[Int(labels[i])]) < tolerance + 3e-6 * c.spread)
      let expected = w.dense.average(p)
      #expect(worst(Array(m[i * c.width..<(i + 1) * c.width]), expected) < 5 * tolerance)
      #expect(abs(Double(reading.entropy[i]) - Dense.entropy(p)) < 10 * tolerance)
      let said = z[Int(reading.argmax[i])]
      #expect(abs(said - (z.max() ?? 0)) <= tolerance + 1e-6 * abs(said))
    }
  }

  @Test("Logits of ±10,000 give neither infinity nor NaN, and the right winner")
  func extreme() throws {
    let w = Parameter("w", shape: [4, 1], values: [1, -1, 0.5, 1])
    let v = Tensor([10_000, -10_000, 0], [3, 1])
    let reading = LanguageHead(w).read(
      v.values, positions: 3, [.expectation, .entropy, .argmax])
    #expect(reading.argmax == [0, 1, 0])
    #expect(abs(reading.logSumExp[0] - 10_000 - log(2)) < 2e-3)
    #expect(reading.logSumExp[1] == 10_000)
    #expect(abs(reading.entropy[0] - log(2)) < 1e-6)
    #expect(reading.entropy[1] == 0)
    #expect(abs(reading.entropy[2] - log(4)) < 1e-6)
    let m = try #require(reading.expectation?.array)
    #expect(abs(m[0] - 1) < 1e-6 && m[1] == -1 && abs(m[2] - 0.375) < 1e-6)
  }

  @Test("A position's reading does not depend on its neighbours")
  func neighbours() throws {
    let w = RandomMatrix(3_000, 16, scale: 1, seed: 3)
    let v = RandomMatrix(300, 16, scale: 1, seed: 4)
    let all = w.head.read(v.floats, positions: 300, [.entropy])
    let one = w.head.read(v.floats + 16 * 123, positions: 1, [.entropy])
    #expect(abs(all.logSumExp[123] - one.logSumExp[0]) < 1e-5)
    #expect(abs(all.entropy[123] - one.entropy[0]) < 1e-5)
  }

  @Test(
    "Projected targets: c = Wᵀ p of another width, and H(p), as the dense formula",
    arguments: [
      (vocabulary: 500, spread: 0.2, type: ElementType.float32),
      (vocabulary: 500, spread: 6, type: .bfloat16),
      (vocabulary: 151_936, spread: 3, type: .bfloat16),
    ])
  func project(vocabulary: Int, spread: Double, type: ElementType) throws {
    // The teacher's head is longer, as Qwen2-VL's is: it is cut to the shared rows.
    let teacher = RandomMatrix(vocabulary + 128, 12, scale: 1, type: type, seed: 5)
    let student = RandomMatrix(vocabulary, 7, scale: 1, type: type, seed: 6)
    let v = RandomMatrix(4, 12, scale: spread / 12.0.squareRoot(), seed: 7)
    let projection = try teacher.head.prefix(vocabulary).project(
      v.floats, positions: 4, through: student.head)
    let cut = Dense(w: Array(teacher.rows[..<vocabulary]))
    for i in 0..<4 {
      let p = Dense.softmax(cut.logits(v.rows[i]))
      let c = Array(projection.projected.array[i * 7..<(i + 1) * 7])
      #expect(worst(c, student.dense.average(p)) < 1e-4)
      #expect(abs(Double(projection.entropy[i]) - Dense.entropy(p)) < 1e-4)
    }
  }

  @Test("The largest probabilities, in order, with the mass of the rest", arguments: [1, 5, 128])
  func largest(k: Int) throws {
    let w = RandomMatrix(9_000, 12, scale: 1, seed: 8)
    let v = RandomMatrix(20, 12, scale: 1, seed: 9)
    let top = try w.head.largest(k, v.floats, positions: 20)
    for i in 0..<20 {
      let p = Dense.softmax(w.dense.logits(v.rows[i]))
      let order = p.indices.sorted { p[$0] > p[$1] }.prefix(k)
      #expect(Array(top.indices[i * k..<(i + 1) * k]) == order.map { Int32($0) })
      #expect(worst(Array(top.probabilities[i * k..<(i + 1) * k]), order.map { p[$0] }) < 1e-5)
      #expect(abs(Double(top.tail[i]) - (1 - order.reduce(0) { $0 + p[$1] })) < 1e-5)
      #expect(abs(Double(top.entropy[i]) - Dense.entropy(p)) < 1e-4)
    }
  }

  @Test("Of equal logits the lower tokens are kept; all tokens leave no tail")
  func ties() throws {
    let w = Parameter("w", shape: [6, 1], values: [1, 2, 1, 2, 1, 1])
    let v = Tensor([1], [1, 1])
    let four = try LanguageHead(w).largest(4, v.values, positions: 1)
    #expect(four.indices == [1, 3, 0, 2])
    let all = try LanguageHead(w).largest(6, v.values, positions: 1)
    #expect(all.tail[0] < 1e-6)
  }

  @Test("What does not fit is refused")
  func refused() throws {
    let w = RandomMatrix(10, 2, scale: 1, seed: 10)
    let v = RandomMatrix(2, 2, scale: 1, seed: 11)
    #expect(throws: Failure.self) { try w.head.prefix(11) }
    #expect(throws: Failure.self) { try w.head.prefix(0) }
    #expect(throws: Failure.self) { try w.head.logits(of: [0, 10], v.floats) }
    #expect(throws: Failure.self) { try w.head.logits(of: [-1], v.floats) }
    #expect(throws: Failure.self) { try w.head.largest(11, v.floats, positions: 1) }
    #expect(throws: Failure.self) {
      try w.head.project(v.floats, positions: 2, through: w.head.prefix(9))
    }
  }
}
