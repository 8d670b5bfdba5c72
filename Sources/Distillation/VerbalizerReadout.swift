import Decoding

extension Verbalizer {
  /// The answers of the verbalizer's layer, read out behind its block.
  public var readout: Readout {
    Readout(depth: layer, looksBack: form.architecture == .decoder) { tape, states, answers in
      self.forward(tape, states, answers: answers)
    }
  }
}
