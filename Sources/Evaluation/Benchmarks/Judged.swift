/// MathVista (Lu et al. 2024): accuracy over all, by task and by skill. Without a judge it is that of
/// the answers that need none, and is called so.
struct MathVistaSummary: Summary {
  let headlineName = "accuracy"
  private let mean = MeanSummary(groups: ["task"])

  func tallies(_ predictions: [Prediction]) -> [Tally] { mean.tallies(predictions) }
  func headline(_ sums: [Double]) -> Double { mean.headline(sums) }

  func metrics(_ predictions: [Prediction]) -> [Metric] {
    let isJudged = predictions.contains { $0.columns["log"] != nil }
    func skills(_ prediction: Prediction) -> [String] {
      prediction.columns["skills"].map { PythonList.items($0) ?? [$0] } ?? []
    }
    let names = Set(predictions.flatMap(skills)).sorted()
    let metrics =
      [Metric(headlineName, mean.headline(of: predictions), predictions.count)]
      + grouped(predictions, by: "task").map { task, rows in
        Metric(headlineName, mean.headline(of: rows), rows.count, column: "task", group: task)
      }
      + names.map { name in
        let rows = predictions.filter { skills($0).contains(name) }
        return Metric(
          headlineName, mean.headline(of: rows), rows.count, column: "skills", group: name)
      }
    return isJudged
      ? metrics
      : metrics.map { metric in
        var named = metric
        named.name = "accuracy without a judge"
        return named
      }
  }
}

/// MM-Vet (Yu et al. 2024): a judge's scores from 0 to 1, in percent, by capability. VLMEvalKit counts
/// questions of one capability alone twice there (`MMVet_acc`), and so do we.
struct MMVetSummary: Summary {
  let headlineName = "score"
  private let mean = MeanSummary("score")

  func tallies(_ predictions: [Prediction]) -> [Tally] {
    mean.tallies(predictions.filter { $0.score != nil })
  }
  func headline(_ sums: [Double]) -> Double { mean.headline(sums) }

  func metrics(_ predictions: [Prediction]) -> [Metric] {
    let judged = predictions.filter { $0.score != nil }
    guard !judged.isEmpty else { return [] }
    return [Metric(headlineName, mean.headline(of: judged), judged.count)]
      + ["rec", "ocr", "know", "gen", "spat", "math"].compactMap { capability in
        let rows =
          judged.filter { Python.holds($0.category, capability) }
          + judged.filter { $0.category == capability }
        return rows.isEmpty
          ? nil
          : Metric(
            headlineName, mean.headline(of: rows), rows.count, column: "capability",
            group: capability)
      }
  }
}

/// LLaVABench and LLaVA-Wilder (Liu et al. 2023, "Visual Instruction Tuning", section 5.1): a judge's
/// scores from 1 to 10, relative to those of the answer that they are set against, in percent.
struct LLaVABenchSummary: Summary {
  let headlineName = "relative score"

  func tallies(_ predictions: [Prediction]) -> [Tally] {
    Tally.gather(predictions.filter { $0.score != nil }, by: \.picture) { prediction in
      [
        prediction.score ?? 0,
        (prediction.columns["gpt4_score"].flatMap(Python.float) ?? 0) / 10, 1,
      ]
    }
  }

  func headline(_ sums: [Double]) -> Double { sums.isEmpty ? 0 : 100 * ratio(sums[0], sums[1]) }

  func metrics(_ predictions: [Prediction]) -> [Metric] {
    func figures(_ rows: [Prediction], _ column: String?, _ group: String?) -> [Metric] {
      let sums = Tally.sum(tallies(rows))
      guard !sums.isEmpty else { return [] }
      return [
        ("relative score", headline(sums)), ("score", 100 * ratio(sums[0], sums[2])),
        ("reference score", 100 * ratio(sums[1], sums[2])),
      ].map { Metric($0.0, $0.1, rows.count, column: column, group: group) }
    }
    return figures(predictions, nil, nil)
      + grouped(predictions, by: "category").flatMap { figures($0.1, "category", $0.0) }
  }
}
