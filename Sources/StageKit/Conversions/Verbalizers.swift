import Models
import Distillation

extension VerbalizeSettings {
  /// The verbalizers that the preset asks for.
  public func form(of backbone: DecoderShape) -> VerbalizerForm {
    VerbalizerForm(
      architecture: architecture, depth: depth, inputNorm: inputNorm, residual: residual,
      backbone: backbone)
  }
}
