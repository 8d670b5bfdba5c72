import Artifacts

/// The terms of the interaction's loss over steps, and the norms of their gradients.
struct InteractionCurves: Sendable {
  /// What one student layer, or the last one, had to learn.
  struct Term: Sendable {
    /// `layer 2`, `last layer`
    var name: String
    var loss: Curve
    /// The norm of the weighted term's gradient; empty where the metrics do not tell.
    var gradient: Curve
  }

  /// One for each student target layer, shallow to deep; none where only the last layer is taught.
  var intermediate: [Term] = []
  var last: Term?
  /// Nil for terms that took no part.
  var intermediateLoss: LossName?
  var lastLoss: LossName?
  /// Temperature of the distributions that were compared.
  var temperature = 1.0

  var terms: [Term] { intermediate + [last].compactMap { $0 } }

  /// - Parameters:
  ///   - lines: {"step", "last", "intermediate", "last_gradient", "intermediate_gradient"}
  ///   - align: the manifest's section `align`.
  /// Nil when there is none.
  init?(_ lines: [JSON], studentLayers: [Int], align: JSON?, tone: Tone) {
    intermediateLoss = LossName(align, term: "intermediate")
    lastLoss = LossName(align, term: "last")
    func curve(_ value: (JSON) -> Double?) -> Curve {
      Curve(
        "",
        lines.compactMap { line in
          guard let step = line["step"]?.asInt, let value = value(line) else { return nil }
          return (Double(step) + 1, value)
        }, tone: tone)
    }
    if intermediateLoss != nil {
      let count = lines.map { $0["intermediate"]?.asArray?.count ?? 0 }.max() ?? 0
      for i in 0..<min(count, 1000) {
        let number = i < studentLayers.count ? studentLayers[i] : i + 1
        intermediate.append(
          Term(
            name: "layer \(number)",
            loss: curve { $0["intermediate"]?.asArray?.at(i)?.asDouble },
            gradient: curve { $0["intermediate_gradient"]?.asArray?.at(i)?.asDouble }))
      }
      // A run of before losses had names writes zeros for terms that it does not have.
      intermediate.removeAll { $0.loss.points.allSatisfy { $0.y == 0 } }
    }
    if lastLoss != nil {
      let term = Term(
        name: "last layer", loss: curve { $0["last"]?.asDouble },
        gradient: curve { $0["last_gradient"]?.asDouble })
      if !term.loss.points.isEmpty { last = term }
    }
    if terms.isEmpty { return nil }
  }
}

extension Array {
  /// The element at a place that may not be there.
  func at(_ index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
