extension Report {
  // MARK: Held-out answers

  var answerSection: Section? {
    guard !answers.rows.isEmpty else { return nil }
    let hasImages = answers.rows.contains { $0.image != nil }
    let head: [HTML] =
      (hasImages ? ["image"] : []) + ["question", "right answer"]
      + answers.contenders.map { "\($0.tone.key)\($0.short)" }
    let rows: [HTML] = answers.rows.map { row in
      let image: HTML =
        hasImages
        ? "<td>\(Report.picture(row.image, "of the question", style: " class=\"thumb\"") ?? "")</td>"
        : ""
      let given: [HTML] = zip(answers.contenders, row.given).map { contender, given in
        guard let given else { return "<td></td>" }
        return """
          <td class="\(given.isRight ? "right" : "wrong")"><span class="who">\
          \(contender.tone.key)\(contender.short)</span><span>\(Report.mark(given.isRight)) \
          \(Report.short(given.text, 240))</span></td>
          """
      }
      return """
        <tr>\(image)<th scope="row">\(Report.short(row.question))<br>\
        <span class="quiet">\(Report.short(row.task, 60))</span></th>\
        <td class="truth"><span class="who">right answer</span><span>\
        \(Report.short(row.answer, 240))</span></td>\(given)</tr>

        """
    }
    let header: [HTML] = head.map { "<th scope=\"col\">\($0)</th>" }
    func table(_ rows: [HTML]) -> HTML {
      """
      <div class="wide"><table class="answers"><thead><tr>\(header)</tr></thead>
      <tbody>\(rows)</tbody></table></div>

      """
    }
    let first = Array(rows.prefix(2))
    let rest: HTML =
      rows.count > 2
      ? HTML.folded("\(rows.count - 2) more questions", table(Array(rows.dropFirst(2)))) : ""
    let seeds = scores.seeds > 1 ? " Of several seeds the first one answers." : ""
    return Section(
      name: "answers", short: "Answers", title: "Answers",
      body: """
        <p>Held-out questions of every task, chosen by their place in it and not by the \
        outcome.\(seeds)</p>
        \(table(first))\(rest)
        """)
  }

  // MARK: Settings

  var settingsSection: Section? {
    guard !run.artifacts.isEmpty else { return nil }
    let shown = run.artifacts.prefix(200)
    let parts: [HTML] = shown.map { artifact in
      let manifest = artifact.manifest
      let inputs = manifest.inputs.sorted { $0.key < $1.key }
        .map { "\($0.key)  \($0.value)" }.joined(separator: "\n")
      let text = """
        content  \(manifest.content)
        program  \(manifest.program) \(manifest.version), \(manifest.seed.map { "seed \($0)" } ?? "no seed")

        inputs
        \(inputs)

        settings
        \(manifest.settings.text(pretty: true))
        """
      return "<details><summary>\(artifact.name)</summary><pre>\(text)</pre></details>\n"
    }
    let left: HTML =
      shown.count < run.artifacts.count
      ? "<p class=\"note\">and \(run.artifacts.count - shown.count) artifacts more</p>\n" : ""
    return Section(
      name: "settings", short: "Settings", title: "Settings and fingerprints",
      body: "<details><summary>Show for every artifact</summary>\n\(parts)\(left)</details>\n")
  }
}
