import ArgumentParser
import Kernels

extension TargetSettings {
  /// Numbers of 16 bits that the targets hold of one layer at a position.
  public func numbers(student: Int, teacher: Int) -> Int {
    switch form {
    case .exact: student
    case .topk: 3 * topK
    case .vectors: student + teacher
    }
  }

  /// Of `projected.K` and `vector.K`.
  public var elementType: ElementType { precision == .float16 ? .float16 : .bfloat16 }
}

extension TargetSettings.Form: ExpressibleByArgument {}
