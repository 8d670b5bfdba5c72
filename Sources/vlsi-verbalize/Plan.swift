import Models
import Checkpoints
import Distillation
import Foundation
import Planning
import StageKit
import Training

/// What every architecture of a verbalizer costs on a backbone: the paper's table of variants.
struct Plan {
  private let backbone: DecoderShape
  private let layers: [Int]
  private let settings: VerbalizeSettings

  init(_ text: TextConfig, layers: [Int], settings: VerbalizeSettings) {
    backbone = text.block
    self.layers = layers
    self.settings = settings
  }

  /// Prints the table, the preset's own choice marked, largest first.
  func show() {
    let chosen = settings.form(of: backbone)
    print(
      "\(layers.count) target layers: \(layers.map(String.init).joined(separator: ", "))\n"
        + "d \(backbone.width), FFN \(backbone.intermediate), \(backbone.heads) heads, "
        + "\(backbone.keyValueHeads) of keys and values\n")
    print("  variant             parameters            memory to train")
    for architecture in [VerbalizerForm.Architecture.decoder, .ffn, .verbFFN, .mlp] {
      for depth in [2, 1] {
        row(VerbalizerForm(architecture: architecture, depth: depth, backbone: backbone), chosen)
      }
    }
    if chosen.depth > 2 { row(chosen, chosen) }
  }

  private func row(_ form: VerbalizerForm, _ chosen: VerbalizerForm) {
    let count = form.parameterCount(layers: layers.count)
    let bytes = StageMemory.verbalize(
      form, layers: layers.count, settings: settings, features: FeatureBatches.bytesKept)
    let isChosen = form.architecture == chosen.architecture && form.depth == chosen.depth
    let name = form.architecture.rawValue + (form.depth > 1 ? " × \(form.depth)" : "")
    print(
      (isChosen ? "* " : "  ") + name.padding(toLength: 14, withPad: " ", startingAt: 0)
        + Self.leading(Self.grouped(count), 15) + Self.leading(Self.short(count), 10)
        + Self.leading(MemoryPlan.text(bytes), 12))
  }

  /// 3.26 B, 269.7 M, 36.9 K
  static func short(_ count: Int) -> String {
    let number = Double(count)
    if number >= 1e9 { return String(format: "%.2f B", number / 1e9) }
    if number >= 1e6 { return String(format: "%.1f M", number / 1e6) }
    return String(format: "%.1f K", number / 1e3)
  }

  /// 269,746,176
  private static func grouped(_ count: Int) -> String {
    let digits = Array(String(count))
    return digits.indices.reduce("") { text, i in
      text + (i > 0 && (digits.count - i) % 3 == 0 ? "," : "") + String(digits[i])
    }
  }

  private static func leading(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
