import Artifacts
import Evaluation

extension Report {
  /// The page: one file that needs nothing else.
  public var page: String {
    let body: HTML = """
      <header><h1>\(title)</h1>\(opening)</header>
      \(scoreSection)\(verbalizationSection)\(interactionSection)\(matchSection)\
      \(finetuningSection)\(speechSection)\(answerSection)\(costSection)\(settingsSection)\
      \(closing)
      """
    let whole: HTML = """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta http-equiv="Content-Security-Policy" \
      content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
      <title>\(title)</title>
      <style>
      \(Style.sheet)</style>
      </head>
      <body>
      <main>
      \(body)</main>
      </body>
      </html>

      """
    return whole.text
  }

  /// The finding before all details.
  private var opening: HTML {
    var lines: [HTML] = [Contender.sft, .lastLayer].compactMap { contender in
      scores.verdict(against: contender).map {
        "<p class=\"lead\">\($0.replacing("± ", with: "±\u{A0}"))</p>\n"
      }
    }
    if lines.isEmpty {
      lines.append(
        "<p class=\"lead\">VLsI and its baselines are not all scored: nothing is compared here.</p>\n"
      )
    }
    let gaps: [HTML] = gaps.map { "<li>\($0)</li>" }
    if !gaps.isEmpty {
      lines.append("<div class=\"beware\"><p>Not on this page:</p><ul>\(gaps)</ul></div>\n")
    }
    return "\(lines)"
  }

  private var closing: HTML {
    """
    <footer><p>Made by vlsi-report from the run <em>\(run.name)</em>. The method: Lee et al., \
    VLsI: Verbalized Layers-to-Interactions from Large to Small Vision Language Models, CVPR 2025, \
    arXiv 2412.01822.</p></footer>

    """
  }

  // MARK: Scores

  private var scoreSection: HTML {
    let shown = scores.rows.filter { $0.scores != nil }
    guard !shown.isEmpty else { return "<h2>Scores</h2>\n<p>No model was evaluated.</p>\n" }
    let dots = DotPlot(
      rows: shown.compactMap { row in
        row.scores.map {
          DotPlot.Row(
            label: row.contender.label, value: 100 * $0.overall.accuracy,
            error: 200 * $0.overall.standardError, isOwn: row.contender == .model)
        }
      }, level: scores.guessing.map { ("guessing", 100 * $0.overall) },
      x: "exact match, %", summary: "Exact match of each model, as in the table")
    let guessed =
      scores.guessing.map {
        " Dotted: guessing from the question alone, \(Format.percent($0.overall))."
      }
      ?? ""
    let warnings: [HTML] = scores.warnings.map { "<p class=\"beware\">\($0).</p>\n" }
    return """
      <h2>Scores</h2>
      <p>Exact match on \(Format.count(scores.questions)) held-out questions, in %. \
      \(scores.wrongShare.map { "\($0)." } ?? "")</p>
      \(warnings)<div class="beside"><div>\(overallTable)</div>
      \(HTML.figure(dots.svg, "The bars are twice the sampling error.\(guessed)"))</div>
      <p class="quiet">\(ScoreTable.seedNote)</p>
      <h3>By task</h3>
      \(taskTable)
      """
  }

  private var overallTable: HTML {
    HTML.table(
      ["model", "steps", "accuracy", "VLsI less it"],
      scores.rows.map { row in
        var cells: [HTML] = ["\(row.contender.label)", "\(Report.steps(row))"]
        if let score = row.scores?.overall {
          cells.append(
            Report.figure(Format.percent(score.accuracy), Format.percent(score.standardError)))
        } else {
          cells.append("<span class=\"quiet\">\(row.note ?? "not run")</span>")
        }
        if let difference = row.difference {
          cells.append(
            Report.figure(
              Format.signed(100 * difference.difference),
              Format.percent(difference.standardError)))
        } else {
          cells.append("\(row.scores == nil ? "" : row.note ?? "")")
        }
        return (cells, row.contender == .model)
      }, caption: "± the error of sampling the questions. Steps of the student: align + finetune.")
  }

  private static func figure(_ value: String, _ error: String) -> HTML {
    "\(value) <span class=\"error-figure\">± \(error)</span>"
  }

  private static func steps(_ row: ScoreTable.Row) -> String {
    guard let steps = row.steps else { return "" }
    let finetune = Format.count(steps.finetune)
    return steps.align > 0 ? "\(Format.count(steps.align)) + \(finetune)" : finetune
  }

  private var taskTable: HTML {
    let shown = scores.rows.filter { $0.scores != nil }
    var head: [HTML] = ["task", "questions"] + shown.map { "\($0.contender.short)" }
    if scores.guessing != nil { head.append("guessing") }
    return HTML.table(
      head,
      scores.tasks.map { task in
        let found = shown.map { row in row.scores?.categories.first { $0.name == task }?.score }
        var cells: [HTML] = ["\(task)", "\(found.compactMap { $0?.questions }.max() ?? 0)"]
        for (row, score) in zip(shown, found) {
          let text = score.map { Format.percent($0.accuracy) } ?? ""
          cells.append(row.contender == .model ? "<span class=\"hit\">\(text)</span>" : "\(text)")
        }
        if let guessing = scores.guessing {
          cells.append("\(guessing.tasks[task].map(Format.percent) ?? "")")
        }
        return (cells, false)
      })
  }
}
