import Artifacts
import Evaluation
import Models

extension ModelCard {
  private var base: String {
    HubName.of(lineage.model.facts["base"]?.asString ?? "a checkpoint", given: names.student)
  }
  private var teacher: String? {
    lineage.targets?.facts["teacher"]?.asString.map { HubName.of($0, given: names.teacher) }
  }

  /// The whole card, without its seal.
  var text: String {
    ([frontMatter] + [introduction, use, making, data, scores, limits, citation])
      .joined(separator: "\n")
  }

  // MARK: Front matter

  private var frontMatter: String {
    var lines = ["---", "base_model: \(ModelCard.scalar(base))"]
    let license = lineage.model.facts["license"]?.asObject ?? [:]
    for key in ["license", "license_name", "license_link"] {
      if let value = license[key]?.asString { lines.append("\(key): \(ModelCard.scalar(value))") }
    }
    lines += ["library_name: transformers", "pipeline_tag: image-text-to-text", "tags:"]
    lines += (lineage.adapter == nil ? ["sft"] : ["distillation", "vlsi"]).map { "- \($0)" }
    let measured = lineage.benchmarks
    if !measured.isEmpty {
      lines += ["model-index:", "- name: \(ModelCard.scalar(name))", "  results:"]
      for benchmark in measured {
        guard let scores = benchmark.model else { continue }
        let file = ModelCard.scalar(benchmark.name)
        lines += [
          "  - task:", "      type: image-text-to-text", "    dataset:", "      name: \(file)",
          "      type: \(file)", "    metrics:",
        ]
        let metrics = scores.benchmarks.first?.metrics.filter {
          $0.group == nil && $0.split == nil
        }
        for metric in metrics ?? [] {
          lines += [
            "    - type: \(ModelCard.scalar(metric.name))",
            "      value: \(BenchmarkTable.figure(metric.value))",
          ]
        }
      }
    }
    return (lines + ["---", ""]).joined(separator: "\n")
  }

  /// A text as a YAML scalar: as it is where that cannot be misread.
  static func scalar(_ text: String) -> String {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    let isPlain =
      text.first.map { letters.contains($0) } ?? false
      && text.allSatisfy { (letters + "0123456789._-/").contains($0) }
      && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(text.lowercased())
    return isPlain ? text : JSON.quoted(text)
  }

  // MARK: What it is

  private var introduction: String {
    let base = ModelCard.plain(base)
    var text = "# \(ModelCard.plain(name))\n\nThis is *\(base)*"
    if let teacher {
      text += """
         after learning from *\(ModelCard.plain(teacher))* layer by layer, by the method of VLsI: \
        Verbalized Layers-to-Interactions ([arXiv 2412.01822](https://arxiv.org/abs/2412.01822))
        """
    }
    if lineage.model.settings["finetune"]?["steps"]?.asInt ?? 0 > 0 {
      text += "\(teacher == nil ? " after" : ", and") supervised fine-tuning"
    }
    text += ". Its shape, tokenizer and image processor are those of \(base).\n"
    if lineage.model.facts["random_base"]?.asBool == true {
      text += "\n**It started from random weights**, to try the pipeline: it knows nothing.\n"
    }
    return text
  }

  private var use: String {
    """
    ## Use

    ```python
    # pip install transformers torch torchvision pillow
    from transformers import AutoModelForImageTextToText, AutoProcessor
    model = AutoModelForImageTextToText.from_pretrained("PATH", dtype="auto")
    processor = AutoProcessor.from_pretrained("PATH")
    messages = [{"role": "user", "content": [
        {"type": "image", "url": "picture.png"}, {"type": "text", "text": "What is this?"}]}]
    inputs = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True,
                                           return_dict=True, return_tensors="pt")
    answer = model.generate(**inputs, max_new_tokens=64)[:, inputs["input_ids"].shape[1]:]
    print(processor.batch_decode(answer, skip_special_tokens=True)[0])
    ```

    """
  }

  // MARK: How it was made

  private var making: String {
    var text = "## How it was made\n\n"
    text += "| | |\n|---|---|\n"
    for (what, how) in [("student", base)] + (teacher.map { [("teacher", $0)] } ?? []) + steps {
      text += "| \(what) | \(ModelCard.plain(how)) |\n"
    }
    text += "\n| artifact | program | time | peak memory | threads | seed |\n"
    text += "|---|---|---|---|---|---|\n"
    for (name, manifest) in lineage.steps {
      text += """
        | \(name) | \(ModelCard.plain(manifest.program)) \(ModelCard.plain(manifest.version)) \
        | \(Format.duration(manifest.wallSeconds)) | \(Format.bytes(manifest.peakBytes)) \
        | \(manifest.threads) | \(manifest.seed.map(String.init) ?? "–") |

        """
    }
    text += """

      A stage that was interrupted counts its last run alone; peak memory is without mapped files.

      <details><summary>All settings</summary>

      ```yaml
      \(settings)```

      </details>

      """
    return text
  }

  /// The stages that learned, a row each.
  private var steps: [(String, String)] {
    var rows: [(String, String)] = []
    for role in ["teacher", "student"] {
      guard let manifest = lineage.verbalizers[role],
        let settings = manifest.settings["verbalize"]
      else { continue }
      let layers = ModelCard.list(manifest.facts["layers"])
      rows.append(
        (
          "verbalizers of the \(role)",
          "\(ModelCard.value(settings["architecture"])) on layers \(layers), "
            + "\(ModelCard.value(settings["steps"])) steps each"
        ))
    }
    if let align = lineage.adapter?.settings["align"] {
      let lora = lineage.adapter?.facts["rank"]?.asInt.map { "LoRA of rank \($0)" }
      rows.append(
        (
          "interaction",
          "\(ModelCard.training(align)); \(lora ?? "the language model's own weights"); "
            + "matching \(ModelCard.value(align["matching"])), "
            + "loss \(ModelCard.value(align["intermediate_loss"])) at target layers, "
            + "\(ModelCard.value(align["last_loss"])) at the last"
        ))
    }
    if let finetune = lineage.model.settings["finetune"] {
      var parts = ["language model", "head"]
      if finetune["train_embedding"]?.asBool == true { parts.append("word embedding") }
      if finetune["train_vision"]?.asBool == true { parts.append("vision encoder") }
      let isTrained = finetune["steps"]?.asInt ?? 0 > 0
      rows.append(
        (
          "fine-tuning",
          isTrained ? "\(ModelCard.training(finetune)); \(parts.joined(separator: ", "))" : "none"
        ))
    }
    return rows
  }

  static func training(_ settings: JSON) -> String {
    let batch =
      (settings["samples_per_batch"]?.asInt ?? 1)
      .multipliedReportingOverflow(by: settings["accumulation"]?.asInt ?? 1).partialValue
    return
      "\(Format.count(settings["steps"]?.asInt ?? 0)) steps of \(Format.count(batch)) samples, "
      + "learning rate \(value(settings["learning_rate"])) to "
      + value(settings["final_learning_rate"])
  }

  private var settings: String {
    var text = ""
    for (name, manifest) in lineage.steps {
      text += "\(name):\n"
      // A stage's section may stand under its name, beside what the machine and the command line add.
      let members = (manifest.settings.asObject ?? [:]).flatMap { key, value in
        value.asObject.map { Array($0) } ?? [(key, value)]
      }
      for (key, value) in members.sorted(by: { $0.key < $1.key }) {
        text += "  \(key): \(value.text())\n"
      }
    }
    return text
  }

  // MARK: Data, scores, limits

  private var data: String {
    guard let manifest = lineage.samples else { return "" }
    func count(_ name: String) -> Int { manifest.facts[name]?.asInt ?? 0 }
    let entries = count("entries"), rejects = count("rejects")
    let name = manifest.facts["dataset"]?.asString.map(Files.name(of:)) ?? "not recorded"
    let share = entries > 0 ? Format.percent(Double(rejects) / Double(entries)) : "0"
    return """
      ## Data

      | | |
      |---|---|
      | data set | \(ModelCard.plain(name)) |
      | conversations | \(Format.count(entries)) |
      | rejected | \(Format.count(rejects)) (\(share)%) |
      | samples | \(Format.count(count("samples"))) with \(Format.count(count("images"))) images |
      | tokens | \(Format.count(count("tokens"))), \
      \(Format.count(count("image_tokens"))) of them of images, \
      \(Format.count(count("supervised_tokens"))) supervised |

      """
  }

  private var scores: String {
    var text = "## Scores\n\n"
    if lineage.benchmarks.isEmpty { return text + "It was not evaluated.\n" }
    for benchmark in lineage.benchmarks {
      let shown = [
        ("this model", benchmark.model), (base, benchmark.base), (teacher ?? "", benchmark.teacher),
      ].compactMap { label, scores in scores.map { (label: label, scores: $0) } }
      text += """
        Mean scores in % over the \(Format.count(benchmark.questions)) questions of \
        \(ModelCard.plain(benchmark.name)), with the standard error of sampling the questions:

        | | questions |\(shown.map { " \(ModelCard.plain($0.label)) |" }.joined())
        |---|---:|\(shown.map { _ in "---:|" }.joined())

        """
      let metrics = benchmark.model?.benchmarks.first?.metrics ?? []
      for metric in metrics.filter({ $0.group == nil && $0.split == nil })
      where metric.name != "accuracy" {
        let values = shown.map { row in
          row.scores.benchmarks.first?.metrics.first {
            $0.name == metric.name && $0.group == nil && $0.split == nil
          }.map { " \(BenchmarkTable.figure($0.value)) |" } ?? " |"
        }
        text += "| \(metric.name) | \(Format.count(metric.questions)) |\(values.joined())\n"
      }
      let overall = shown.map { $0.scores.overall }
      text += ModelCard.row("**all**", overall)
      let tasks = benchmark.model?.categories.map(\.name) ?? []
      for task in tasks where tasks.count > 1 {
        let all = shown.map { row in row.scores.categories.first { $0.name == task }?.score }
        text += ModelCard.row(task.isEmpty ? "other" : ModelCard.plain(task), all)
      }
      text += "\n"
    }
    return text + "One seed; seeds differ by more than sampling errors say.\n"
  }

  private static func row(_ name: String, _ scores: [Score?]) -> String {
    let count = scores.compactMap { $0?.questions }.max() ?? 0
    let cells = scores.map { score in
      score.map { " \(Format.percent($0.accuracy)) ± \(Format.percent($0.standardError)) |" }
        ?? " |"
    }
    return "| \(name) | \(Format.count(count)) |\(cells.joined())\n"
  }

  private var limits: String {
    var lines = [
      lineage.benchmarks.isEmpty
        ? "Nothing is known of its quality."
        : "Only what is scored above is known of its quality.",
      "It was trained on text and still images; video was not.",
      "The answers that it was fine-tuned on are the data set's own; nobody checked them here.",
      "What \(ModelCard.plain(base)) gets wrong, and what may not be done with it, holds for this "
        + "model too" + (lineage.model.facts["license"] == nil ? "; see its licence." : "."),
    ]
    if lineage.adapter != nil, lineage.targets == nil {
      lines.append("The artifacts that its adapter was made from were not at hand for this card.")
    }
    return "## Limits\n\n" + lines.map { "- \($0)\n" }.joined()
  }

  private var citation: String {
    guard lineage.adapter != nil else { return "" }
    return """
      ## Citation

      ```bibtex
      @inproceedings{lee2025vlsi,
        title = {VLsI: Verbalized Layers-to-Interactions from Large to Small Vision Language Models},
        author = {Lee, Byung-Kwan and Hachiuma, Ryo and Wang, Yu-Chiang Frank and Ro, Yong Man and
                  Wu, Yueh-Hua},
        booktitle = {CVPR},
        year = {2025},
        url = {https://arxiv.org/abs/2412.01822}
      }
      ```

      """
  }

  // MARK: Markdown

  /// A text that Markdown and HTML take for nothing else.
  static func plain(_ text: String) -> String {
    var out = ""
    for character in text {
      if character.isNewline {
        out += " "
      } else if "\\`*_[]<>|#&".contains(character) {
        out += "\\\(character)"
      } else {
        out.append(character)
      }
    }
    return out
  }

  static func value(_ json: JSON?) -> String { json?.asString ?? json?.text() ?? "–" }

  static func list(_ json: JSON?) -> String {
    (json?.asArray ?? []).map { $0.text() }.joined(separator: ", ")
  }
}
