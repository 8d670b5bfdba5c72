import Artifacts
import Distillation

/// The loss that a stage used, by its preset's words, as people call it.
struct LossName: Equatable, Sendable {
  /// In a sentence: what of a student's layer was held against the teacher's.
  let words: String
  /// On an axis, with its unit.
  let axis: String
  let weight: Double

  /// - Parameters:
  ///   - align: the manifest's section `align`.
  ///   - term: `intermediate` or `last`.
  /// Nil for a term that took no part.
  init?(_ align: JSON?, term: String) {
    weight = align?["\(term)_weight"]?.asDouble ?? 1
    let word = align?["\(term)_loss"]?.asString ?? LossTerm.Kind.kullbackLeibler.rawValue
    guard weight > 0, word != LossTerm.Kind.none.rawValue else { return nil }
    let hasHead = term == "last" || align?["language_head"]?.asBool ?? true
    switch LossTerm.Kind(rawValue: word) {
    case .kullbackLeibler:
      words = "the Kullback–Leibler divergence KL(teacher ‖ student)"
      axis = "KL, nats"
    case .reverseKullbackLeibler:
      words = "the reverse Kullback–Leibler divergence KL(student ‖ teacher)"
      axis = "reverse KL, nats"
    case .jensenShannon:
      words = "the Jensen–Shannon divergence"
      axis = "JS divergence, nats"
    case .crossEntropy:
      words = "cross-entropy with the training answer, no teacher"
      axis = "cross-entropy, nats"
    case .squared:
      words =
        hasHead
        ? "the mean squared difference of the logits"
        : "the mean squared difference of the verbalizers’ vectors, without a language head"
      axis = hasHead ? "squared difference of logits" : "squared difference of vectors"
    default:
      // A later program's loss: its own word.
      words = word
      axis = word
    }
  }
}
