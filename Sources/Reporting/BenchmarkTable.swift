import Artifacts
import Evaluation
import Failures

/// Several models on several benchmarks: the figure that tables quote of each, with an interval, how
/// far the reference is ahead, and what the paper says.
public struct BenchmarkTable: Sendable {
  public struct Column: Sendable, Equatable {
    /// The file's name.
    public var name: String
    /// The benchmark of the field (`BenchmarkKind.name`).
    public var kind: String
    /// What the figure is called.
    public var metric: String
    public var questions: Int
  }

  public struct Cell: Sendable, Equatable {
    /// In percent, or MME's points; the middle 95% of a bootstrap over questions, those about one
    /// picture together.
    public var interval: Interval
    /// The reference less this model, on the same questions; nil for itself, or other questions.
    public var lead: Interval?
  }

  public struct Row: Sendable, Equatable {
    public var model: String
    /// By column; nil where it was not asked, or only a judge can tell.
    public var cells: [Cell?]
  }

  public private(set) var columns: [Column] = []
  public private(set) var rows: [Row] = []
  /// The model that the others are set against.
  public let reference: String?

  /// The paper's figures (Lee et al. 2025, tables 1 and 2), by the names of `BenchmarkKind`.
  static let paper: [(model: String, figures: [String: Double])] = [
    (
      "VLsI-2B, the paper",
      [
        "Q-Bench": 72.3, "AI2D": 89.0, "ChartQA": 85.8, "POPE": 87.9, "HallusionBench": 70.0,
        "MME": 2022, "MathVista": 68.4, "MMBench": 81.7, "MMBench-CN": 78.8, "MM-Vet": 64.8,
        "MMMU": 51.4,
      ]
    ),
    (
      "2B before distillation, the paper",
      [
        "Q-Bench": 70.8, "AI2D": 60.2, "ChartQA": 73.5, "POPE": 87.8, "HallusionBench": 61.2,
        "MME": 1872, "MathVista": 43.0, "MMBench": 74.9, "MMBench-CN": 73.5, "MM-Vet": 49.5,
        "MMMU": 41.1,
      ]
    ),
  ]

  /// - Parameter reference: the place of the model that the others are set against.
  public init(_ models: [(name: String, predictions: [Prediction])], reference: Int?) {
    let sets = models.map { Dictionary(grouping: $0.predictions, by: \.benchmark) }
    var seen: Set<String> = []
    for model in models {
      for prediction in model.predictions where seen.insert(prediction.benchmark).inserted {
        let rows = model.predictions.filter { $0.benchmark == prediction.benchmark }
        let kind = BenchmarkKind.kind(of: rows)
        columns.append(
          Column(
            name: prediction.benchmark, kind: kind.name, metric: kind.summary.headlineName,
            questions: rows.count))
      }
    }
    self.reference = reference.map { models[$0].name }
    rows = zip(models, sets).enumerated().map { place, model in
      Row(
        model: model.0.name,
        cells: columns.map { column in
          guard let own = model.1[column.name], let interval = Interval(own) else { return nil }
          let other = reference.flatMap { $0 == place ? nil : sets[$0][column.name] }
          return Cell(interval: interval, lead: other.flatMap { Interval($0, less: own) })
        })
    }
  }

  /// Whether it says more than a table of one benchmark's accuracies does.
  var isNews: Bool { columns.count > 1 || columns.contains { $0.kind != BenchmarkKind.other.name } }

  /// The paper's rows, where it has figures of these benchmarks.
  var paperRows: [(model: String, figures: [Double?])] {
    BenchmarkTable.paper.compactMap { model, figures in
      let found = columns.map { figures[$0.kind] }
      return found.contains { $0 != nil } ? (model, found) : nil
    }
  }

  // MARK: Words

  static func figure(_ value: Double) -> String { Format.fixed(value, value >= 1000 ? 0 : 1) }

  static func range(_ interval: Interval) -> String {
    "\(figure(interval.low)) to \(figure(interval.high))"
  }

  /// Beyond chance: a star where the reference is ahead, a bar where it is behind.
  static func mark(_ lead: Interval?) -> String {
    guard let lead, lead.leavesOutZero else { return "" }
    return lead.value > 0 ? " *" : " |"
  }

  /// What the marks mean.
  var legend: String {
    "In brackets 95% of a bootstrap over questions, those about one picture together."
      + (reference.map {
        " * \($0) is ahead beyond chance, | behind; paired, question by question."
      } ?? "") + (paperRows.isEmpty ? "" : " The paper's models were trained on other data.")
  }

  /// For a terminal: benchmarks down, models across.
  public var text: String {
    let head = ["benchmark", "questions"] + rows.map(\.model) + paperRows.map(\.model)
    var lines = [head]
    for (number, column) in columns.enumerated() {
      lines.append(
        ["\(column.name), \(column.metric)", Format.count(column.questions)]
          + rows.map { row in
            row.cells[number].map {
              "\(BenchmarkTable.figure($0.interval.value)) [\(BenchmarkTable.range($0.interval))]"
                + BenchmarkTable.mark($0.lead)
            } ?? "–"
          } + paperRows.map { $0.figures[number].map(BenchmarkTable.figure) ?? "–" })
    }
    return (ScoreTable.aligned(lines) + wrapped(legend)).joined(separator: "\n") + "\n"
  }

  /// The same in Markdown.
  public var markdown: String {
    let names = rows.map(\.model) + paperRows.map(\.model)
    var lines = [
      "| benchmark | questions |" + names.map { " \(ModelCard.plain($0)) |" }.joined(),
      "|---|---:|" + names.map { _ in "---:|" }.joined(),
    ]
    for (number, column) in columns.enumerated() {
      let cells =
        rows.map { row in
          row.cells[number].map {
            "\(BenchmarkTable.figure($0.interval.value)) [\(BenchmarkTable.range($0.interval))]"
              + BenchmarkTable.mark($0.lead).replacing("|", with: "\\|")
          } ?? "–"
        } + paperRows.map { $0.figures[number].map(BenchmarkTable.figure) ?? "–" }
      lines.append(
        "| \(ModelCard.plain(column.name)), \(column.metric) | \(Format.count(column.questions)) |"
          + cells.map { " \($0) |" }.joined())
    }
    return lines.joined(separator: "\n") + "\n\n" + legend.replacing("|", with: "\\|") + "\n"
  }

  /// The same for programs.
  public var json: JSON {
    func object(_ interval: Interval) -> JSON {
      [
        "value": .number(interval.value), "low": .number(interval.low),
        "high": .number(interval.high),
      ]
    }
    return [
      "reference": reference.map { .string($0) } ?? .null,
      "benchmarks": .array(
        columns.enumerated().map { number, column in
          [
            "name": .string(column.name), "kind": .string(column.kind),
            "metric": .string(column.metric), "questions": .int(column.questions),
            "models": .array(
              rows.compactMap { row in
                row.cells[number].map { cell in
                  [
                    "model": .string(row.model), "figure": object(cell.interval),
                    "reference_less_it": cell.lead.map(object) ?? .null,
                    "beyond_chance": cell.lead.map { .bool($0.leavesOutZero) } ?? .null,
                  ]
                }
              }),
            "paper": .object(
              Dictionary(
                uniqueKeysWithValues: paperRows.compactMap { row in
                  row.figures[number].map { (row.model, .number($0)) }
                })),
          ]
        }),
    ]
  }
}

extension ScoreTable {
  /// The first seed's models on the benchmarks; VLsI is the reference.
  var benchmarks: BenchmarkTable {
    let asked = rows.compactMap { row in
      row.evaluations.first.map { (row.contender, $0.predictions) }
    }
    return BenchmarkTable(
      asked.map { ($0.0.label, $0.1) }, reference: asked.firstIndex { $0.0 == .model })
  }
}

extension Report {
  /// Benchmarks down, models across.
  var benchmarkTable: HTML {
    let table = scores.benchmarks
    guard table.isNews else { return "" }
    let head: [HTML] =
      ["benchmark", "<th scope=\"col\" class=\"spare\">questions</th>"]
      + table.rows.map { "\($0.model)" } + table.paperRows.map { "\($0.model)" }
    let rows = table.columns.enumerated().map { number, column -> ([HTML], Bool) in
      let cells: [HTML] = table.rows.map { row in
        guard let cell = row.cells[number] else { return "–" }
        return """
          \(BenchmarkTable.figure(cell.interval.value))\(BenchmarkTable.mark(cell.lead)) \
          <span class="error-figure">\(BenchmarkTable.range(cell.interval))</span>
          """
      }
      let paper: [HTML] = table.paperRows.map {
        "\($0.figures[number].map(BenchmarkTable.figure) ?? "–")"
      }
      return (
        [
          "\(Report.short(column.name, 40)), \(column.metric)",
          "<td class=\"spare\">\(Format.count(column.questions))</td>",
        ] + cells + paper, false
      )
    }
    return """
      <h3>By benchmark</h3>
      \(HTML.table(head, rows, style: "benchmarks"))<p class="note">\(table.legend)</p>

      """
  }
}
