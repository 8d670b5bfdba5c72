/// MMBench's circular evaluation (Liu et al. 2023, section 4.2): a question is right where it is
/// with its options in every order; beside it the plain accuracy, of all orders and of the first.
/// Rows of one question have one `g_index`, else one index but for millions.
struct CircularSummary: Summary {
  let headlineName = "accuracy"
  private let mean = MeanSummary()

  static func question(_ prediction: Prediction) -> String {
    if let group = prediction.columns["g_index"] {
      return Python.float(group).map { String(Int($0)) } ?? group
    }
    return Int(prediction.index).map { String($0 % 1_000_000) } ?? prediction.index
  }

  func tallies(_ predictions: [Prediction]) -> [Tally] {
    whole(predictions).map { Tally(cluster: $0.index, values: [$0.score ?? 0, 1]) }
  }

  func headline(_ sums: [Double]) -> Double { mean.headline(sums) }

  /// Of every question the row with its options in the first order, right where all of them are.
  private func whole(_ predictions: [Prediction]) -> [Prediction] {
    let questions = Dictionary(grouping: predictions, by: CircularSummary.question)
    return first(predictions).map { prediction in
      var row = prediction
      let rows = questions[CircularSummary.question(prediction)] ?? []
      row.score = rows.allSatisfy { $0.score == 1 } ? 1 : 0
      return row
    }
  }

  private func first(_ predictions: [Prediction]) -> [Prediction] {
    predictions.filter { $0.index == CircularSummary.question($0) }
  }

  func metrics(_ predictions: [Prediction]) -> [Metric] {
    func plain(_ name: String, _ rows: [Prediction]) -> [Metric] {
      mean.metrics(rows).map { metric in
        var named = metric
        named.name = name
        return named
      }
    }
    return mean.metrics(whole(predictions)) + plain("accuracy, vanilla", predictions)
      + plain("accuracy, first order", first(predictions))
  }
}
