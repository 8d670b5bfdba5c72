/// CV-Bench (Tong et al. 2024, "Cambrian-1", appendix C): of the two-dimensional part the mean over
/// its sources; of the other the accuracy.
struct CVBenchSummary: Summary {
  let headlineName = "accuracy"
  private let mean = MeanSummary(groups: ["l2-category", "category"])

  private func isFlat(_ predictions: [Prediction]) -> Bool {
    predictions.allSatisfy { $0.columns["split"] == "2D" && $0.columns["source"] != nil }
  }

  /// Of each source: right answers and answers.
  func tallies(_ predictions: [Prediction]) -> [Tally] {
    guard isFlat(predictions) else { return mean.tallies(predictions) }
    let sources = Set(predictions.compactMap { $0.columns["source"] }).sorted()
    return Tally.gather(predictions, by: \.picture) { prediction in
      sources.flatMap { $0 == prediction.columns["source"] ? [prediction.score ?? 0, 1] : [0, 0] }
    }
  }

  func headline(_ sums: [Double]) -> Double {
    let sources = stride(from: 0, to: sums.count, by: 2).filter { sums[$0 + 1] > 0 }
    return 100
      * ratio(sources.reduce(0) { $0 + sums[$1] / sums[$1 + 1] }, Double(sources.count))
  }

  func metrics(_ predictions: [Prediction]) -> [Metric] {
    guard isFlat(predictions) else { return mean.metrics(predictions) }
    return [Metric(headlineName, headline(of: predictions), predictions.count)]
      + grouped(predictions, by: "source").map { source, rows in
        Metric(headlineName, mean.headline(of: rows), rows.count, column: "source", group: source)
      }
  }
}
