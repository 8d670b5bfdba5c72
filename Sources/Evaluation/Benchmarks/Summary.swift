/// A figure that a set of answers comes to.
public struct Metric: Sendable, Codable, Equatable {
  /// accuracy, F1, aAcc…
  public var name: String
  /// The column whose rows of one value it is about; nil for all.
  public var column: String?
  public var group: String?
  /// The split that it is about; nil for all.
  public var split: String?
  /// In the unit in which it is quoted: percent, or MME's points.
  public var value: Double
  public var questions: Int

  init(
    _ name: String, _ value: Double, _ questions: Int, column: String? = nil, group: String? = nil,
    split: String? = nil
  ) {
    self.name = name
    self.column = column
    self.group = group
    self.split = split
    self.value = value
    self.questions = questions
  }
}

/// What rows that stand and fall together contribute to a benchmark's headline.
public struct Tally: Sendable {
  /// Rows about one picture, or the turns of one question.
  public var cluster: String
  /// Sums over its rows; the headline is a function of their sums over clusters.
  public var values: [Double]
}

/// What figures a set of predictions comes to.
public protocol Summary: Sendable {
  /// What the one figure is called that tables quote.
  var headlineName: String { get }
  /// The largest value that it can have.
  var most: Double { get }

  /// What each cluster contributes, in the order in which they come; the same clusters for every
  /// model that answered the same questions. The values of all are of one length.
  func tallies(_ predictions: [Prediction]) -> [Tally]
  /// The headline, from the sums of tallies.
  func headline(_ sums: [Double]) -> Double
  /// All figures, the headline first.
  func metrics(_ predictions: [Prediction]) -> [Metric]
}

extension Summary {
  public var most: Double { 100 }

  /// The headline of a set of predictions.
  public func headline(of predictions: [Prediction]) -> Double {
    headline(Tally.sum(tallies(predictions)))
  }
}

extension Tally {
  /// Gathers values by cluster, in the order in which clusters first occur.
  static func gather(
    _ predictions: [Prediction], by cluster: (Prediction) -> String,
    _ values: (Prediction) -> [Double]
  ) -> [Tally] {
    var places: [String: Int] = [:]
    var tallies: [Tally] = []
    for prediction in predictions {
      let name = cluster(prediction)
      let new = values(prediction)
      if let place = places[name] {
        for (number, value) in new.enumerated() { tallies[place].values[number] += value }
      } else {
        places[name] = tallies.count
        tallies.append(Tally(cluster: name, values: new))
      }
    }
    return tallies
  }

  static func sum(_ tallies: [Tally]) -> [Double] {
    var sums = tallies.first.map { $0.values.map { _ in 0.0 } } ?? []
    for tally in tallies {
      for (number, value) in tally.values.enumerated() { sums[number] += value }
    }
    return sums
  }
}

/// The rows of each value of a column, in the order of the values.
func grouped(_ predictions: [Prediction], by column: String) -> [(String, [Prediction])] {
  Dictionary(grouping: predictions.filter { $0.columns[column] != nil }) {
    $0.columns[column] ?? ""
  }.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
}

func ratio(_ part: Double, _ whole: Double) -> Double { whole == 0 ? 0 : part / whole }

/// The mean score, in percent: over all, by split, by category.
struct MeanSummary: Summary {
  let headlineName: String
  private let groups: [String]

  init(_ name: String = "accuracy", groups: [String] = ["l2-category", "category"]) {
    headlineName = name
    self.groups = groups
  }

  func tallies(_ predictions: [Prediction]) -> [Tally] {
    Tally.gather(predictions, by: \.picture) { [$0.score ?? 0, 1] }
  }

  func headline(_ sums: [Double]) -> Double { sums.isEmpty ? 0 : 100 * ratio(sums[0], sums[1]) }

  func metrics(_ predictions: [Prediction]) -> [Metric] {
    func mean(_ rows: [Prediction]) -> Double { headline(of: rows) }
    func figures(_ rows: [Prediction], _ split: String?) -> [Metric] {
      [Metric(headlineName, mean(rows), rows.count, split: split)]
        + groups.flatMap { column in
          grouped(rows, by: column).map { group, rows in
            Metric(headlineName, mean(rows), rows.count, column: column, group: group, split: split)
          }
        }
    }
    return figures(predictions, nil)
      + grouped(predictions, by: "split").flatMap { figures($0.1, $0.0) }
  }
}
