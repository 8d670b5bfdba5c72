/// The last number of an answer, in figures or in words, is within 5% of the right one (the tolerance
/// of ChartQA): for models that answer in sentences, where `relaxed` takes the number alone.
struct NumberRule: AnswerRule {
  static let name = "number"

  func mark(_ answer: String, _ question: BenchmarkQuestion) -> Mark {
    guard let given = Self.last(in: answer) else { return Mark(score: 0) }
    let right = question.everyAccepted.contains { gold in
      guard let gold = Self.last(in: gold) else { return false }
      return abs(given - gold) <= RelaxedAccuracy.tolerance * abs(gold)
    }
    return Mark(score: right ? 1 : 0, extracted: given.description)
  }

  /// Its last number; signs, thousands separators, and what is written close to it are understood.
  static func last(in text: String) -> Double? {
    let words = Python.words(text.lowercased())
    for place in words.indices.reversed() {
      guard let number = figures(words[place]) ?? named[trimmed(words[place])] else { continue }
      let isNegative = place > 0 && ["minus", "negative"].contains(words[place - 1])
      return isNegative ? -number : number
    }
    return nil
  }

  private static func figures(_ word: String) -> Double? {
    var digits = Substring(word)
    // Units and signs of currency, brackets, a full stop.
    while let last = digits.last, !last.isASCIIDigit { digits.removeLast() }
    while let first = digits.first, !(first.isASCIIDigit || "+-−.".contains(first)) {
      digits.removeFirst()
    }
    return Double(digits.replacing(",", with: "").replacing("−", with: "-")).flatMap {
      $0.isFinite ? $0 : nil
    }
  }

  private static func trimmed(_ word: String) -> String {
    String(word.drop { !$0.isLetter }.reversed().drop { !$0.isLetter }.reversed())
  }

  private static let named: [String: Double] = Dictionary(
    uniqueKeysWithValues: [
      "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
      "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
      "nineteen", "twenty",
    ].enumerated().map { ($1, Double($0)) })
}

extension Character {
  fileprivate var isASCIIDigit: Bool { isASCII && isNumber }
}
