import Evaluation

extension ScoreTable {
  /// The table for a terminal, at most 100 columns wide.
  public var text: String {
    guard rows.contains(where: { $0.accuracy != nil }) else {
      return "\(title): no model was evaluated\n"
    }
    var lines = wrapped(
      "\(title): mean score on \(Format.count(questions)) held-out questions, in %")
    if let wrongShare { lines.append(wrongShare) }
    lines.append("")
    lines += overallLines
    lines.append("")
    lines += taskLines
    lines.append("")
    if benchmarks.isNews { lines += [benchmarks.text] }
    lines += closing
    return lines.joined(separator: "\n") + "\n"
  }

  private var overallLines: [String] {
    let several = seeds > 1
    var table = [
      ["model", "student steps"] + (several ? ["seeds", "accuracy", "SD"] : ["accuracy", "error"])
        + ["VLsI is ahead by", "error"]
    ]
    for row in rows {
      var cells = [String(row.contender.label.prefix(34))]
      if let steps = row.steps {
        cells.append(
          steps.align > 0
            ? "\(Format.count(steps.align)) + \(Format.count(steps.finetune))"
            : Format.count(steps.finetune))
      } else {
        cells.append("")
      }
      if several { cells.append(row.evaluations.isEmpty ? "" : "\(row.evaluations.count)") }
      if let accuracy = row.accuracy {
        let error = several ? accuracy.spread : accuracy.error
        cells += [Format.percent(accuracy.mean), error.map(Format.percent) ?? ""]
      } else {
        cells += [String((row.note ?? "not run").prefix(30)), ""]
      }
      if let difference = row.difference {
        cells += [Format.signed(100 * difference.mean), Format.percent(difference.error)]
      } else {
        cells += [row.accuracy == nil ? "" : row.note ?? "", ""]
      }
      table.append(cells)
    }
    if let guessing {
      table.append(
        ["guessing from the question alone", ""] + (several ? [""] : [])
          + [Format.percent(guessing.overall)])
    }
    return ScoreTable.aligned(table)
  }

  /// Tasks down, models across.
  private var taskLines: [String] {
    let shown = rows.filter { $0.accuracy != nil && Contender.known.contains($0.contender) }
    if shown.isEmpty { return [] }
    var table = [
      ["task", "questions"] + shown.map(\.contender.short) + (guessing == nil ? [] : ["guessing"])
    ]
    for task in tasks {
      var cells = [String(task.prefix(24)), Format.count(questions(in: task))]
      cells += shown.map { $0.accuracy(task).map { Format.percent($0.mean) } ?? "" }
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
    return (lines + warnings.map { "Beware: \($0)." } + [errorNote]).flatMap {
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
