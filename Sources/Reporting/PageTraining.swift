extension Report {
  // MARK: Step 1

  var verbalizationSection: HTML {
    guard !verbalization.isEmpty else { return "" }
    let charts: [HTML] = verbalization.map { backbone, curves in
      let chart = LineChart(
        curves: curves.layers.map(\.curve), x: "step", y: "cross-entropy, nats",
        summary: "Verbalization loss of the \(backbone)'s layers over steps")
      return HTML.figure(
        chart.svg,
        curves.fallsWithDepth
          ? "The \(backbone)'s layers: the deeper, the lower the loss at the end."
          : "The \(backbone)'s layers: the loss at the end does not fall with every layer.")
    }
    let tables: [HTML] = verbalization.map { backbone, curves in
      let head: [HTML] =
        ["\(backbone)"]
        + VerbalizationCurves.shares.map {
          "\(Format.fixed(100 * $0, 0))%"
        }
      let rows = curves.table.map { layer, losses -> (cells: [HTML], isStrong: Bool) in
        (["layer \(layer)"] + losses.map { "\(Format.fixed($0, 2))" }, false)
      }
      return "<div>\(HTML.table(head, rows))</div>\n"
    }
    return """
      <h2>Verbalization: what each layer learns to say</h2>
      <p>Step 1. Each target layer's verbalizer is trained alone, through the frozen language \
      head, to predict the next token.</p>
      <div class="charts">\(charts)</div>
      <h3>Loss over training</h3>
      <p class="quiet">Cross-entropy in nats, the mean of the twentieth of the steps before each \
      share of training, as in the paper’s appendix B.</p>
      <div class="charts">\(tables)</div>

      """
  }

  // MARK: Step 2

  var interactionSection: HTML {
    guard !interaction.isEmpty else { return "" }
    let charts: [HTML] = interaction.map { label, curves in
      let chart = LineChart(
        curves: curves.intermediate + [curves.last], x: "step", y: "KL, nats",
        summary: "Terms of the interaction's loss over steps, \(label)")
      return HTML.figure(
        chart.svg,
        curves.intermediate.isEmpty
          ? "The baseline: the last layer alone."
          : "\(label): the divergence of each student layer from the matched teacher layer.")
    }
    return """
      <h2>Interaction: the student learns from the teacher’s layers</h2>
      <p>Step 2. The Kullback–Leibler divergence of each student layer from the teacher layer it \
      was matched with, and of the last layers.</p>
      <div class="charts">\(charts)</div>

      """
  }

  var matchSection: HTML {
    guard let matches else { return "" }
    let maps: [HTML] =
      [
        map(matches.start, "The first quarter of the steps."),
        map(matches.end, "The last quarter."),
      ] + (matches.byLot.map { [map($0, "What picks by lot would give, computed.")] } ?? [])
    let depth = LineChart(
      curves: matches.depth.map { Curve($0.label, $0.points) }, x: "step",
      y: "mean teacher layer matched", summary: "Mean matched teacher layer over steps",
      fromZero: false, rows: matches.teacherLayers.map(Double.init), points: 24)
    let head: [HTML] = ["student layer", "entropy", "maximum", "entropy / maximum"]
    let rows = zip(zip(matches.studentLayers, matches.entropy), matches.ratios).map {
      row -> (cells: [HTML], isStrong: Bool) in
      let ((layer, entropy), ratio) = row
      return (
        [
          "\(layer)", "\(Format.fixed(entropy.mean, 3))", "\(Format.fixed(entropy.maximum, 3))",
          "\(ratio.map { Format.fixed($0, 3) } ?? "no choice")",
        ], false
      )
    }
    return """
      <h2>Where layers match</h2>
      <p>\(matches.verdict)</p>
      <div class="charts three">\(maps)</div>
      <p class="quiet">Share of a student layer’s picks in %.</p>
      <div class="charts">
      \(HTML.figure(depth.svg, "Each point is the mean over the steps around it."))
      <div>\(HTML.table(head, rows, caption: "Entropy of the sampling, nats, mean over all steps"))\
      <p class="quiet">At the maximum every teacher layer of the search range is equally likely; \
      the nearer to it, the less a match says.</p></div></div>

      """
  }

  private func map(_ shares: [[Double]], _ caption: String) -> HTML {
    guard let matches else { return "" }
    let heat = Heatmap(
      shares: shares, rows: matches.studentLayers.map(String.init),
      columns: matches.teacherLayers.map(String.init), rowTitle: "student layer",
      columnTitle: "teacher layer", summary: "Layer matches: \(caption)")
    return HTML.figure(heat.svg, "\(caption)")
  }

  // MARK: Step 3

  var finetuningSection: HTML {
    guard !finetuning.isEmpty else { return "" }
    let chart = LineChart(
      curves: finetuning, x: "student step, those of step 2 counted", y: "cross-entropy, nats",
      summary: "Loss of supervised fine-tuning over steps", fromZero: false)
    let note =
      scores.wrong == nil
      ? "Mean over the steps around each point."
      : "A lower loss on partly wrong answers is not a better model."
    return """
      <h2>Supervised fine-tuning</h2>
      <p>Step 3, and the baselines. Next-token cross-entropy on the training answers\
      \(scores.wrong == nil ? "" : ", the wrong ones included").</p>
      <div class="charts">\(HTML.figure(chart.svg, "\(note)"))</div>

      """
  }
}
