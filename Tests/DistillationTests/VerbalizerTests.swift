import Artifacts
import Checkpoints
import Failures
import Foundation
import Kernels
import Tensors
import Testing

@testable import Distillation

@Suite struct VerbalizerTests {
  static func hidden(_ n: Int, _ d: Int, seed: UInt64 = 70) -> Tensor {
    RandomMatrix(n, d, scale: 2, seed: seed).tensor
  }

  @Test("The paper's parameter count for a 7B backbone, 269 M, and that of the weights made")
  func parameterCount() {
    #expect(VerbalizerForm.parameterCount(width: 3584, layers: 7) == 269_746_176)
    let set = VerbalizerSet(
      layers: [2, 6], finalNorm: [1, 1, 1, 1], form: VerbalizerForm(), seed: 0)
    let made = set.all.flatMap(\.parameters).reduce(0) { $0 + $1.count }
    #expect(made == VerbalizerForm.parameterCount(width: 4, layers: 2))
  }

  @Test("Untrained with a residual it is the logit lens: the final norm of the hidden state")
  func logitLens() {
    let norm: [Float] = [0.5, 1, 2, -1, 1, 3]
    let verbalizer = Verbalizer(
      layer: 6, width: 6, form: VerbalizerForm(), finalNorm: norm, seed: 1)
    let h = Self.hidden(3, 6)
    let tape = Tape(recording: false)
    let expected = tape.rmsNorm(h, Parameter("n", shape: [6], values: norm), epsilon: 1e-6)
    #expect(verbalizer.forward(tape, h).array == expected.array)
    let plain = Verbalizer(
      layer: 6, width: 6, form: VerbalizerForm(inputNorm: false), finalNorm: norm, seed: 1)
    #expect(plain.forward(tape, h).array == h.array)
  }

  @Test("f(h) = D(silu(G x) ⊙ U x) by the formula", arguments: [true, false], [true, false])
  func formula(inputNorm: Bool, residual: Bool) {
    let d = 5
    let form = VerbalizerForm(inputNorm: inputNorm, residual: residual, epsilon: 1e-5)
    let norm: [Float] = [1, 2, 0.5, 1, -1]
    let verbalizer = Verbalizer(layer: 2, width: d, form: form, finalNorm: norm, seed: 2)
    verbalizer.train()
    let replacement = RandomMatrix(d, d, scale: 1, seed: 71)
    verbalizer.down.mutableValues?.update(from: replacement.floats, count: d * d)
    let h = Self.hidden(4, d)
    let found = verbalizer.forward(Tape(recording: false), h).array
    func product(_ w: Parameter, _ x: [Double]) -> [Double] {
      let values = w.array
      return (0..<d).map { r in (0..<d).reduce(0.0) { $0 + Double(values[r * d + $1]) * x[$1] } }
    }
    for i in 0..<4 {
      var x = h.array[i * d..<(i + 1) * d].map { Double($0) }
      if inputNorm {
        let scale = 1 / (x.reduce(0) { $0 + $1 * $1 } / Double(d) + 1e-5).squareRoot()
        x = zip(x, norm).map { $0 * scale * Double($1) }
      }
      let gated = zip(product(verbalizer.gate, x), product(verbalizer.up, x)).map {
        $0 / (1 + exp(-$0)) * $1
      }
      var y = product(verbalizer.down, gated)
      if residual { y = zip(y, x).map { $0 + $1 } }
      #expect(worst(Array(found[i * d..<(i + 1) * d]), y) < 2e-5)
    }
  }

  @Test("Its gradients, through head and cross-entropy, against finite differences")
  func gradients() throws {
    let d = 4
    let head = RandomMatrix(30, d, scale: 1, seed: 72).parameter
    let verbalizer = Verbalizer(
      layer: 2, width: d, form: VerbalizerForm(residual: false), finalNorm: [1, 1, 1, 1], seed: 3)
    verbalizer.train()
    let h = Self.hidden(6, d)
    let labels = (0..<6).map { Int32($0 * 5) }
    func loss(_ tape: Tape) throws -> Tensor {
      try tape.crossEntropy(verbalizer.forward(tape, h), head, labels: labels)
    }
    let tape = Tape(recording: true)
    tape.backward(try loss(tape))
    for parameter in verbalizer.parameters {
      let gradient = try #require(parameter.gradient?.array)
      let values = try #require(parameter.mutableValues)
      for i in stride(from: 0, to: d * d, by: 3) {
        let middle = values[i]
        values[i] = middle + 1e-2
        let up = try loss(Tape(recording: false)).scalar
        values[i] = middle - 1e-2
        let down = try loss(Tape(recording: false)).scalar
        values[i] = middle
        #expect(abs((up - down) / 2e-2 - gradient[i]) < 2e-3)
      }
    }
    #expect(head.gradient == nil)
  }

  @Test("The file keeps every bit, under DESIGN.md's names; a bad one is refused")
  func file() throws {
    let form = VerbalizerForm(epsilon: 3e-6)
    let set = VerbalizerSet(layers: [10, 2, 6], finalNorm: [1, 2, 3], form: form, seed: 4)
    let folder = FileManager.default.temporaryDirectory.path + "/verbalizers-\(UUID())"
    try Files.makeDirectory(folder)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/" + VerbalizerSet.fileName
    try set.write(to: path)
    let file = try readSafetensorsFile(path)
    #expect(file.tensors.count == 12 && file.tensors["layers.10.gate.weight"]?.shape == [3, 3])
    let read = try VerbalizerSet(file)
    #expect(read.layers == [2, 6, 10] && read.form == form && read.width == 3)
    for (one, two) in zip(set.all, read.all) {
      #expect(one.parameters.map(\.array) == two.parameters.map(\.array))
      #expect(two.norm?.array == [1, 2, 3])
    }

    var missing = file.tensors
    missing["layers.6.up.weight"] = nil
    var wrong = file.tensors
    wrong["layers.6.up.weight"] = file.tensors["layers.6.norm.weight"]
    var extra = file.tensors
    extra["layers.6.other.weight"] = file.tensors["layers.6.up.weight"]
    for (tensors, metadata) in [
      (missing, file.metadata), (wrong, file.metadata), (extra, file.metadata), (file.tensors, [:]),
    ] {
      try writeSafetensorsFile(
        path, tensors.sorted { $0.key < $1.key }.map { OutputTensor($0.value, name: $0.key) },
        metadata: metadata)
      #expect(throws: Failure.self) { try VerbalizerSet(readSafetensorsFile(path)) }
    }
  }

  @Test("A layer's untrained numbers do not depend on which other layers are made")
  func seeds() throws {
    let one = VerbalizerSet(layers: [6], finalNorm: [1, 1], form: VerbalizerForm(), seed: 5)
    let two = VerbalizerSet(layers: [2, 6], finalNorm: [1, 1], form: VerbalizerForm(), seed: 5)
    #expect(one[6]?.gate.array == two[6]?.gate.array)
    #expect(two[2]?.gate.array != two[6]?.gate.array)
  }
}
