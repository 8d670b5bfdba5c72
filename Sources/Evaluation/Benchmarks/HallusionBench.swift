/// HallusionBench (Guan et al. 2024, section 4.1): the share of right answers (aAcc), of figures of
/// which all answers are right (fAcc), and of questions that are answered rightly for all of their
/// figures (qAcc). An index such as `VD_illusion_0_0_1_2` holds set, figure and question.
struct HallusionBenchSummary: Summary {
  let headlineName = "aAcc"

  private func key(_ prediction: Prediction, _ place: Int) -> String {
    let parts = prediction.index.split(separator: "_", omittingEmptySubsequences: false)
    func part(_ place: Int) -> String { parts.indices.contains(place) ? String(parts[place]) : "" }
    return "\(prediction.columns["l2-category"] ?? "")_\(part(3))_\(part(place))"
  }

  func tallies(_ predictions: [Prediction]) -> [Tally] {
    // Figures of a set show the same thing: the set stands and falls together.
    Tally.gather(predictions, by: { key($0, 3) }) { [$0.score ?? 0, 1] }
  }

  func headline(_ sums: [Double]) -> Double { sums.isEmpty ? 0 : 100 * ratio(sums[0], sums[1]) }

  func metrics(_ predictions: [Prediction]) -> [Metric] {
    func figures(_ rows: [Prediction], _ column: String?, _ group: String?) -> [Metric] {
      func all(_ place: Int) -> Double {
        let groups = Dictionary(grouping: rows) { key($0, place) }
        let right = groups.values.count { $0.allSatisfy { $0.score == 1 } }
        return 100 * ratio(Double(right), Double(groups.count))
      }
      return [("aAcc", headline(of: rows)), ("fAcc", all(4)), ("qAcc", all(5))].map {
        Metric($0.0, $0.1, rows.count, column: column, group: group)
      }
    }
    return figures(predictions, nil, nil)
      + ["category", "l2-category"].flatMap { column in
        grouped(predictions, by: column).flatMap { figures($0.1, column, $0.0) }
      }
  }
}
