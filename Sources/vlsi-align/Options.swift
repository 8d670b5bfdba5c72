import Distillation
import Failures
import StageKit

/// The preset's words as the method's options.
extension AlignSettings {
  /// Algorithm 1 with the preset's options.
  var layerMatching: LayerMatching {
    LayerMatching(
      strategy: matching, searchRange: searchRange, orderPreservation: orderPreservation,
      adaptiveTemperature: adaptiveTemperature)
  }

  func intermediateTerm(temperature: Float) -> LossTerm {
    LossTerm(intermediateLoss, weight: intermediateWeight, temperature: temperature)
  }

  func lastTerm(temperature: Float) -> LossTerm {
    LossTerm(lastLoss, weight: lastWeight, temperature: temperature)
  }

  /// Refuses options that exclude each other, before hours are spent. Throws 78.
  func check(_ intermediate: LossTerm, _ last: LossTerm) throws {
    if training.length.trains, !intermediate.counts, !last.counts {
      throw Failure(
        .badPreset, "align has nothing to learn from",
        expected: "a loss with a weight above 0",
        found: "intermediate_loss \(intermediateLoss.rawValue), last_loss \(lastLoss.rawValue)",
        advice: "Choose a loss, or set align.steps: 0")
    }
    guard !languageHead, intermediate.counts else { return }
    guard intermediate.kind == .squared else {
      throw Failure(
        .badPreset, "without a language head the target layers say nothing",
        expected: "align.intermediate_loss: l2", found: intermediateLoss.rawValue,
        advice: "Set it so, or align.language_head: true")
    }
    guard trainVerbalizers else {
      throw Failure(
        .badPreset, "without a language head the verbalizers learn in align",
        expected: "align.train_verbalizers: true", found: "false")
    }
  }
}
