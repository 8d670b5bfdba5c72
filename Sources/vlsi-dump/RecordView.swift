import Artifacts
import Failures
import StageKit
import Tokenization

/// One record: its tensors with their numbers, its text decoded.
struct RecordView {
  private let record: Record
  private let subject: Subject
  private let tokenizer: Tokenizer?

  init(_ record: Record, subject: Subject, tokenizer: Tokenizer?) {
    self.record = record
    self.subject = subject
    self.tokenizer = tokenizer
  }

  private var names: [String] { record.tensors.keys.sorted(by: naturallyPrecedes) }

  func show(_ format: OutputFormat) throws {
    switch format {
    case .safetensors:
      Output.write(
        Safetensors.encode(
          names.compactMap { name in record.tensors[name].map { (name, $0) } },
          metadata: record.metadata))
    case .json: Output.json(json())
    case .text, .npy, .png: showText()
    }
  }

  private func json() -> JSON {
    var members: [String: JSON] = [
      "sample": .int(record.index), "metadata": .object(record.metadata.mapValues { .string($0) }),
      "tensors": .object(
        record.tensors.mapValues { tensor in
          [
            "dtype": .string(tensor.type.rawValue),
            "shape": .array(tensor.shape.map { .int($0) }),
            "statistics": NumberSummary(tensor).json,
          ]
        }),
    ]
    if let tokenizer, let ids = integers("input_ids") {
      members["text"] = .string(tokenizer.decode(ids))
    }
    if let tokenizer, let labels = integers("labels") {
      members["label_tokens"] = .array(labels.map { .string(decoded($0, tokenizer)) })
    }
    return .object(members)
  }

  private func decoded(_ id: Int32, _ tokenizer: Tokenizer) -> String {
    id >= 0 && id < tokenizer.vocabularySize ? tokenizer.decode([id]) : ""
  }

  private func integers(_ name: String) -> [Int32]? { try? record.tensors[name]?.int32s() }

  private func showText() {
    Output.line("record \(record.index) of \(subject.path)")
    Output.line()
    for (key, value) in record.metadata.sorted(by: { $0.key < $1.key }) {
      Output.line("  \(key): \(Human.line(value, limit: 160))")
    }
    if !record.metadata.isEmpty { Output.line() }
    var table = Table(["tensor", "type", "shape"] + NumberSummary.columns)
    for name in names {
      guard let tensor = record.tensors[name] else { continue }
      table.add(
        [name, tensor.type.rawValue, Human.shape(tensor.shape)] + NumberSummary(tensor).cells)
    }
    table.show()
    guard let tokenizer else { return }
    if let ids = integers("input_ids") { showConversation(ids, tokenizer) }
    if let labels = integers("labels"), let positions = integers("positions") {
      showPositions(positions, labels, tokenizer)
    }
  }

  // MARK: Text

  /// The text with its supervised stretches marked, runs of one token counted.
  private func showConversation(_ ids: [Int32], _ tokenizer: Tokenizer) {
    let supervised = integers("supervised") ?? [Int32](repeating: 0, count: ids.count)
    let targets = supervised.count { $0 != 0 }
    let segments = integers("segments").map { Set($0).subtracting([0]).count } ?? 0
    var facts = [Human.plural(ids.count, "token"), "\(Human.count(targets)) supervised"]
    if segments > 0 { facts.append(Human.plural(segments, "question") + " side by side") }
    Output.line()
    Output.line("  text (\(facts.joined(separator: ", ")); ⟦ ⟧ holds what is supervised)")
    Output.line()
    let open = Output.isTerminal ? "\u{1B}[32m⟦" : "⟦"
    let close = Output.isTerminal ? "⟧\u{1B}[0m" : "⟧"
    var text = ""
    var isInside = false
    var start = 0
    while start < ids.count {
      var end = start + 1
      while end < ids.count, ids[end] == ids[start], tokenizer.isSpecial(ids[start]) { end += 1 }
      let isTarget = start < supervised.count && supervised[start] != 0
      if isTarget != isInside {
        text += isTarget ? open : close
        isInside = isTarget
      }
      if end - start > 1 {
        text += decoded(ids[start], tokenizer) + "×\(end - start)"
      } else {
        // Neighbours are decoded together, so that a character cut into tokens stays whole.
        while end < ids.count, !tokenizer.isSpecial(ids[end]), !tokenizer.isSpecial(ids[start]),
          end >= supervised.count || (supervised[end] != 0) == isTarget
        {
          end += 1
        }
        text += tokenizer.decode(Array(ids[start..<end]))
      }
      start = end
    }
    if isInside { text += close }
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      Output.line("    " + line)
    }
  }

  /// Which token each supervised position predicts, and what the layers say where that is stored.
  private func showPositions(_ positions: [Int32], _ labels: [Int32], _ tokenizer: Tokenizer) {
    let layers = names.filter { $0.hasPrefix("entropy.") }
    let entropies = layers.map { (try? record.tensors[$0]?.floats()) ?? [] }
    let likeliest = layers.map { name -> [(Int32, Float)] in
      let layer = name.dropFirst("entropy.".count)
      guard let indices = record.tensors["indices.\(layer)"],
        let shares = record.tensors["probabilities.\(layer)"], let width = indices.shape.last,
        width > 0, let ids = try? indices.int32s(), let values = try? shares.floats(),
        ids.count == values.count
      else { return [] }
      return stride(from: 0, to: ids.count, by: width).map { (ids[$0], values[$0]) }
    }
    Output.line()
    var table = Table(
      [">position", "predicts"]
        + zip(layers, likeliest).map { name, tops in
          (tops.isEmpty ? ">" : "") + (tops.isEmpty ? name : "layer \(name.dropFirst(8)) says")
        })
    let shown = min(positions.count, labels.count, 24)
    for row in 0..<shown {
      var cells = ["\(positions[row])", tokenizer.shown(labels[row])]
      for (entropy, tops) in zip(entropies, likeliest) {
        if row < tops.count {
          let share = Human.number(Double((tops[row].1 * 1000).rounded() / 10))
          cells.append("\(tokenizer.shown(tops[row].0)) \(share)%")
        } else {
          cells.append(row < entropy.count ? Human.number(Double(entropy[row])) : "")
        }
      }
      table.add(cells)
    }
    table.show()
    if shown < labels.count {
      Output.line("  and \(Human.plural(labels.count - shown, "more position"))")
    }
  }
}
