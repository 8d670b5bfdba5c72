import Failures
import Foundation
import Kernels
import Tensors
import TestSupport
import Testing

@testable import Distillation

/// The losses of METHOD.md's ablation, from stored targets, against the same formulas with every
/// logit in memory and in double precision.
@Suite struct LossTermTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var kind: LossTerm.Kind
    /// Roughly how many nats the logits differ by: flat to peaked.
    var spread: Double
    var temperature: Float
    var type = ElementType.float32

    var testDescription: String {
      "\(kind.rawValue), logits ± \(spread), T \(temperature), \(type)"
    }
  }

  static let cases = LossTerm.Kind.allCases.filter { $0 != .none }.flatMap { kind in
    [
      Case(kind: kind, spread: 0.3, temperature: 1),
      Case(kind: kind, spread: 1, temperature: 2.5, type: .bfloat16),
      Case(kind: kind, spread: 3, temperature: 0.7),
    ]
  }

  /// Two heads over one vocabulary and the vectors of both sides.
  struct Sides {
    let w: RandomMatrix
    let v: RandomMatrix
    let teacherHead: RandomMatrix
    let teacher: RandomMatrix
    let temperature: Float
    let labels: [Int32]

    init(
      vocabulary: Int = 300, positions: Int = 5, spread: Double, temperature: Float = 1,
      type: ElementType = .float32
    ) {
      w = RandomMatrix(vocabulary, 9, scale: 0.5, type: type, seed: 80)
      v = RandomMatrix(positions, 9, scale: spread, seed: 81)
      teacherHead = RandomMatrix(vocabulary, 14, scale: 0.5, type: type, seed: 82)
      teacher = RandomMatrix(positions, 14, scale: spread, seed: 83)
      self.temperature = temperature
      labels = (0..<positions).map { Int32($0 * 37 % vocabulary) }
    }

    /// What is stored of the teacher.
    var stored: TeacherLayer {
      let values = teacher.parameter.array.map { $0 / temperature }
      let scaled = Tensor(values, teacher.parameter.shape)
      let n = scaled.rows
      return TeacherLayer {
        let projection = try self.teacherHead.head.project(
          scaled.values, positions: n, through: self.w.head)
        return .exact(projected: projection.projected.array, entropy: projection.entropy)
      } vectors: {
        TeacherVectors(
          width: scaled.columns, values: values,
          logSumExp: self.teacherHead.head.read(scaled.values, positions: n).logSumExp)
      } head: {
        self.teacherHead.head
      }
    }

    /// The formula at position i, of a student's vector.
    func dense(_ kind: LossTerm.Kind, _ i: Int, _ v: [Double]) -> Double {
      let t = Double(temperature)
      let z = w.dense.logits(v)
      let y = teacherHead.dense.logits(teacher.rows[i])
      func kl(_ p: [Double], _ q: [Double]) -> Double {
        zip(p, q).reduce(0) { $1.0 > 0 ? $0 + $1.0 * log($1.0 / $1.1) : $0 }
      }
      let q = Dense.softmax(z.map { $0 / t })
      let p = Dense.softmax(y.map { $0 / t })
      let m = zip(p, q).map { ($0 + $1) / 2 }
      switch kind {
      case .none: return 0
      case .crossEntropy: return Dense.logSumExp(z) - z[Int(labels[i])]
      case .kullbackLeibler: return t * t * kl(p, q)
      case .reverseKullbackLeibler: return t * t * kl(q, p)
      case .jensenShannon: return t * t * (kl(p, m) + kl(q, m)) / 2
      case .squared:
        return zip(z, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(z.count)
      }
    }
  }

  @Test(
    "Value against the dense formula, gradient against its finite differences", arguments: cases)
  func dense(_ c: Case) throws {
    let sides = Sides(spread: c.spread, temperature: c.temperature, type: c.type)
    let term = LossTerm(c.kind, weight: 0.5, temperature: c.temperature)
    let v = sides.v.tensor
    let tape = Tape(recording: true)
    let loss = try term(
      tape, term.speak(tape, v, sides.w.head), labels: sides.labels, teacher: sides.stored,
      normaliser: 3)
    tape.backward(loss)
    let gradient = try #require(v.gradient)
    var total = 0.0
    var largest = 1.0
    for i in 0..<5 {
      let value = sides.dense(c.kind, i, sides.v.rows[i])
      total += value
      largest = max(largest, abs(value))
      let expected = Dense.differences(sides.v.rows[i]) { sides.dense(c.kind, i, $0) }
      let size = max(1, expected.map(abs).max() ?? 0)
      #expect(
        worst(Array(gradient[i * 9..<(i + 1) * 9]), expected.map { $0 * 0.5 / 3 }) < 1e-4 * size)
    }
    #expect(abs(Double(loss.scalar) - total * 0.5 / 3) < 3e-5 * largest)
  }

  @Test(
    "A real vocabulary in panels and many positions: still the dense formula",
    arguments: [LossTerm.Kind.reverseKullbackLeibler, .jensenShannon, .squared])
  func panels(kind: LossTerm.Kind) throws {
    for (vocabulary, positions) in [(151_936, 2), (700, 600)] {
      let sides = Sides(
        vocabulary: vocabulary, positions: positions, spread: 1.5, type: .bfloat16)
      let term = LossTerm(kind)
      let tape = Tape(recording: false)
      let loss = try term(
        tape, term.speak(tape, sides.v.tensor, sides.w.head), labels: sides.labels,
        teacher: sides.stored, normaliser: Float(positions))
      let expected = (0..<positions).reduce(0.0) {
        $0 + sides.dense(kind, $1, sides.v.rows[$1]) / Double(positions)
      }
      #expect(abs(Double(loss.scalar) - expected) < 2e-5 * max(1, expected))
    }
  }

  @Test(
    "A student that says what the teacher says has neither loss nor gradient",
    arguments: LossTerm.Kind.allCases.filter(\.needsTeacher))
  func equal(kind: LossTerm.Kind) throws {
    let w = RandomMatrix(500, 7, scale: 1, seed: 84)
    let v = RandomMatrix(6, 7, scale: 1, seed: 85)
    let reading = w.head.read(v.floats, positions: 6)
    let teacher = TeacherLayer {
      let projection = try w.head.project(v.floats, positions: 6, through: w.head)
      return .exact(projected: projection.projected.array, entropy: projection.entropy)
    } vectors: {
      TeacherVectors(width: 7, values: v.parameter.array, logSumExp: reading.logSumExp)
    } head: {
      w.head
    }
    let student = v.tensor
    let tape = Tape(recording: true)
    let term = LossTerm(kind)
    let loss = try term(
      tape, term.speak(tape, student, w.head), labels: [], teacher: teacher, normaliser: 1)
    tape.backward(loss)
    #expect(abs(loss.scalar) < 2e-5)
    #expect(try #require(student.gradient).allSatisfy { abs($0) < 2e-5 })
  }

  @Test("Jensen-Shannon is the same from both sides and at most log 2")
  func symmetric() throws {
    for spread in [0.5, 5, 200] {
      let sides = Sides(spread: spread)
      let tape = Tape(recording: true)
      let term = LossTerm(.jensenShannon)
      let student = sides.v.tensor
      let there = try term(
        tape, term.speak(tape, student, sides.w.head), labels: [], teacher: sides.stored,
        normaliser: 5)
      tape.backward(there)
      #expect(try #require(student.gradient).allSatisfy(\.isFinite))
      let back = try term(
        tape, term.speak(tape, sides.teacher.tensor, sides.teacherHead.head), labels: [],
        teacher: TeacherLayer {
          throw Failure(.software, "not asked for")
        } vectors: {
          TeacherVectors(
            width: 9, values: sides.v.parameter.array,
            logSumExp: sides.w.head.read(sides.v.floats, positions: 5).logSumExp)
        } head: {
          sides.w.head
        }, normaliser: 5)
      #expect(abs(there.scalar - back.scalar) < 1e-5)
      #expect(there.scalar > 0 && there.scalar <= Float(log(2.0)) + 1e-5)
    }
  }

  @Test("Without a head: the mean squared distance of the widened vectors, and its gradients")
  func withoutHead() throws {
    let d = 4
    let wide = 7
    let h = RandomMatrix(5, d, scale: 1, seed: 86)
    let u = RandomMatrix(5, wide, scale: 1, seed: 87)
    let verbalizer = VerbalizerTests.verbalizer(
      VerbalizerForm(backbone: VerbalizerTests.backbone(d)))
    VerbalizerTests.awaken(verbalizer)
    let widening = Parameter(
      "widening", shape: [wide, d],
      values: RandomMatrix(wide, d, scale: 0.5, seed: 88)
        .parameter.array, trainable: true)
    // Stored at a temperature, which without a softmax means nothing.
    let stored = TeacherVectors(
      width: wide, values: u.parameter.array.map { $0 / 2 }, logSumExp: [0, 0, 0, 0, 0])
    let term = LossTerm(.squared, weight: 3, temperature: 2)
    func loss(_ tape: Tape) throws -> Tensor {
      let said = verbalizer.forward(tape, h.tensor, answers: [0..<5])
      return try term(tape, tape.linear(said, widening), teacher: stored, normaliser: 6)
    }
    let tape = Tape(recording: true)
    let found = try loss(tape)
    let said = verbalizer.forward(Tape(recording: false), h.tensor, answers: [0..<5]).array
    let p = widening.array
    var expected = 0.0
    for i in 0..<5 {
      for k in 0..<wide {
        let x = (0..<d).reduce(0.0) { $0 + Double(p[k * d + $1]) * Double(said[i * d + $1]) }
        expected += (x - u.rows[i][k]) * (x - u.rows[i][k]) / Double(wide)
      }
    }
    #expect(abs(Double(found.scalar) - expected * 3 / 6) < 1e-5 * expected)
    tape.backward(found)
    for parameter in verbalizer.parameters + [widening] {
      try expectGradient(parameter) { try loss(Tape(recording: false)).scalar }
    }
  }

  @Test("What does not fit is refused with 65")
  func refused() throws {
    let sides = Sides(spread: 1)
    let tape = Tape(recording: false)
    let layer = tape.speak(sides.v.tensor, sides.w.head)
    let vectors = try sides.stored.vectors()
    for (teacher, head) in [
      (vectors.rows(0..<4), sides.teacherHead.head),
      (vectors, try sides.teacherHead.head.prefix(299)), (vectors, sides.w.head),
    ] {
      #expect(
        failure { _ = try tape.distance(.jensenShannon, layer, teacher, head: head) }?.code
          == .badData)
    }
    #expect(
      failure {
        _ = try LossTerm(.squared)(tape, sides.v.tensor, teacher: vectors, normaliser: 1)
      }?.code == .badData)
  }
}
