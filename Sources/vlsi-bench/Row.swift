import Kernels

/// What the machine can do at most: see `Yardstick`.
enum Limit: String, CaseIterable {
  /// Products of float32 matrices, by OpenBLAS: operations a second.
  case sgemm
  /// Products of bfloat16 matrices, by oneDNN: operations a second.
  case bf16
  /// Bytes a second that come from memory, and that go there.
  case read, write
  /// Bytes a second of content that zstd alone packs, and unpacks, on one thread.
  case compress, decompress

  /// The limit of products with stored matrices, and so many operations as it counts them.
  static func products(_ operations: Double) -> [Limit: Double] {
    guard Precision.hasHardware else { return [.sgemm: operations] }
    return switch Precision.current {
    case .float32: [.sgemm: operations]
    case .bfloat16: [.bf16: operations]
    case .bfloat16x2: [.bf16: 2 * operations]
    }
  }
}

/// A line of the table: work at a stated shape.
struct Row {
  let name: String
  let shape: String
  let prepare: () throws -> Work
}

/// A row's work, ready to run.
struct Work {
  /// What it takes at least, by what bounds it: operations or bytes. The parts follow each other.
  let needs: [Limit: Double]
  /// How fast so many seconds are, as people say it.
  let rate: (_ seconds: Double) -> (value: Double, unit: String)
  /// What else is measured, known once `trial` has run.
  var facts: () throws -> [String: Double] = { [:] }
  /// Does it once and returns the seconds that this took.
  let trial: () throws -> Double

  /// So many units (operations, bytes) of `unit`, each of them `scale`.
  static func rate(
    _ amount: Double, _ unit: String, each scale: Double = 1
  ) -> (Double) -> (value: Double, unit: String) {
    { (amount / scale / $0, unit) }
  }

  static func operations(_ amount: Double) -> (Double) -> (value: Double, unit: String) {
    rate(amount, "GFLOP/s", each: 1e9)
  }
}

/// Seconds that `body` takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
  try ContinuousClock().measure(body) / .seconds(1)
}
