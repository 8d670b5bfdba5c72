import Evaluation

extension Report {
  var scoreSection: Section? {
    Section(name: "scores", short: "Scores", title: "Scores", body: scoreBody)
  }

  private var shown: [ScoreTable.Row] { scores.rows.filter { $0.accuracy != nil } }

  private var scoreBody: HTML {
    guard !shown.isEmpty else { return "<p>No model was evaluated.</p>\n" }
    let warnings: [HTML] = scores.warnings.map { "<p class=\"beware\">\($0).</p>\n" }
    let known = scores.rows.filter { Contender.known.contains($0.contender) }
    let others = scores.rows.filter { !Contender.known.contains($0.contender) }
    let rest: HTML =
      others.isEmpty
      ? ""
      : """
      <h3>Other evaluations</h3>
      <p>Further models of this run, by the folder of their evaluation.</p>
      \(overall(others))
      """
    return """
      <p>Mean score on \(Format.count(scores.questions)) held-out questions, in %. \
      \(scores.wrongShare.map { "\($0)." } ?? "")</p>
      \(warnings)\(overall(known))<p class="note">\(reading)</p>
      \(benchmarkTable)\(rest)\(tasks)
      """
  }

  /// How to read the table; a phone shows it without bars and steps.
  private var reading: HTML {
    let bars =
      scores.seeds > 1
      ? "The bars are the intervals, the small dots single seeds."
      : "The bars are twice as long on either side."
    let dotted =
      scores.guessing.map {
        " Dotted: guessing from the question alone, \(Format.percent($0.overall))."
      } ?? ""
    return """
      \(scores.errorNote) What VLsI is ahead by is paired, question by question.\(belowNote) \
      <span class="spare">\(bars)\(dotted) A difference’s bar that stays clear of the dotted zero is an advantage or a \
      disadvantage. Steps are the student’s, interaction + fine-tuning.</span>
      """
  }

  private func overall(_ rows: [ScoreTable.Row]) -> HTML {
    let several = scores.seeds > 1
    let accuracy = CellPlot(
      covering: [0, 100], level: scores.guessing.map { 100 * $0.overall }, title: "accuracy, %")
    // The teacher is far ahead, as it should be: it would leave the others no room.
    let compared = shown.filter { $0.contender != .teacher }
    let reach = (compared.isEmpty ? shown : compared).compactMap(\.difference).flatMap {
      difference in
      [difference.mean - difference.reach, difference.mean + difference.reach]
        + difference.values
    }
    let points = CellPlot(
      covering: reach.map { 100 * $0 }, level: 0, title: "VLsI is ahead by, points")
    let head: [HTML] =
      ["model", "<th scope=\"col\" class=\"spare\">steps</th>"] + (several ? ["seeds"] : [])
      + ["accuracy", accuracy.head] + (several ? ["SD"] : []) + ["VLsI is ahead by"]
      + ["\(points.head)"]
    return HTML.table(
      head,
      rows.map { row in
        let tone = row.contender.tone
        var cells: [HTML] = [
          "\(tone.key)\(row.contender.label)", "<td class=\"spare\">\(Report.steps(row))</td>",
        ]
        if several { cells.append("\(row.evaluations.isEmpty ? "" : "\(row.evaluations.count)")") }
        if let estimate = row.accuracy {
          cells.append(
            below(estimate.mean, scores.guessing?.overall)
              + Report.figure(Format.percent(estimate.mean), Format.percent(estimate.error)))
          cells.append(accuracy.interval(estimate, tone: tone))
          if several { cells.append("\(estimate.spread.map(Format.percent) ?? "")") }
        } else {
          cells.append("<span class=\"quiet\">\(row.note ?? "not run")</span>")
          cells += [accuracy.empty] + (several ? [""] : [])
        }
        if let difference = row.difference {
          cells.append(
            Report.figure(
              Format.signed(100 * difference.mean), Format.percent(difference.error)))
          cells.append(points.interval(difference, tone: tone))
        } else {
          cells.append(
            "<span class=\"quiet\">\(row.accuracy == nil ? "" : row.note ?? "")</span>")
          cells.append(points.empty)
        }
        return (cells, row.contender == .model)
      }, style: "scores")
  }

  private static func figure(_ value: String, _ error: String) -> HTML {
    "\(value) <span class=\"error-figure\">± \(error)</span>"
  }

  /// Marks a score that is no better than guessing from the question alone.
  private func below(_ score: Double, _ guessing: Double?) -> HTML {
    guard let guessing, score < guessing else { return "" }
    return "<span class=\"below\" title=\"below guessing\">▾</span>"
  }

  private var belowNote: String {
    scores.guessing == nil ? "" : " ▾ is below guessing from the question alone."
  }

  /// What each task asks, by the question that stands first.
  private var examples: HTML {
    guard let predictions = shown.last?.evaluations.first?.predictions else { return "" }
    let several = Set(predictions.map(\.benchmark)).count > 1
    let rows = scores.tasks.prefix(Report.mostTasks).compactMap {
      task -> (cells: [HTML], isStrong: Bool)? in
      guard
        let first = predictions.first(where: { (several ? $0.benchmark : $0.category) == task })
      else { return nil }
      return (
        [
          "\(Report.short(task, 60))",
          "<td class=\"text\">\(Report.short(first.question, 160))</td>",
          "<td class=\"text\">\(Report.short(answers.pictures?.answer(of: first) ?? first.answer, 80))</td>",
        ], false
      )
    }
    return HTML.folded(
      "What each task asks, by an example",
      HTML.table(
        [
          "task", "<th scope=\"col\" class=\"text\">a question</th>",
          "<th scope=\"col\" class=\"text\">its answer</th>",
        ],
        rows, style: "prose"))
  }

  private static func steps(_ row: ScoreTable.Row) -> String {
    guard let steps = row.steps else { return "" }
    let finetune = Format.count(steps.finetune)
    return steps.align > 0 ? "\(Format.count(steps.align)) + \(finetune)" : finetune
  }

  // MARK: Tasks

  private static let mostTasks = 60

  private var tasks: HTML {
    let shown = shown.filter { Contender.known.contains($0.contender) }
    guard !scores.tasks.isEmpty, !shown.isEmpty else { return "" }
    var plot = CellPlot(covering: [0, 100], title: "accuracy, %")
    let head: [HTML] =
      ["task", "<th scope=\"col\" class=\"spare\">questions</th>"]
      + shown.map { "\($0.contender.tone.key)\($0.contender.short)" }
      + (scores.guessing == nil ? [] : ["guessing"]) + [plot.head]
    let named = scores.tasks.prefix(Report.mostTasks)
    let rows = named.map { task -> (cells: [HTML], isStrong: Bool) in
      let questions = Format.count(scores.questions(in: task))
      var cells: [HTML] = ["\(Report.short(task, 60))", "<td class=\"spare\">\(questions)</td>"]
      let found = shown.map { ($0.contender, $0.accuracy(task)) }
      for (contender, estimate) in found {
        let text: HTML =
          estimate.map {
            below($0.mean, scores.guessing?.tasks[task]) + "\(Format.percent($0.mean))"
          }
          ?? ""
        cells.append(contender == .model ? "<td class=\"hit\">\(text)</td>" : text)
      }
      if let guessing = scores.guessing {
        cells.append("\(guessing.tasks[task].map(Format.percent) ?? "")")
      }
      plot.level = scores.guessing?.tasks[task].map { 100 * $0 }
      cells.append(
        plot.dots(
          found.compactMap { contender, estimate in
            estimate.map { (contender.short, 100 * $0.mean, contender.tone) }
          }))
      return (cells, false)
    }
    let left =
      scores.tasks.count > Report.mostTasks
      ? " \(Format.count(scores.tasks.count - Report.mostTasks)) tasks more are not shown." : ""
    let fewest = scores.tasks.map { scores.questions(in: $0) }.filter { $0 > 0 }.min() ?? 1
    let error = Format.percent((0.25 / Double(fewest)).squareRoot())
    return """
      <h3>By task</h3>
      \(HTML.table(head, rows, style: "tasks"))<p class="note"><span class="spare">\
      Dots in the models’ colours\(scores.guessing == nil ? "" : ", dotted line: guessing").</span> \
      A task’s figure has a sampling \
      error of up to ± \(error).\(belowNote)\(left)</p>
      \(examples)
      """
  }
}
