import Failures

/// Whose words a question is put in.
public enum PromptStyle: Sendable, Equatable {
  /// Those that VLMEvalKit adapted to Qwen2-VL (its `Qwen2VLPromptMixin`).
  case adapted
  /// Those of the benchmark itself, which VLMEvalKit takes for families without words of their own.
  case benchmark
  /// A text with `{hint}`, `{question}` and `{options}` in it.
  case template(String)

  /// What `evaluate.prompt` names: `auto`, `adapted`, `benchmark`, or a text with `{question}` in it.
  /// - Parameter hasAdapted: the model's family has words of its own, which `auto` takes.
  /// - Throws: `Failure` 78 for a text without the question.
  public init(setting: String, hasAdapted: Bool) throws {
    switch setting {
    case "auto": self = hasAdapted ? .adapted : .benchmark
    case "adapted": self = .adapted
    case "benchmark": self = .benchmark
    default:
      guard setting.contains("{question}") else {
        throw Failure(
          .badPreset, "a template without the question", at: "evaluate.prompt",
          expected: "auto, adapted, benchmark, or a text with {question}", found: setting)
      }
      self = .template(setting)
    }
  }
}

/// A part of what a model is asked.
public enum PromptPart: Sendable, Equatable {
  /// The next of the question's pictures, or the one of a number.
  case picture(Int)
  case text(String)

  /// The number of the picture, nil for a text.
  public var picture: Int? { if case .picture(let number) = self { number } else { nil } }
  /// Nil for a picture.
  public var text: String? { if case .text(let text) = self { text } else { nil } }
}

/// How the questions of a benchmark are put.
enum QuestionForm: Sendable {
  /// Question, options, and the wish for one of them.
  case options
  /// The same; pictures where `<image 1>` stands.
  case mmmu
  /// The same to Qwen2-VL; the column `prompt` to others.
  case cvBench
  /// The question, and the wish for yes or no.
  case yesNo
  /// The question, and the wish for few words.
  case short
  /// The question, and to Qwen2-VL the wish for few words.
  case open
  /// The question alone.
  case plain
  /// Options where there are some; else the question alone.
  case asItIs
}

extension BenchmarkKind {
  /// What a model is asked: pictures and text, as VLMEvalKit (vlmeval/dataset/image_*.py and
  /// vlmeval/vlm/qwen2_vl/prompt.py) puts them.
  public func prompt(_ question: BenchmarkQuestion, _ style: PromptStyle) -> [PromptPart] {
    let pictures = question.pictures.indices.map { PromptPart.picture($0) }
    if case .template(let template) = style {
      return pictures + [.text(question.filled(template))]
    }
    let isAdapted = style == .adapted
    func all(_ text: String) -> [PromptPart] { pictures + [.text(text)] }
    switch form {
    case .options:
      return all(isAdapted ? question.withOptions(chinese: true) : question.asBenchmark)
    case .mmmu:
      return isAdapted
        ? all(question.withOptions(chinese: false)) : question.split(question.asBenchmark)
    case .cvBench:
      return all(
        isAdapted
          ? question.withOptions(chinese: true) : question.columns["prompt"] ?? question.asBenchmark
      )
    case .yesNo: return all(question.question + (isAdapted ? " Please answer yes or no." : ""))
    case .short, .open:
      let wish =
        isAdapted
        ? "\nPlease try to answer the question with short words or phrases if possible."
        : form == .short ? "\nAnswer the question using a single word or phrase." : ""
      return all(question.question + wish)
    case .plain: return all(question.question)
    case .asItIs: return all(question.prompt)
    }
  }
}

extension BenchmarkQuestion {
  private var optionLines: String {
    options.map { "\($0.letter). \($0.text)\n" }.joined()
  }

  private var head: String { (hint.map { "Hint: \($0)\n" } ?? "") + "Question: \(question)\n" }

  /// As the benchmark puts it.
  fileprivate var asBenchmark: String {
    head
      + (options.isEmpty
        ? ""
        : "Options:\n\(optionLines)Please select the correct answer from the options above. \n")
  }

  /// As Qwen2-VL is asked.
  fileprivate func withOptions(chinese: Bool) -> String {
    var text = head
    if !options.isEmpty {
      text += "Options:\n" + optionLines
      let isChinese =
        chinese && text.unicodeScalars.contains { (0x4E00...0x9FFF).contains($0.value) }
      text += isChinese ? "请直接回答选项字母。" : "Please select the correct answer from the options above."
    }
    // Python's rstrip.
    var scalars = text.unicodeScalars[...]
    while let last = scalars.last, Python.isSpace(last) { scalars.removeLast() }
    return String(scalars)
  }

  /// Hint, question and options, one a line; a question without options as it stands.
  var prompt: String {
    guard options.isEmpty else { return withOptions(chinese: false) }
    return (hint.map { "Hint: \($0)\n" } ?? "") + question
  }

  /// Pictures where the text names them: `<image 1>`; all of them in front where it names none.
  fileprivate func split(_ text: String) -> [PromptPart] {
    let pieces = text.components(of: "<image ")
    guard pieces.count > 1 else { return pictures.indices.map { .picture($0) } + [.text(text)] }
    var parts: [PromptPart] = [.text(pieces[0])]
    for piece in pieces.dropFirst() {
      let scalars = Array(piece.unicodeScalars)
      guard scalars.count > 1, let number = Int(String(scalars[0])), scalars[1] == ">",
        pictures.indices.contains(number - 1)
      else {
        parts.append(.text("<image " + piece))
        continue
      }
      parts.append(.picture(number - 1))
      parts.append(.text(String(String.UnicodeScalarView(scalars[2...]))))
    }
    return parts.filter { $0 != .text("") }
  }

  fileprivate func filled(_ template: String) -> String {
    var text = ""
    var rest = template[...]
    let slots = ["{hint}": hint ?? "", "{question}": question, "{options}": optionLines]
    while let brace = rest.firstIndex(of: "{") {
      text += rest[..<brace]
      rest = rest[brace...]
      if let slot = slots.first(where: { rest.hasPrefix($0.key) }) {
        text += slot.value
        rest = rest.dropFirst(slot.key.count)
      } else {
        text.append(rest.removeFirst())
      }
    }
    return text + rest
  }
}

extension String {
  fileprivate func components(of separator: String) -> [String] {
    var parts: [String] = []
    var rest = self[...]
    while let range = rest.firstRange(of: separator) {
      parts.append(String(rest[..<range.lowerBound]))
      rest = rest[range.upperBound...]
    }
    return parts + [String(rest)]
  }
}
