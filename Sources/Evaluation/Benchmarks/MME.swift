/// MME (Fu et al. 2023, section 2.3): of each task the accuracy, and the share of pictures of which
/// both questions are answered rightly, in percent, added; the sums of the tasks of perception (at
/// most 2,000) and of cognition (at most 800; VLMEvalKit calls it reasoning).
struct MMESummary: Summary {
  let headlineName = "perception + reasoning"
  let most = 2800.0

  private static let perception = [
    "OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position", "posters",
    "scene",
  ]
  private static let reasoning = [
    "code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation",
  ]
  private static let tasks = perception + reasoning

  /// Of each task: right answers, answers, pictures right twice, pictures.
  func tallies(_ predictions: [Prediction]) -> [Tally] {
    var tallies: [Tally] = []
    var places: [[String]: Int] = [:]
    var pairs: [[Double]] = []
    for prediction in predictions {
      let key = [prediction.category, prediction.picture]
      if let place = places[key] {
        pairs[place].append(prediction.score ?? 0)
      } else {
        places[key] = pairs.count
        pairs.append([prediction.score ?? 0])
        tallies.append(Tally(cluster: key.joined(separator: " "), values: []))
      }
    }
    for (key, place) in places {
      var values = [Double](repeating: 0, count: 4 * MMESummary.tasks.count)
      if let task = MMESummary.tasks.firstIndex(of: key[0]) {
        let scores = pairs[place]
        values[4 * task] = scores.reduce(0, +)
        values[4 * task + 1] = Double(scores.count)
        values[4 * task + 2] = scores.count > 1 ? scores[0] * scores[1] : 0
        values[4 * task + 3] = 1
      }
      tallies[place].values = values
    }
    return tallies
  }

  private func score(_ sums: [Double], _ task: Int) -> Double {
    100 * ratio(sums[4 * task], sums[4 * task + 1])
      + 100 * ratio(sums[4 * task + 2], sums[4 * task + 3])
  }

  func headline(_ sums: [Double]) -> Double {
    sums.isEmpty ? 0 : MMESummary.tasks.indices.reduce(0) { $0 + score(sums, $1) }
  }

  func metrics(_ predictions: [Prediction]) -> [Metric] {
    let sums = Tally.sum(tallies(predictions))
    guard !sums.isEmpty else { return [] }
    let scores = MMESummary.tasks.enumerated().map { number, task in
      (
        task: task, value: score(sums, number),
        count: predictions.count { $0.category == task }
      )
    }
    func sum(_ name: String, _ tasks: [String]) -> Metric {
      let these = scores.filter { tasks.contains($0.task) }
      return Metric(
        name, these.reduce(0) { $0 + $1.value }, these.reduce(0) { $0 + $1.count })
    }
    return [
      Metric(headlineName, headline(sums), predictions.count),
      sum("perception", MMESummary.perception), sum("reasoning", MMESummary.reasoning),
    ]
      + scores.filter { $0.count > 0 }.map {
        Metric("score", $0.value, $0.count, column: "category", group: $0.task)
      }
  }
}
