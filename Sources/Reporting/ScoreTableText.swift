import Evaluation

extension ScoreTable {
  /// The table for a terminal, at most 100 columns wide.
  public var text: String {
    guard rows.contains(where: { $0.scores != nil }) else {
      return "\(title): no model was evaluated\n"
    }
    var lines = wrapped(
      "\(title): exact match on \(Format.count(questions)) held-out questions, in %")
    if let wrongShare { lines.append(wrongShare) }
    lines.append("")
    lines += overallLines
    lines.append("")
    lines += taskLines
    lines.append("")
    lines += closing
    return lines.joined(separator: "\n") + "\n"
  }

  private var overallLines: [String] {
    var table = [["model", "student steps", "accuracy", "error", "VLsI less it", "error"]]
    for row in rows {
      var cells = [row.contender.label]
      if let steps = row.steps {
        cells.append(
          steps.align > 0
            ? "\(Format.count(steps.align)) + \(Format.count(steps.finetune))"
            : Format.count(steps.finetune))
      } else {
        cells.append("")
      }
      if let score = row.scores?.overall {
        cells += [Format.percent(score.accuracy), Format.percent(score.standardError)]
      } else {
        cells += [row.note ?? "not run", ""]
      }
      if let difference = row.difference {
        cells += [
          Format.signed(100 * difference.difference), Format.percent(difference.standardError),
        ]
      } else {
        cells += [row.scores == nil ? "" : row.note ?? "", ""]
      }
      table.append(cells)
    }
    if let guessing {
      table.append(
        ["guessing from the question alone", "", Format.percent(guessing.overall), "", "", ""])
    }
    return ScoreTable.aligned(table)
  }

  /// Tasks down, models across.
  private var taskLines: [String] {
    let shown = rows.filter { $0.scores != nil }
    var table = [
      ["task", "questions"] + shown.map(\.contender.short) + (guessing == nil ? [] : ["guessing"])
    ]
    for task in tasks {
      let scores = shown.map { row in row.scores?.categories.first { $0.name == task }?.score }
      let count = scores.compactMap { $0?.questions }.max() ?? 0
      var cells = [String(task.prefix(24)), Format.count(count)]
      cells += scores.map { $0.map { Format.percent($0.accuracy) } ?? "" }
      if let guessing { cells.append(guessing.tasks[task].map(Format.percent) ?? "") }
      table.append(cells)
    }
    return ScoreTable.aligned(table)
  }

  private var closing: [String] {
    var lines = [Contender.sft, .lastLayer].compactMap { verdict(against: $0) }
    if lines.isEmpty {
      lines.append("VLsI and its baselines are not all scored: nothing is compared.")
    }
    return (lines + warnings.map { "Beware: \($0)." } + [ScoreTable.seedNote]).flatMap {
      wrapped($0)
    }
  }

  /// The first column to the left, the others to the right, two spaces between.
  static func aligned(_ table: [[String]]) -> [String] {
    let columns = table.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      table.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return table.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        line += column == 0 ? cell + padding : "  " + padding + cell
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }
}

/// Text broken at spaces into lines of at most `width` characters.
func wrapped(_ text: String, _ width: Int = 100) -> [String] {
  var lines: [String] = []
  for word in text.split(separator: " ") {
    if let last = lines.last, last.count + 1 + word.count <= width {
      lines[lines.count - 1] = last + " " + word
    } else {
      lines.append(String(word))
    }
  }
  return lines
}
