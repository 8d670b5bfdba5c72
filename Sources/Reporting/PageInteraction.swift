extension Report {
  // MARK: Step 2

  var interactionSection: Section? {
    guard !interaction.isEmpty else { return nil }
    let charts: [HTML] = interaction.flatMap { contender, curves in
      lossCharts(contender, curves) + gradientChart(contender, curves)
    }
    let tables: [HTML] = interaction.map { contender, curves in
      "<div>\(termTable(contender, curves))</div>\n"
    }
    return Section(
      name: "interaction", short: "Interaction",
      title: "Interaction: the student learns from the teacher’s layers",
      body: """
        <p>Step 2. \(lossSentence)</p>
        <div class="charts">\(charts.first ?? "")</div>
        \(HTML.folded("Gradients, the baseline, and the terms in figures", """
        <div class="charts">\(Array(charts.dropFirst()))</div>
        <h3>Terms at the start and at the end</h3>
        <div class="charts">\(tables)</div>
        <p class="note">Means over the first and the last tenth of the steps. Losses are without \
        their weights; a gradient is that of the weighted term in the state that it reads: the \
        layer’s output, for the last term what enters the language head. A term whose gradient is \
        far smaller than the others’ teaches little.</p>

        """))
        """)
  }

  /// Which losses were used, and how much they count.
  private var lossSentence: String {
    guard let first = interaction.first?.curves else { return "" }
    func weighted(_ loss: LossName) -> String {
      loss.words + (loss.weight == 1 ? "" : ", weight \(Format.short(loss.weight))")
    }
    let sentence =
      switch (first.intermediateLoss, first.lastLoss) {
      case (let layers?, let last?) where layers == last:
        "Each student layer, and the last one, learns by \(weighted(layers))"
      case (let layers?, let last?):
        "Each student layer learns by \(weighted(layers)); the last one by \(weighted(last))"
      case (let layers?, nil):
        "Each student layer learns by \(weighted(layers)); the last one has no loss"
      case (nil, let last?): "The last layer alone learns, by \(weighted(last))"
      case (nil, nil): "No term took part"
      }
    let temperature =
      first.temperature == 1 ? "" : ", at temperature \(Format.short(first.temperature))"
    let partner =
      first.intermediate.isEmpty
      ? "."
      : ". A layer’s partner is the teacher’s layer that it was matched with, the last layer’s the "
        + "teacher’s last."
    return (sentence + temperature + partner).replacing(" ‖ ", with: "\u{A0}‖\u{A0}")
  }

  /// One chart, or two where the last layer has a loss of another kind.
  private func lossCharts(_ contender: Contender, _ curves: InteractionCurves) -> [HTML] {
    func named(_ term: InteractionCurves.Term) -> Curve {
      Curve(term.name, term.loss.points, tone: term.loss.tone)
    }
    var groups: [(axis: String, curves: [Curve])] = []
    if let loss = curves.intermediateLoss, !curves.intermediate.isEmpty {
      groups.append((loss.axis, curves.intermediate.map(named)))
    }
    if let loss = curves.lastLoss, let last = curves.last {
      if groups.last?.axis == loss.axis {
        groups[groups.count - 1].curves.append(named(last))
      } else {
        groups.append((loss.axis, [named(last)]))
      }
    }
    return groups.map { axis, shown in
      // What VLsI and the baseline are compared in has one scale.
      let all = interaction.flatMap { _, other in
        (other.intermediateLoss?.axis == axis ? other.intermediate : [])
          + [other.lastLoss?.axis == axis ? other.last : nil].compactMap { $0 }
      }
      let chart = LineChart(
        curves: shown, x: "step", y: axis,
        summary: "Terms of the interaction's loss over steps, \(contender.short)",
        covering: all.flatMap { $0.loss.binned(60).points.map(\.y) }, points: 60)
      return HTML.figure(
        chart.svg,
        curves.intermediate.isEmpty
          ? "<b>\(contender.short)</b>: the baseline, which teaches the last layer alone."
          : "<b>\(contender.short)</b>: the loss of each student layer. Stronger lines are deeper."
      )
    }
  }

  private func gradientChart(_ contender: Contender, _ curves: InteractionCurves) -> [HTML] {
    let shown = curves.terms.map { Curve($0.name, $0.gradient.points, tone: $0.gradient.tone) }
    guard shown.contains(where: { !$0.points.isEmpty }) else { return [] }
    let all = interaction.flatMap { $0.curves.terms.flatMap { $0.gradient.binned(60).points } }
    let chart = LineChart(
      curves: shown, x: "step", y: "norm of the term’s gradient",
      summary: "Norm of each term's gradient over steps, \(contender.short)", isLogarithmic: true,
      covering: all.map(\.y), points: 60)
    return [HTML.figure(chart.svg, "<b>\(contender.short)</b>: how hard each term pulls.")]
  }

  private func termTable(_ contender: Contender, _ curves: InteractionCurves) -> HTML {
    func pair(_ curve: Curve) -> [HTML] {
      guard let ends = curve.ends else { return ["", ""] }
      return ["\(Format.significant(ends.start))", "\(Format.significant(ends.end))"]
    }
    return HTML.table(
      [
        "\(contender.tone.key)\(contender.short)", "loss, start", "end", "gradient, start", "end",
      ],
      curves.terms.map { term in
        (["\(term.name)"] + pair(term.loss) + pair(term.gradient), false)
      })
  }

  // MARK: Matches

  var matchSection: Section? {
    guard let matches else { return nil }
    let maps: [HTML] =
      [
        map(matches.start, "<b>Start</b>: the first tenth of the steps."),
        map(matches.end, "<b>End</b>: the last tenth."),
      ]
      + (matches.byLot.map {
        [map($0, "<b>By lot</b>: what picks without any preference would give, computed.")]
      } ?? [])
    let isWide = matches.teacherLayers.count > 12
    let charts: [HTML] = [depthChart(matches), entropyChart(matches)]
    return Section(
      name: "matches", short: "Matches", title: "Where layers match",
      body: """
        <p>Each row is a student layer; its cells are the shares of its picks, in %, that fell on \
        each teacher layer. A match was learned only where the maps differ from the one by lot.</p>
        <p class="finding">\(matches.verdict)</p>
        <div class="charts\(isWide ? "" : " three")">\(maps)</div>
        \(HTML.folded(
          "How the choice went over the steps",
          "<div class=\"charts\">\(charts)</div>\n\(entropyTable(matches))"))
        """)
  }

  private func map(_ shares: [[Double]], _ caption: HTML) -> HTML {
    guard let matches else { return "" }
    let heat = Heatmap(
      shares: shares, rows: matches.studentLayers.map(String.init),
      columns: matches.teacherLayers.map(String.init), rowTitle: "student layer",
      columnTitle: "teacher layer",
      summary: "Shares of the picks by student layer and teacher layer")
    return HTML.figure(heat.svg, caption)
  }

  private func depthChart(_ matches: MatchHistory) -> HTML {
    let chart = LineChart(
      curves: matches.depth, x: "step", y: "mean teacher layer matched",
      summary: "Mean matched teacher layer over steps, by student layer", fromZero: false,
      levels: (matches.depthByLot ?? []).map { ("", $0, .model) },
      rows: matches.teacherLayers.map(Double.init), points: 24)
    let dotted = matches.byLot == nil ? "" : " Dotted: by lot."
    return HTML.figure(
      chart.svg, "<b>Depth</b> of each student layer’s partner, means over stretches.\(dotted)")
  }

  private func entropyChart(_ matches: MatchHistory) -> HTML {
    guard matches.entropy.contains(where: { !$0.ratio.points.isEmpty }) else { return "" }
    let chart = LineChart(
      curves: matches.entropy.map(\.ratio), x: "step", y: "entropy of the sampling ÷ its maximum",
      summary: "Entropy of the sampling distribution over its maximum, by student layer",
      levels: [("by lot", 1, .other)], until: matches.depth.compactMap { $0.points.last?.x }.max(),
      points: 24)
    return HTML.figure(
      chart.svg,
      """
      <b>How much of a choice</b>: at 1 every teacher layer of the search range is equally likely \
      and a match says nothing; the lower, the more it was preferred.
      """)
  }

  private func entropyTable(_ matches: MatchHistory) -> HTML {
    guard !matches.entropy.isEmpty else { return "" }
    func cell(_ mean: MatchHistory.Entropy.Mean) -> HTML {
      guard let ratio = mean.ratio else { return "no choice" }
      return """
        \(Format.fixed(ratio, 3)) <span class="error-figure">\
        \(Format.fixed(mean.entropy, 3)) of \(Format.fixed(mean.maximum, 3))</span>
        """
    }
    return HTML.table(
      ["student layer", "start", "end"],
      zip(matches.studentLayers, matches.entropy).map { layer, entropy in
        (["\(layer)", cell(entropy.start), cell(entropy.end)], false)
      },
      caption:
        "Entropy of the sampling over its maximum, in nats, means over the first and the last "
        + "tenth of the steps")
  }
}
