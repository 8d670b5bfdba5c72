import Artifacts

extension AblationTable {
  /// For a terminal, at most 100 columns wide where the labels allow it.
  public var text: String {
    var lines = [heading, ""]
    for comparison in comparisons {
      lines.append(comparison.list.title)
      lines += ScoreTable.aligned(comparison.table)
      lines += wrapped(comparison.sentence) + [""]
    }
    return (lines + wrapped(closing)).joined(separator: "\n") + "\n"
  }

  /// The same for a page of documentation.
  public var markdown: String {
    var lines = [heading + ".", ""]
    for comparison in comparisons {
      var table = comparison.table.map { "| " + $0.joined(separator: " | ") + " |" }
      let columns = comparison.table.first?.count ?? 0
      table.insert("|---|" + String(repeating: "--:|", count: columns - 1), at: 1)
      lines += ["**\(comparison.list.title)**", ""] + table
      lines += [""] + wrapped(comparison.sentence) + [""]
    }
    return (lines + wrapped(closing)).joined(separator: "\n") + "\n"
  }

  private var heading: String {
    "Mean score on \(Format.count(questions)) held-out questions, in %, a mean over "
      + (seeds.count == 1 ? "one seed" : "\(seeds.count) seeds")
  }

  private var closing: String {
    let all = comparisons.flatMap(\.rows).count
    let missing = notRun.count
    return "Spread is the standard deviation over seeds, of weights, order and matching; the data "
      + "are the same. The error of a difference is that of its mean, paired by seed; * marks those "
      + "outside Student's 95% interval. "
      + (missing == 0 ? "All \(all) cells were run." : "\(missing) of \(all) cells were not run.")
  }
}

extension AblationTable.Comparison {
  /// Header and rows as texts.
  var table: [[String]] {
    [["cell", "seeds", "mean", "spread", "less method", "error"] + list.benchmarks]
      + rows.map { row in
        var cells = [row.cell.label]
        if let score = row.overSeeds {
          cells += ["\(score.values.count)", Format.percent(score.mean), percent(score.spread)]
        } else {
          cells += ["not run", "", ""]
        }
        if let difference = row.difference {
          cells += [
            Format.signed(100 * difference.mean) + (row.isClear ? "*" : ""),
            difference.values.count > 1 ? Format.percent(difference.error) : "",
          ]
        } else {
          cells += [row.isMethod ? "method" : "", ""]
        }
        return cells + row.cell.figures.map { $0.map { Format.fixed($0, 1) } ?? "" }
      }
  }

  /// Whether the order agrees with the paper's.
  var sentence: String {
    if list.benchmarks.isEmpty { return "The paper has no figures of this." }
    guard let correlation = order.correlation else { return "No pair of cells to compare yet." }
    var text =
      "\(order.agreeing) of \(order.pairs) pairs stand in the paper's order "
      + "(Kendall's τ \(Format.signed(correlation, 2)))"
    text +=
      order.clear == 0
      ? "; none differs here by more than chance."
      : "; of the \(order.clear) that differ here by more than chance, \(order.clearAgreeing) do."
    return text
  }

  private func percent(_ share: Double?) -> String { share.map(Format.percent) ?? "" }
}

// MARK: JSON

extension AblationTable {
  /// The table for other programs; docs/ABLATIONS.md tells its members.
  public var json: JSON {
    [
      "format_version": 1, "questions": .int(questions),
      "seeds": .array(seeds.map { .string($0) }),
      "comparisons": .array(comparisons.map(\.json)),
    ]
  }
}

extension AblationTable.Comparison {
  fileprivate var json: JSON {
    [
      "name": .string(list.name), "title": .string(list.title),
      "benchmarks": .array(list.benchmarks.map { .string($0) }),
      "cells": .array(rows.map(\.json)),
      "order": [
        "pairs": .int(order.pairs), "agreeing": .int(order.agreeing),
        "clear": .int(order.clear), "clear_agreeing": .int(order.clearAgreeing),
        "kendall": number(order.correlation),
      ],
    ]
  }
}

extension AblationTable.Row {
  fileprivate var json: JSON {
    [
      "name": .string(cell.name), "label": .string(cell.label),
      "method": .bool(isMethod),
      "settings": .array(cell.settings.map { .string($0) }),
      "paper": .array(cell.figures.map(number)),
      "accuracy": .object(
        Dictionary(
          accuracy.map { ($0.seed, .number($0.value)) }, uniquingKeysWith: { first, _ in first })),
      "mean": number(overSeeds?.mean), "spread": number(overSeeds?.spread),
      "difference": number(difference?.mean),
      "difference_error": number(difference.flatMap { $0.values.count > 1 ? $0.error : nil }),
      "clear": .bool(isClear),
    ]
  }
}

private func number(_ value: Double?) -> JSON { value.map { .number($0) } ?? .null }
