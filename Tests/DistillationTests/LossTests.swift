import Failures
import Foundation
import Kernels
import Tensors
import Testing

@testable import Distillation

@Suite struct LossTests {
  /// A teacher and a student of different width over one vocabulary, in several temperatures.
  struct Pair {
    let w: RandomMatrix
    let v: RandomMatrix
    let teacherHead: RandomMatrix
    let teacher: RandomMatrix
    /// The teacher's distributions [n, V].
    let p: [[Double]]

    init(vocabulary: Int = 400, positions: Int = 6, spread: Double, seed: UInt64 = 20) {
      w = RandomMatrix(vocabulary, 9, scale: 0.5, seed: seed)
      v = RandomMatrix(positions, 9, scale: spread, seed: seed + 1)
      teacherHead = RandomMatrix(vocabulary, 14, scale: 0.5, seed: seed + 2)
      teacher = RandomMatrix(positions, 14, scale: spread, seed: seed + 3)
      let dense = teacherHead.dense
      p = teacher.rows.map { Dense.softmax(dense.logits($0)) }
    }

    func exact(storedAs type: ElementType? = nil) throws -> SoftTarget {
      let projection = try teacherHead.head.project(
        teacher.floats, positions: teacher.rows.count, through: w.head)
      let c = projection.projected.array
      return .exact(
        projected: type.map { rounded(c, to: $0) } ?? c, entropy: projection.entropy)
    }

    func largest(_ k: Int) throws -> SoftTarget {
      .largest(try teacherHead.head.largest(k, teacher.floats, positions: teacher.rows.count))
    }
  }

  @Test("Exact KL and its gradient m - c against the dense one", arguments: [0.3, 1.0, 3.0])
  func exact(spread: Double) throws {
    let pair = Pair(spread: spread)
    let tape = Tape(recording: true)
    let v = pair.v.tensor
    let layer = tape.speak(v, pair.w.head)
    let target = try pair.exact()
    let found = try layer.divergences(from: target)
    let loss = try tape.kullbackLeibler(layer, target, normaliser: 2)
    tape.backward(loss)
    let gradient = try #require(v.gradient)
    let dense = pair.w.dense
    for i in pair.p.indices {
      #expect(abs(Double(found[i]) - dense.kl(pair.p[i], pair.v.rows[i])) < 2e-5)
      let expected = Dense.differences(pair.v.rows[i]) { dense.kl(pair.p[i], $0) }
      #expect(worst(Array(gradient[i * 9..<(i + 1) * 9]), expected.map { $0 / 2 }) < 1e-4)
    }
    let mean = try layer.divergence(from: target)
    #expect(abs(loss.scalar - mean * 6 / 2) < 1e-4)
  }

  @Test("c stored as float16 keeps the KL within 5e-3 of the dense one", arguments: [0.3, 1, 4])
  func float16(spread: Double) throws {
    let pair = Pair(vocabulary: 5_000, positions: 40, spread: spread)
    let layer = Tape(recording: false).speak(pair.v.tensor, pair.w.head)
    let found = try layer.divergences(from: pair.exact(storedAs: .float16))
    let dense = pair.w.dense
    let differences = pair.p.indices.map {
      abs(Double(found[$0]) - dense.kl(pair.p[$0], pair.v.rows[$0]))
    }
    #expect((differences.max() ?? 1) < 5e-3)
  }

  @Test("The table KL(i, j) equals the dense one, exact and with all tokens kept")
  func table() throws {
    let pairs = [0.5, 1, 2].enumerated().map { Pair(spread: $1, seed: UInt64(40 + 10 * $0)) }
    let w = pairs[0].w
    let tape = Tape(recording: false)
    let students = pairs.prefix(2).map { tape.speak($0.v.tensor, w.head) }
    let targets = try pairs.map { pair -> SoftTarget in
      let projection = try pair.teacherHead.head.project(
        pair.teacher.floats, positions: 6, through: w.head)
      return .exact(projected: projection.projected.array, entropy: projection.entropy)
    }
    let exact = try divergenceTable(students, targets)
    let largest = try divergenceTable(students, pairs.map { try $0.largest(400) })
    #expect(exact.count == 2 && exact[0].count == 3)
    for i in 0..<2 {
      for j in 0..<3 {
        let dense = (0..<6).reduce(0.0) {
          $0 + w.dense.kl(pairs[j].p[$1], pairs[i].v.rows[$1]) / 6
        }
        #expect(abs(Double(exact[i][j]) - dense) < 5e-5)
        #expect(abs(Double(largest[i][j]) - dense) < 5e-4)
      }
    }
  }

  /// KL with the tokens outside the k largest merged into one.
  static func merged(_ p: [Double], _ top: Set<Int>, _ q: [Double]) -> Double {
    let rest = 1 - top.reduce(0) { $0 + p[$1] }
    let restQ = 1 - top.reduce(0) { $0 + q[$1] }
    return top.reduce(0) { $0 + p[$1] * log(p[$1] / q[$1]) }
      + (rest > 0 ? rest * log(rest / restQ) : 0)
  }

  @Test(
    "Top-k KL with tail mass and its gradient against the dense one",
    arguments: [(0.3, 3), (1.0, 16), (2.0, 64)])
  func largest(spread: Double, k: Int) throws {
    let pair = Pair(spread: spread)
    let tape = Tape(recording: true)
    let v = pair.v.tensor
    let layer = tape.speak(v, pair.w.head)
    let target = try pair.largest(k)
    let found = try layer.divergences(from: target)
    tape.backward(try tape.kullbackLeibler(layer, target, normaliser: 1))
    let gradient = try #require(v.gradient)
    let dense = pair.w.dense
    for i in pair.p.indices {
      let p = pair.p[i]
      let top = Set(p.indices.sorted { p[$0] > p[$1] }.prefix(k))
      func kl(_ v: [Double]) -> Double { Self.merged(p, top, Dense.softmax(dense.logits(v))) }
      #expect(abs(Double(found[i]) - kl(pair.v.rows[i])) < 5e-5)
      let expected = Dense.differences(pair.v.rows[i], kl)
      #expect(worst(Array(gradient[i * 9..<(i + 1) * 9]), expected) < 2e-4)
    }
  }

  @Test("A student whose tail vanishes gives finite losses and gradients")
  func vanishingTail() throws {
    let w = Parameter("w", shape: [4, 1], values: [1, 0, -1, -1])
    let v = Tensor([5_000], [1, 1], needsGradient: true)
    let tape = Tape(recording: true)
    let layer = tape.speak(v, w)
    let target = SoftTarget.largest(
      LanguageHead.Largest(
        k: 2, indices: [1, 0], probabilities: [0.6, 0.3], tail: [0.1], entropy: [1]))
    let loss = try tape.kullbackLeibler(layer, target)
    tape.backward(loss)
    #expect(loss.scalar.isFinite && loss.scalar > 1_000)
    #expect(try #require(v.gradient).allSatisfy(\.isFinite))
  }

  @Test(
    "Cross-entropy and its gradients in v and in a head that learns",
    arguments: [(ElementType.float32, 60, 7), (.bfloat16, 60, 7), (.float32, 5_000, 300)])
  func crossEntropy(type: ElementType, vocabulary: Int, positions: Int) throws {
    let w = RandomMatrix(vocabulary, 5, scale: 1, type: type, seed: 60)
    let v = RandomMatrix(positions, 5, scale: 1, seed: 61)
    let labels = (0..<positions).map { Int32($0 * 17 % vocabulary) }
    let dense = w.dense
    w.parameter.train()
    let tensor = v.tensor
    let tape = Tape(recording: true)
    let loss = try tape.crossEntropy(tensor, w.parameter, labels: labels, normaliser: 3)
    tape.backward(loss)
    var expectedLoss = 0.0
    var dW = [[Double]](repeating: [Double](repeating: 0, count: 5), count: vocabulary)
    var dV: [Double] = []
    for i in 0..<positions {
      let z = dense.logits(v.rows[i])
      expectedLoss += (Dense.logSumExp(z) - z[Int(labels[i])]) / 3
      var residual = Dense.softmax(z)
      residual[Int(labels[i])] -= 1
      dV += dense.average(residual).map { $0 / 3 }
      for (row, r) in residual.enumerated() {
        for j in 0..<5 { dW[row][j] += r * v.rows[i][j] / 3 }
      }
    }
    #expect(abs(Double(loss.scalar) - expectedLoss) < 1e-5 * max(1, expectedLoss))
    #expect(worst(try #require(tensor.gradient), dV) < 1e-5)
    let found = try #require(w.parameter.gradient?.array)
    #expect(worst(found, dW.flatMap { $0 }) < 2e-4)
    // The dense residual itself, checked by differences at one position.
    let differences = Dense.differences(v.rows[0]) {
      let z = dense.logits($0)
      return (Dense.logSumExp(z) - z[Int(labels[0])]) / 3
    }
    #expect(worst(Array(try #require(tensor.gradient)[..<5]), differences) < 1e-4)
  }

  @Test("Two losses of one layer add their gradients; no vectors give a loss of zero")
  func composed() throws {
    let pair = Pair(spread: 1)
    let target = try pair.exact()
    func gradient(_ times: Int) throws -> [Float] {
      let v = pair.v.tensor
      let tape = Tape(recording: true)
      let layer = tape.speak(v, pair.w.head)
      tape.backward(
        try (0..<times).map { _ in try tape.kullbackLeibler(layer, target) })
      return try #require(v.gradient)
    }
    let once = try gradient(1)
    #expect(zip(once, try gradient(2)).allSatisfy { abs($0 * 2 - $1) < 1e-6 })
    let tape = Tape(recording: true)
    let none = tape.speak(Tensor([0, 9], needsGradient: true), pair.w.head)
    #expect(try tape.kullbackLeibler(none, .exact(projected: [], entropy: [])).scalar == 0)
    #expect(try tape.crossEntropy(none, labels: []).scalar == 0)
  }

  @Test("Targets that do not fit are refused; packed samples stand behind one another")
  func fit() throws {
    let pair = Pair(spread: 1)
    let layer = Tape(recording: false).speak(pair.v.tensor, pair.w.head)
    #expect(throws: Failure.self) {
      try layer.divergences(from: .exact(projected: [0], entropy: [0]))
    }
    #expect(throws: Failure.self) {
      try layer.divergences(
        from: .exact(projected: [0], entropy: [Float](repeating: 0, count: 6)))
    }
    let wrongToken = LanguageHead.Largest(
      k: 1, indices: [400, 0, 0, 0, 0, 0], probabilities: [1, 1, 1, 1, 1, 1],
      tail: [0, 0, 0, 0, 0, 0], entropy: [0, 0, 0, 0, 0, 0])
    #expect(throws: Failure.self) { try layer.divergences(from: .largest(wrongToken)) }
    let exact = try pair.exact()
    let largest = try pair.largest(3)
    #expect(try SoftTarget.joined([exact, exact]).positions == 12)
    #expect(try SoftTarget.joined([largest, largest]).positions == 12)
    #expect(throws: Failure.self) { try SoftTarget.joined([exact, largest]) }
  }

  /// A pass over the head rounds vectors and weights; what is taken from its logsumexp must be of the
  /// same numbers. Training found a difference: it drove cross-entropy far below zero.
  @Test(
    "In bfloat16 a loss is that of the rounded numbers, and never negative", arguments: [1.0, 40])
  func rounding(spread: Double) throws {
    let pair = Pair(spread: spread)
    func near(_ x: [[Double]]) -> [[Double]] {
      x.map { rounded($0.map(Float.init), to: .bfloat16).map(Double.init) }
    }
    let dense = Dense(w: near(pair.w.rows)), vectors = near(pair.v.rows)
    let sure = vectors.map { v in
      let z = dense.logits(v)
      return Int32(z.indices.max { z[$0] < z[$1] } ?? 0)
    }
    for labels in [sure, sure.map { ($0 + 1) % 400 }] {
      try Precision.bfloat16.use {
        let tape = Tape(recording: true)
        let v = pair.v.tensor
        let layer = tape.speak(v, pair.w.head)
        let loss = try tape.crossEntropy(layer, labels: labels, normaliser: 1)
        let expected = zip(vectors, labels).reduce(0.0) {
          $0 - log(Dense.softmax(dense.logits($1.0))[Int($1.1)])
        }
        #expect(abs(Double(loss.scalar) - expected) < 1e-4 * max(1, expected))
        #expect(loss.scalar > -1e-5)
        tape.backward(loss)
        #expect(v.gradient?.contains { $0 != 0 } == true)
        // What says the same has no divergence.
        let itself = try pair.w.head.project(
          layer.vectors.values, positions: 6, through: pair.w.head)
        let divergences = try layer.divergences(
          from: .exact(projected: itself.projected.array, entropy: itself.entropy))
        for divergence in divergences { #expect(abs(divergence) < 2e-3 * Float(spread)) }
        let largest = try pair.w.head.largest(5, layer.vectors.values, positions: 6)
        for divergence in try layer.divergences(from: .largest(largest)) {
          #expect(abs(divergence) < 1e-3)
        }
      }
    }
  }
}
