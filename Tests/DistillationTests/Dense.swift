import Foundation
import Kernels
import Tensors
import Testing

@testable import Distillation

/// The formulas of METHOD.md with every logit in memory, in double precision: what the streamed
/// passes are compared with.
struct Dense {
  /// [V, d]
  var w: [[Double]]

  func logits(_ v: [Double]) -> [Double] {
    w.map { row in zip(row, v).reduce(0) { $0 + $1.0 * $1.1 } }
  }

  static func logSumExp(_ z: [Double]) -> Double {
    let high = z.max() ?? 0
    return high + log(z.reduce(0) { $0 + exp($1 - high) })
  }

  static func softmax(_ z: [Double]) -> [Double] {
    let l = logSumExp(z)
    return z.map { exp($0 - l) }
  }

  static func entropy(_ p: [Double]) -> Double {
    p.reduce(0) { $1 > 0 ? $0 - $1 * log($1) : $0 }
  }

  /// Wᵀ p
  func average(_ p: [Double]) -> [Double] {
    var c = [Double](repeating: 0, count: w[0].count)
    for (row, mass) in zip(w, p) where mass != 0 {
      for j in c.indices { c[j] += mass * row[j] }
    }
    return c
  }

  func kl(_ p: [Double], _ v: [Double]) -> Double {
    let z = logits(v)
    let l = Self.logSumExp(z)
    return zip(p, z).reduce(0) { $1.0 > 0 ? $0 + $1.0 * (log($1.0) - ($1.1 - l)) : $0 }
  }

  /// The gradient of `f` at v by central differences.
  static func differences(_ v: [Double], _ f: ([Double]) -> Double) -> [Double] {
    v.indices.map { j in
      var up = v
      var down = v
      up[j] += 1e-5
      down[j] -= 1e-5
      return (f(up) - f(down)) / 2e-5
    }
  }
}

/// A random head or batch of vectors, as the library and as the dense formulas see it.
struct RandomMatrix {
  let parameter: Parameter
  let rows: [[Double]]

  init(_ rows: Int, _ columns: Int, scale: Double, type: ElementType = .float32, seed: UInt64) {
    var generator = SplitMix64(seed: seed)
    let values = (0..<rows * columns).map { _ in Float(generator.normal() * scale) }
    let bytes = Bytes(values, type)
    parameter = Parameter(
      "random", shape: [rows, columns], mapped: UnsafeRawPointer(bytes.pointer), type: type,
      owner: bytes)
    let rounded = parameter.array
    self.rows = (0..<rows).map { r in (0..<columns).map { Double(rounded[r * columns + $0]) } }
  }

  var head: LanguageHead { LanguageHead(parameter) }
  var dense: Dense { Dense(w: rows) }
  var tensor: Tensor { Tensor(parameter.array, parameter.shape, needsGradient: true) }
  var floats: UnsafePointer<Float> { parameter.floats }
}

/// Numbers rounded to a type, in memory that lives as long as the object.
final class Bytes {
  let pointer: UnsafeMutableRawPointer

  init(_ values: [Float], _ type: ElementType) {
    pointer = .allocate(byteCount: max(1, values.count * type.size), alignment: 64)
    values.withUnsafeBufferPointer {
      if let base = $0.baseAddress { narrow(base, values.count, to: type, at: pointer) }
    }
  }

  deinit { pointer.deallocate() }
}

func rounded(_ values: [Float], to type: ElementType) -> [Float] {
  let bytes = Bytes(values, type)
  let buffer = Buffer(count: values.count)
  widen(UnsafeRawPointer(bytes.pointer), type, values.count, to: buffer.pointer)
  return withExtendedLifetime(bytes) { buffer.array }
}

func worst(_ found: [Float], _ expected: [Double]) -> Double {
  guard found.count == expected.count else { return .infinity }
  return zip(found, expected).reduce(0) {
    let difference = abs(Double($1.0) - $1.1)
    return difference.isNaN ? .infinity : max($0, difference)
  }
}

/// Compares every third number of a parameter's gradient with central differences of `loss`.
func expectGradient(
  _ parameter: Parameter, sourceLocation: SourceLocation = #_sourceLocation,
  _ loss: () throws -> Float
) throws {
  let gradient = try #require(parameter.gradient?.array, sourceLocation: sourceLocation)
  let values = try #require(parameter.mutableValues, sourceLocation: sourceLocation)
  for i in stride(from: 0, to: parameter.count, by: 3) {
    let middle = values[i]
    values[i] = middle + 1e-2
    let up = try loss()
    values[i] = middle - 1e-2
    let down = try loss()
    values[i] = middle
    #expect(
      abs((up - down) / 2e-2 - gradient[i]) < 2e-3 * max(1, abs(gradient[i])),
      "\(parameter.name)[\(i)]", sourceLocation: sourceLocation)
  }
}
