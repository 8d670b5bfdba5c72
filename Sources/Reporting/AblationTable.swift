import Artifacts
import Evaluation
import Failures

/// What a list of cells gave over seeds, beside what the paper found.
public struct AblationTable: Sendable {
  /// One comparison with its results.
  public struct Comparison: Sendable {
    public var list: AblationList.Comparison
    public var rows: [Row]
    public var order: Order
  }

  /// One cell's results.
  public struct Row: Sendable {
    public var cell: AblationList.Cell
    /// Accuracy by seed, 0 to 1; empty when the cell was not run.
    public var accuracy: [(seed: String, value: Double)] = []
    /// Whether this is the method that the others are compared with: the cell without settings of
    /// its own, else the comparison's last.
    public var isMethod = false
    /// The cell less the method, over the seeds of both; nil for the method itself and where nothing
    /// is paired.
    public var difference: Estimate?

    /// Whether the difference is more than chance over seeds.
    public var isClear: Bool { difference.map { $0.values.count > 1 && $0.isCertain } ?? false }
    public var overSeeds: Estimate? {
      Estimate(accuracy.map(\.value), sampling: 0)
    }
  }

  /// How far the order here is the paper's, over pairs of cells that both have figures of one
  /// benchmark and results of one seed.
  public struct Order: Sendable, Equatable {
    /// Pairs that the paper's figures tell apart, by their mean over the benchmarks of both.
    public var pairs = 0
    /// Of these, pairs that stand here as there.
    public var agreeing = 0
    /// Pairs whose difference here is more than chance over seeds.
    public var clear = 0
    public var clearAgreeing = 0

    /// Kendall's rank correlation over these pairs, -1 to 1, nil without any.
    public var correlation: Double? {
      pairs > 0 ? Double(2 * agreeing - pairs) / Double(pairs) : nil
    }
  }

  public var comparisons: [Comparison] = []
  /// Held-out questions.
  public var questions = 0
  /// In the order of their first occurrence.
  public var seeds: [String] = []

  /// - Parameters:
  ///   - results: predictions by cell and seed; cells without any stay in the table as not run.
  /// - Throws: `Failure` 65 when two cells did not answer the same questions.
  public init(
    _ list: AblationList, _ results: [(cell: String, seed: String, predictions: [Prediction])]
  ) throws {
    for result in results {
      if !seeds.contains(result.seed) { seeds.append(result.seed) }
      if questions == 0 { questions = result.predictions.count }
      // Any pair of evaluations must be of the same questions: the first stands for all.
      _ = try PairedDifference(
        results[0].predictions, result.predictions,
        place: "cell \(result.cell), seed \(result.seed)")
    }
    for comparison in list.comparisons {
      var rows = comparison.cells.map { cell in
        Row(
          cell: cell,
          accuracy: results.filter { $0.cell == cell.name }.map {
            ($0.seed, Scores($0.predictions).overall.accuracy)
          })
      }
      let method =
        rows.firstIndex { $0.cell.settings.isEmpty } ?? rows.indices.last
      for number in rows.indices {
        rows[number].isMethod = number == method
        guard let method, number != method else { continue }
        rows[number].difference = Self.difference(rows[number], rows[method])
      }
      comparisons.append(
        Comparison(list: comparison, rows: rows, order: Self.order(rows)))
    }
  }

  private static func difference(_ first: Row, _ second: Row) -> Estimate? {
    let differences = first.accuracy.compactMap { entry in
      second.accuracy.first { $0.seed == entry.seed }.map { entry.value - $0.value }
    }
    return Estimate(differences, sampling: 0)
  }

  private static func order(_ rows: [Row]) -> Order {
    var order = Order()
    for (number, first) in rows.enumerated() {
      for second in rows[(number + 1)...] {
        let paper = zip(first.cell.figures, second.cell.figures).compactMap { pair in
          pair.0.flatMap { one in pair.1.map { one - $0 } }
        }
        // The figures have one decimal: a sum below half of it is a tie.
        guard let here = difference(first, second), abs(paper.reduce(0, +)) > 0.05 else { continue }
        let agrees = here.mean * paper.reduce(0, +) > 0
        order.pairs += 1
        order.agreeing += agrees ? 1 : 0
        // One seed says nothing about another.
        if here.values.count > 1, here.isCertain {
          order.clear += 1
          order.clearAgreeing += agrees ? 1 : 0
        }
      }
    }
    return order
  }

  /// Cells without a result, by name.
  public var notRun: [String] {
    comparisons.flatMap { $0.rows.filter(\.accuracy.isEmpty).map(\.cell.name) }
  }
}
