/// POPE (Li et al. 2023, "Evaluating Object Hallucination in Large Vision-Language Models", section
/// 4): F1, accuracy, precision and recall of yes, over all and by category. A row of several
/// categories, with commas between, counts in each, and as often in the whole, as VLMEvalKit has it.
struct POPESummary: Summary {
  let headlineName = "F1"

  private func categories(_ prediction: Prediction) -> [String] {
    prediction.columns["category"]?.split(separator: ",", omittingEmptySubsequences: false)
      .map(String.init) ?? []
  }

  /// True positives, false positives, false negatives, right ones and all.
  private func counts(_ prediction: Prediction) -> [Double] {
    let (isYes, saysYes) = (prediction.answer == "Yes", prediction.extracted == "Yes")
    let right = prediction.score ?? 0
    return [
      isYes && saysYes ? 1 : 0, !isYes && saysYes ? 1 : 0, isYes && !saysYes ? 1 : 0, right, 1,
    ]
  }

  func tallies(_ predictions: [Prediction]) -> [Tally] {
    Tally.gather(predictions, by: \.picture) { prediction in
      let times = Double(max(1, categories(prediction).count))
      return counts(prediction).map { $0 * times }
    }
  }

  func headline(_ sums: [Double]) -> Double { sums.isEmpty ? 0 : figures(sums)[0].1 }

  private func figures(_ sums: [Double]) -> [(String, Double)] {
    let precision = ratio(sums[0], sums[0] + sums[1])
    let recall = ratio(sums[0], sums[0] + sums[2])
    return [
      ("F1", 100 * ratio(2 * precision * recall, precision + recall)),
      ("accuracy", 100 * ratio(sums[3], sums[4])), ("precision", 100 * precision),
      ("recall", 100 * recall),
    ]
  }

  func metrics(_ predictions: [Prediction]) -> [Metric] {
    let all = figures(Tally.sum(tallies(predictions)))
    let names = Set(predictions.flatMap(categories)).sorted()
    return all.map { Metric($0.0, $0.1, predictions.count) }
      + names.flatMap { name in
        let rows = predictions.filter { categories($0).contains(name) }
        let sums = Tally.sum(rows.map { Tally(cluster: "", values: counts($0)) })
        return figures(sums).map {
          Metric($0.0, $0.1, rows.count, column: "category", group: name)
        }
      }
  }
}
