import Artifacts
import Evaluation
import Models

extension Report {
  /// The page: one file that needs nothing else.
  public var page: String {
    let sections: [Section] = [
      scoreSection, ablationSection, verbalizationSection, interactionSection, matchSection,
      finetuningSection,
      speechSection, answerSection, costSection, settingsSection,
    ].compactMap { $0 }
    let links: [HTML] = sections.map { "<li><a href=\"#\($0.name)\">\($0.short)</a></li>" }
    let bodies: [HTML] = sections.map {
      "<section id=\"\($0.name)\">\n<h2>\($0.title)</h2>\n\($0.body)</section>\n"
    }
    let whole: HTML = """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <meta http-equiv="Content-Security-Policy" \
      content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
      <title>\(title)</title>
      <style>
      \(Style.sheet)\(Style.charts)</style>
      </head>
      <body>
      <header><div class="kicker">VLsI distillation</div><h1>\(title)</h1>
      \(introduction)\(opening)\(facts)
      <nav aria-label="Sections"><ul>\(links)</ul></nav></header>
      <main>
      \(bodies)</main>
      \(closing)</body>
      </html>

      """
    return whole.text
  }

  /// A part of the page.
  struct Section {
    /// Its anchor.
    var name: HTML
    /// In the list of sections.
    var short: HTML
    var title: HTML
    var body: HTML
  }

  /// What this is, for who has not heard of it.
  private var introduction: HTML {
    """
    <p class="quiet">VLsI makes a small vision-language model learn from a large one layer by layer: \
    a small verbalizer lets each layer of both speak in words, and the student’s layers are drawn \
    towards layers of the teacher that say the same a little better. This page tells what one run of \
    it gave.</p>

    """
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
    lines += ablations.flatMap { ablations -> [HTML] in
      [("sft", Contender.sft), ("none-kl", .lastLayer)].compactMap { cell, contender in
        ablations.verdict(against: cell, label: contender.label).map {
          "<p class=\"lead\">\($0.replacing("± ", with: "±\u{A0}"))</p>\n"
        }
      }
    }
    let gaps: [HTML] = gaps.map { "<li>\($0)</li>" }
    if !gaps.isEmpty {
      lines.append("<div class=\"beware\"><p>Not on this page:</p><ul>\(gaps)</ul></div>\n")
    }
    return "\(lines)"
  }

  /// What the run is made of, as far as its manifests tell.
  private var facts: HTML {
    var found: [(name: HTML, value: String)] = []
    for (role, key) in [("teacher", Tone.teacher.key), ("student", Tone.student.key)] {
      guard
        let facts = (run.manifest("features/\(role)") ?? run.manifest("verbalizers/\(role)"))?
          .facts, let width = facts["width"]?.asInt
      else { continue }
      let layers = (facts["layers"]?.asArray ?? []).compactMap(\.asInt).map(String.init)
      let model = facts["model"]?.asString.map { backbone($0, role) + "; " } ?? ""
      found.append(
        (
          "\(key)\(role)",
          "\(model)width \(Format.count(width)), layers \(layers.joined(separator: ", "))"
        ))
    }
    if let samples = run.manifest("samples")?.facts, let count = samples["samples"]?.asInt {
      let tokens = samples["supervised_tokens"]?.asInt
      let words = tokens.map { ", \(Format.count($0)) supervised tokens" } ?? ""
      found.append(("training data", "\(Format.count(count)) samples\(words)"))
    }
    if let steps = scores[.model]?.steps {
      found.append(
        (
          "\(Tone.model.key)VLsI",
          "\(Format.count(steps.align)) steps of interaction, \(Format.count(steps.finetune)) of SFT"
        ))
    }
    if let last = run.manifest("model") ?? run.artifacts.last?.manifest {
      let words = [
        last.facts["finished"]?.asString.map {
          $0.replacing("T", with: " ").replacing("Z", with: " UTC")
        }, "\(last.program) \(last.version)",
        last.facts["machine"]?.asString,
      ].compactMap { $0 }
      found.append(("run", words.joined(separator: ", ")))
    }
    if found.isEmpty { return "" }
    let items: [HTML] = found.map { "<div><dt>\($0.name)</dt><dd>\($0.value)</dd></div>\n" }
    return "<dl class=\"facts\">\(items)</dl>\n"
  }

  /// A checkpoint's name, and its size where its folder is still there.
  private func backbone(_ directory: String, _ role: String) -> String {
    let name = HubName.of(directory, given: role == "teacher" ? names.teacher : names.student)
    guard let count = (try? ModelFamilies.config(directory: directory))?.parameterCount else {
      return name
    }
    return "\(name), \(Format.large(count)) parameters"
  }

  private var closing: HTML {
    """
    <footer><p>Made by vlsi-report from the run <em>\(run.name)</em>. The method: Lee et al., \
    VLsI: Verbalized Layers-to-Interactions from Large to Small Vision Language Models, CVPR 2025, \
    arXiv 2412.01822.</p></footer>

    """
  }
}
