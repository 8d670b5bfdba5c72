import Artifacts

extension Report {
  // MARK: What the layers say

  var speechSection: HTML {
    guard !speech.passages.isEmpty else { return "" }
    let parts: [HTML] = speech.passages.map(passage)
    let doubt = scores.wrong == nil ? "" : " A sample’s answer may be one of the wrong ones."
    return """
      <h2>What each layer says</h2>
      <p>Training samples, evenly spread over the data. Below each word of the sample’s answer \
      stands the likeliest word of every target layer, through its verbalizer, and of the last layer; the \
      earlier words are given. <span class="hit">Coloured</span> where it is the sample’s word, \
      ■ ends the answer.\(doubt)</p>
      \(parts)
      """
  }

  private func passage(_ passage: Speech.Passage) -> HTML {
    let tables: [HTML] = ["teacher", "student"].compactMap { backbone in
      let voices = passage.voices.filter { $0.backbone == backbone }
      return voices.isEmpty ? nil : table(backbone, voices, label: passage.label)
    }
    return """
      <section class="said"><div>\(picture(passage.image, "of sample \(passage.sample)"))</div>
      <div><p>\(passage.question) <span class="quiet">sample \(passage.sample)</span></p>
      <div class="pair">\(tables)</div></div></section>

      """
  }

  /// A row for each layer, a column for each word of the answer.
  private func table(_ backbone: String, _ voices: [Speech.Voice], label: [String]) -> HTML {
    let header: [HTML] = ([backbone] + label).map { "<th scope=\"col\">\($0)</th>" }
    let rows: [HTML] = voices.map { voice in
      let words: [HTML] = zip(voice.words, voice.agrees).map { word, agrees in
        agrees ? "<td class=\"hit\">\(word)</td>" : "<td>\(word)</td>"
      }
      let layer = voice.layer == "last" ? "last" : "layer \(voice.layer)"
      return "<tr><th scope=\"row\">\(layer)</th>\(words)</tr>\n"
    }
    return """
      <div class="wide"><table><thead><tr>\(header)</tr></thead><tbody>\(rows)</tbody></table></div>

      """
  }

  private func picture(_ png: [UInt8]?, _ of: String, style: HTML = "") -> HTML {
    png.map { "<img alt=\"image \(of)\"\(style) src=\"\(Pictures.source($0))\">" } ?? ""
  }

  // MARK: Held-out answers

  var answerSection: HTML {
    guard !answers.rows.isEmpty else { return "" }
    let hasImages = answers.rows.contains { $0.image != nil }
    let head: [HTML] =
      (hasImages ? ["image"] : []) + ["question", "right answer"]
      + answers.contenders.map { "\($0.short)" }
    let rows = answers.rows.map { row -> (cells: [HTML], isStrong: Bool) in
      var cells: [HTML] =
        hasImages
        ? [picture(row.image, "of the question", style: " class=\"thumb\"")] : []
      cells += [
        "<td class=\"plain\">\(row.question)<br><span class=\"quiet\">\(row.task)</span></td>",
        "<td class=\"plain\">\(row.answer)</td>",
      ]
      cells += row.given.map { given in
        guard let given else { return "" }
        return given.isRight
          ? "<td class=\"right\"><span class=\"hit\">✓</span> \(given.text)</td>" : "\(given.text)"
      }
      return (cells, false)
    }
    return """
      <h2>Answers</h2>
      <p>Held-out questions of every task, chosen by their place in it and not by the outcome. \
      <span class="hit">✓ right</span>.</p>
      \(HTML.table(head, rows, style: "text"))
      """
  }

  // MARK: Cost

  var costSection: HTML {
    guard !run.artifacts.isEmpty else { return "" }
    var seconds = 0.0, bytes = 0
    var rows: [(cells: [HTML], isStrong: Bool)] = run.artifacts.map { artifact in
      let manifest = artifact.manifest
      seconds += manifest.wallSeconds
      bytes += manifest.bytes
      return (
        [
          "\(artifact.name)", "\(manifest.program.replacing("vlsi-", with: ""))",
          "\(Format.duration(manifest.wallSeconds))", "\(Format.bytes(manifest.peakBytes))",
          "\(Format.bytes(manifest.bytes))",
          "\(manifest.records > 0 ? Format.count(manifest.records) : "")", "\(manifest.threads)",
        ], false
      )
    }
    rows.append(
      (
        [
          "<strong>all</strong>", "", "\(Format.duration(seconds))", "", "\(Format.bytes(bytes))",
          "", "",
        ], false
      ))
    let head: [HTML] = [
      "artifact", "stage", "time", "peak memory", "stored", "records", "threads",
    ]
    return """
      <h2>What it cost</h2>
      \(HTML.table(head, rows))
      <p class="quiet">Times add up over stages, also over those that ran side by side. A stage \
      that was continued counts its last run alone. Peak memory is without mapped files.</p>

      """
  }

  // MARK: Settings

  var settingsSection: HTML {
    let parts: [HTML] = run.artifacts.map { artifact in
      let manifest = artifact.manifest
      let inputs = manifest.inputs.sorted { $0.key < $1.key }
        .map { "\($0.key)  \($0.value)" }.joined(separator: "\n")
      let text = """
        content  \(manifest.content)
        program  \(manifest.program) \(manifest.version), seed \(manifest.seed)

        inputs
        \(inputs)

        settings
        \(manifest.settings.text(pretty: true))
        """
      return "<details><summary>\(artifact.name)</summary><pre>\(text)</pre></details>\n"
    }
    return """
      <h2>Settings and fingerprints</h2>
      <details><summary>Show for every artifact</summary>
      \(parts)</details>

      """
  }
}
