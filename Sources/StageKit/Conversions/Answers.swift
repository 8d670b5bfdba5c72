import Decoding

extension EvaluateSettings {
  /// How a checkpoint is asked: with the preset's search, and what holds for all of its answers.
  /// - Parameter end: the token that ends a turn, which ends an answer too.
  public func generation(_ defaults: GenerationDefaults, end: Int32) -> GenerationSettings {
    var generation = GenerationSettings(
      method: beams > 1 ? .beams(BeamSearch(beams: beams)) : .greedy, maxNewTokens: maxNewTokens,
      stop: defaults.stop.union([end]))
    generation.repetitionPenalty = defaults.repetitionPenalty
    return generation
  }
}
