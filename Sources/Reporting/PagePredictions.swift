extension Report {
  /// The words of a backbone, by what `LayerPredictions` calls it.
  private static func name(_ backbone: String) -> String {
    backbone == "model" ? "student after VLsI" : backbone
  }

  private static func tone(_ backbone: String) -> Tone { Tone(rawValue: backbone) ?? .other }

  var speechSection: Section? {
    guard
      !predictions.passages.isEmpty || !predictions.agreements.isEmpty || !layerAnswers.rows.isEmpty
    else { return nil }
    let parts: [HTML] = predictions.passages.map(passage)
    let doubt =
      scores.wrong == nil
      ? "" : " Answers that the data set has wrong on purpose are marked as such."
    return Section(
      name: "speech", short: "What layers say", title: "What each layer says",
      body: """
        \(ownWords)\(predictions.passages.isEmpty ? "" : "<h3>Word by word</h3>")
        <p>Training samples. Below each word of the sample’s answer stands the likeliest word of \
        every target layer, through its verbalizer, and of the last layer, given the words before. \
        <span class="differs">Marked</span> where it is another word than the sample’s; ■ ends \
        the answer.\(doubt)</p>
        \(agreementCharts)\(Report.fold(parts, after: 1, "samples"))
        """)
  }

  // MARK: Answers of their own

  /// Layers that answer on their own, before and after side by side.
  private var ownWords: HTML {
    guard !layerAnswers.rows.isEmpty else { return "" }
    let parts: [HTML] = layerAnswers.rows.map { row in
      let picture: HTML =
        Report.picture(row.image, "of the question").map { "<div>\($0)</div>" } ?? ""
      let groups: [HTML] = row.given.map { backbone, answers in
        let lines: [HTML] = LineChart.thinned(answers, to: 8).map { answer in
          """
          <tr><th scope="row">\(answer.layer == "last" ? "last" : "layer \(answer.layer)")</th>\
          <td class="\(answer.isRight ? "right" : "wrong")">\(Report.mark(answer.isRight)) \
          \(Report.short(answer.text, 240))</td></tr>

          """
        }
        return """
          <div class="wide"><table class="own-words"><thead><tr><th scope="col" colspan="2">\
          \(Report.tone(backbone).key)\(Report.name(backbone))</th></tr></thead>
          <tbody>\(lines)</tbody></table></div>

          """
      }
      return """
        <article class="said">\(picture)<div><p>\(Report.short(row.question.question)) \
        <span class="quiet">right answer: \(Report.short(row.question.answer, 240))</span></p>
        <div class="pair">\(groups)</div></div></article>

        """
    }
    return """
      <h3>In their own words</h3>
      <p>Held-out questions. Every layer decodes an answer of its own through its verbalizer, \
      given the question alone.</p>
      \(Report.fold(parts, after: 1, "questions"))
      """
  }

  /// The first parts, and the others folded.
  /// - Parameter unit: a plural
  private static func fold(_ parts: [HTML], after count: Int, _ unit: String) -> HTML {
    guard parts.count > count else { return "\(parts)" }
    let rest = Array(parts.dropFirst(count))
    return "\(Array(parts.prefix(count)))"
      + HTML.folded("\(rest.count) more \(unit)", "\(rest)")
  }

  /// Whether an answer is right, for eyes and ears.
  static func mark(_ isRight: Bool) -> HTML {
    isRight
      ? "<span class=\"mark\" title=\"right\">✓</span>"
      : "<span class=\"mark\" title=\"wrong\">✗</span>"
  }

  // MARK: Shares

  private var agreementCharts: HTML {
    guard !predictions.agreements.isEmpty else { return "" }
    let label = agreementChart("Says the sample’s word, %") { $0.withLabel }
    let teacher = agreementChart("Says what the teacher says at last, %") { $0.withTeacher }
    var figures: [HTML] = []
    if let label {
      figures.append(HTML.figure(label.svg, "<b>Agreement with the training answer.</b>"))
    }
    if let teacher {
      figures.append(
        HTML.figure(
          teacher.svg,
          "<b>Agreement with the teacher’s last layer</b>, given the same words before."))
    }
    return """
      <div class="charts">\(figures)</div>
      <p class="note">Share of \(Format.count(predictions.counted.positions)) supervised positions of \
      \(Format.count(predictions.counted.samples)) samples, by depth: 100% is the last layer. The \
      student’s layers after distillation speak through the verbalizers of before.</p>

      """
  }

  private func agreementChart(
    _ y: String, _ value: (LayerPredictions.Agreement) -> Double?
  ) -> LineChart? {
    let curves = LayerPredictions.backbones.compactMap { backbone -> Curve? in
      let points = predictions.agreements.filter { $0.backbone == backbone }.compactMap { layer in
        value(layer).map { (x: 100 * layer.depth, y: 100 * $0) }
      }
      let name = backbone == "model" ? "after VLsI" : backbone
      return points.isEmpty ? nil : Curve(name, points, tone: Report.tone(backbone))
    }
    if curves.isEmpty { return nil }
    return LineChart(
      curves: curves, x: "depth, % of the layers", y: y,
      summary: "\(y), by depth, for the teacher and the student before and after",
      fromZero: false)
  }

  // MARK: Samples

  private func passage(_ passage: LayerPredictions.Passage) -> HTML {
    let columns: [HTML] = [["teacher"], ["student", "model"]].compactMap { backbones in
      let groups: [HTML] = backbones.compactMap { backbone in
        let layers = passage.layers.filter { $0.backbone == backbone }
        return layers.isEmpty ? nil : group(backbone, layers, columns: passage.label.count)
      }
      if groups.isEmpty { return nil }
      let words: [HTML] = passage.label.map { "<th scope=\"col\">\($0)</th>" }
      return """
        <div class="wide"><table class="words"><thead><tr><th scope="col">answer</th>\
        \(words)</tr></thead>\(groups)</table></div>

        """
    }
    let rest: HTML =
      passage.left > 0
      ? " <span class=\"quiet\">and \(Format.count(passage.left)) words more</span>" : ""
    let picture: HTML =
      Report.picture(passage.image, "of sample \(passage.sample)").map { "<div>\($0)</div>" }
      ?? ""
    return """
      <article class="said">\(picture)
      <div><p>\(Report.short(passage.question)) <span class="quiet">sample \(passage.sample)\
      \(passage.isWrong ? "; its answer is wrong on purpose" : "")</span>\
      \(rest)</p>
      <div class="\(passage.label.count > 10 ? "column" : "pair")">\(columns)</div></div></article>

      """
  }

  /// The rows of one backbone, a column for each word of the answer. Of many layers eight are shown.
  private func group(_ backbone: String, _ layers: [LayerPredictions.Layer], columns: Int) -> HTML {
    let rows: [HTML] = LineChart.thinned(layers, to: 8).map { layer in
      let words: [HTML] = zip(layer.words, layer.agrees).map { word, agrees in
        agrees ? "<td>\(word)</td>" : "<td class=\"differs\">\(word)</td>"
      }
      let layer = layer.layer == "last" ? "last" : "layer \(layer.layer)"
      return "<tr><th scope=\"row\">\(layer)</th>\(words)</tr>\n"
    }
    let key = Report.tone(backbone).key
    return """
      <tbody><tr class="group"><th scope="rowgroup" colspan="\(columns + 1)">\(key)\
      \(Report.name(backbone))</th></tr>
      \(rows)</tbody>
      """
  }

  static func picture(_ png: [UInt8]?, _ of: String, style: HTML = "") -> HTML? {
    png.map { "<img alt=\"image \(of)\"\(style) src=\"\(Pictures.source($0))\">" }
  }

  /// Text that does not flood the page.
  static func short(_ text: String, _ most: Int = 400) -> String {
    text.count > most ? text.prefix(most) + "…" : text
  }
}
