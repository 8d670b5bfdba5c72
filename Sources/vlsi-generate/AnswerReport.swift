import Decoding
import Artifacts
import Models
import Tokenization

/// Answers side by side, as a table or as JSON.
struct AnswerReport {
  let names: [AnswerSource]
  let answers: [Answer]
  let tokenizer: Tokenizer

  private func text(_ answer: Answer) -> String {
    tokenizer.decode(answer.tokens, skipSpecialTokens: true)
  }

  /// One line for each layer, line breaks shown as ⏎; an answer that was cut at the longest ends
  /// in …
  func table(_ readouts: LayerReadouts?) -> String {
    var lines = readouts.map { $0.isReused ? [$0.description] : [] } ?? []
    let titles = names.map { name in
      if case .layer(let number) = name { "layer \(number)" } else { "model" }
    }
    let width = titles.map(\.count).max() ?? 0
    for (title, answer) in zip(titles, answers) {
      let words = text(answer).split(separator: "\n", omittingEmptySubsequences: false)
        .joined(separator: " ⏎ ")
      let end = answer.end == .length ? " …" : ""
      lines.append(title + String(repeating: " ", count: width - title.count) + "  " + words + end)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  func json(model: String, images: [String], prompt: String, readouts: LayerReadouts?) -> String {
    let entries = zip(names, answers).map { name, answer -> JSON in
      var entry: [String: JSON] = [
        "text": .string(text(answer)), "tokens": .array(answer.tokens.map { .int(Int($0)) }),
        "end": .string(answer.end.rawValue),
      ]
      if case .layer(let number) = name { entry["layer"] = .int(number) }
      if let score = answer.score { entry["score"] = .number(Double(score)) }
      return .object(entry)
    }
    var report: [String: JSON] = [
      "model": .string(model), "images": .array(images.map { .string($0) }),
      "prompt": .string(prompt), "answers": .array(entries),
    ]
    if let readouts {
      report["verbalizers"] = [
        "directory": .string(readouts.directory), "reused": .bool(readouts.isReused),
      ]
    }
    return JSON.object(report).text(pretty: true)
  }
}
