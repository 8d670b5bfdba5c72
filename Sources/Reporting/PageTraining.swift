extension Report {
  // MARK: Step 1

  var verbalizationSection: Section? {
    guard !verbalization.isEmpty else { return nil }
    // One scale for both backbones: their layers are compared.
    let all = verbalization.flatMap { $0.curves.layers.flatMap { $0.curve.binned(80).points } }
    let charts: [HTML] = verbalization.map { backbone, curves in
      let chart = LineChart(
        curves: curves.layers.map(\.curve), x: "step", y: "cross-entropy, nats",
        summary: "Verbalization loss of the \(backbone)'s layers over steps", isLogarithmic: true,
        covering: all.map(\.y))
      let caption =
        curves.fallsWithDepth
        ? "the deeper the layer, the lower its loss at the end."
        : "the loss at the end does not fall with every layer."
      return HTML.figure(chart.svg, "<b>The \(backbone)’s layers</b>: \(caption)")
    }
    let tables: [HTML] = verbalization.map { backbone, curves in
      let head: [HTML] =
        ["\(Tone(rawValue: backbone)?.key ?? "")\(backbone)"]
        + VerbalizationCurves.shares.map { "\(Format.fixed(100 * $0, 0))%" }
      let rows = curves.table.map { layer, losses -> (cells: [HTML], isStrong: Bool) in
        (["layer \(layer)"] + losses.map { "\(Format.fixed($0, 3))" }, false)
      }
      return "<div>\(HTML.table(head, rows))</div>\n"
    }
    return Section(
      name: "verbalization", short: "Verbalization",
      title: "Verbalization: what each layer learns to say",
      body: """
        <p>Step 1. Each target layer’s verbalizer is trained alone, through the frozen language \
        head, to predict the next token. Stronger lines are deeper layers.</p>
        <div class="charts">\(charts)</div>
        \(HTML.folded("Loss by layer and progress", """
        <div class="charts">\(tables)</div>
        <p class="note">Cross-entropy in nats at shares of the training, each the mean of the \
        twentieth of the steps before, as in the paper’s appendix B. There, with seven target \
        layers, it falls from 14.28 to 3.30 in the shallowest and from 7.39 to 0.79 in the deepest \
        between 10% and 100%.</p>

        """))
        """)
  }

  // MARK: Step 3

  var finetuningSection: Section? {
    guard !finetuning.isEmpty else { return nil }
    // Each over its own length: what begins late would be a scribble at the edge.
    let curves = finetuning.map { curve -> Curve in
      let (first, last) = (curve.points.first?.x ?? 0, curve.points.last?.x ?? 1)
      return Curve(
        curve.label,
        curve.points.map { (100 * ($0.x - first) / max(1, last - first), $0.y) }, tone: curve.tone)
    }
    let chart = LineChart(
      curves: curves, x: "share of its fine-tuning, %",
      y: "cross-entropy, nats", summary: "Loss of supervised fine-tuning over its steps",
      fromZero: false, points: 60)
    let lengths = finetuning.map { "\($0.label) \(Format.count($0.points.count))" }
    let note =
      scores.wrong == nil
      ? "Each point is the mean over the steps around it."
      : "A lower loss on partly wrong answers is not a better model."
    return Section(
      name: "finetuning", short: "Fine-tuning", title: "Supervised fine-tuning",
      body: """
        <p>Step 3, and the baselines. Next-token cross-entropy on the training answers\
        \(scores.wrong == nil ? "" : ", the wrong ones included"). Each curve \
        shows the whole of its fine-tuning, of so many steps: \(lengths.joined(separator: ", ")).</p>
        <div class="charts">\(HTML.figure(chart.svg, "\(note)"))<div>\(finalLosses)</div></div>

        """)
  }

  /// The losses at the end beside what the models are worth.
  private var finalLosses: HTML {
    let rows = scores.rows.compactMap { row -> (cells: [HTML], isStrong: Bool)? in
      guard let loss = finetuning.first(where: { $0.tone == row.contender.tone })?.ends?.end
      else { return nil }
      return (
        [
          "\(row.contender.tone.key)\(row.contender.short)", "\(Format.significant(loss))",
          "\(row.accuracy.map { Format.percent($0.mean) } ?? "")",
        ], row.contender == .model
      )
    }
    return HTML.table(["model", "loss, last tenth", "accuracy, %"], rows)
  }
}
