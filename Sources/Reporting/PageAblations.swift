extension Report {
  var ablationSection: Section? {
    guard !ablations.isEmpty else { return nil }
    let tables: [HTML] = ablations.map { ablations in
      let parts: [HTML] = ablations.comparisons.filter { !$0.cells.isEmpty }.map(table)
      let seeds = ablations.seeds == 1 ? "one seed" : "up to \(ablations.seeds) seeds"
      return """
        <p>\(Format.count(ablations.questions)) held-out questions, \(seeds) \
        <span class="quiet">(\(ablations.name))</span>.</p>
        \(parts)
        """
    }
    return Section(
      name: "ablations", short: "Ablations", title: "Ablations, beside the paper’s",
      body: """
        \(tables)<p class="note">Mean score in %, mean ± standard deviation over seeds. “Less \
        method” is paired by seed, ± the standard error of the mean; the bars are 95% by Student’s \
        t, the small dots single seeds: a bar clear of the dotted zero differs from the method by \
        more than chance. At the right the paper’s figures, of other models and benchmarks: what \
        can be compared is the order.</p>

        """)
  }

  private func table(_ comparison: Ablations.Comparison) -> HTML {
    let known = comparison.cells.compactMap(\.difference)
    let plot = CellPlot(
      covering: known.flatMap { estimate in
        [estimate.mean - estimate.room, estimate.mean + estimate.room] + estimate.values
      }.map { 100 * $0 }, level: 0, title: "less method, points")
    let head: [HTML] =
      ["cell", "accuracy", "less method", plot.head]
      + comparison.benchmarks.map { "<th scope=\"col\" class=\"paper\">paper<br>\($0)</th>" }
    let rows = comparison.cells.map { cell -> (cells: [HTML], isStrong: Bool) in
      var cells: [HTML] = ["\(cell.label)"]
      if let accuracy = cell.accuracy {
        cells.append(Report.figure(accuracy.mean, accuracy.spread, signed: false))
      } else {
        cells.append("<span class=\"quiet\">not run</span>")
      }
      if let difference = cell.difference {
        let error = difference.values.count > 1 ? difference.error : nil
        cells.append(Report.figure(difference.mean, error, signed: true))
        cells.append(plot.interval(difference, tone: .other))
      } else {
        cells.append(cell.isMethod ? "<span class=\"quiet\">the method</span>" : "")
        cells.append(plot.empty)
      }
      cells += cell.paper.map { figure in
        "<td class=\"paper\">\(figure.map { Format.fixed($0, 1) } ?? "")</td>"
      }
      return (cells, cell.isMethod)
    }
    return """
      <h3>\(comparison.title)</h3>
      \(HTML.table(head, rows, style: "scores"))<p class="note">\(comparison.sentence)</p>

      """
  }

  /// A share in percent with its error, where there is one.
  private static func figure(_ share: Double, _ error: Double?, signed: Bool) -> HTML {
    let value = signed ? Format.signed(100 * share) : Format.percent(share)
    let rest: HTML =
      error.map { "<span class=\"error-figure\">± \(Format.percent($0))</span>" } ?? ""
    return "\(value) \(rest)"
  }
}
