import Models
import Distillation
import StageKit

extension VerbalizeSettings {
  /// The verbalizers that the preset asks for.
  public func form(of backbone: DecoderShape) -> VerbalizerForm {
    VerbalizerForm(
      architecture: architecture, depth: depth, inputNorm: inputNorm, residual: residual,
      backbone: backbone)
  }
}

extension TargetSettings {
  /// Numbers of 16 bits that the targets hold of one layer at a position.
  public func numbers(student: Int, teacher: Int) -> Int {
    switch form {
    case .exact: student
    case .topk: 3 * topK
    case .vectors: student + teacher
    }
  }
}
