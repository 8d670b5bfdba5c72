/// The accuracy of VQA (Antol et al. 2015, section 5; the official evaluation): an answer that three
/// of the other annotators gave is right; averaged over the annotators left out in turn.
struct VQAAccuracy: AnswerRule {
  static let name = "vqa"

  func mark(_ answer: String, _ question: BenchmarkQuestion) -> Mark {
    let answer = VQAText.processed(answer)
    let golds = question.everyAccepted.map(VQAText.processed)
    guard !golds.isEmpty else { return Mark(score: 0) }
    let matches = golds.count { Python.same($0, answer) }
    let total = golds.reduce(0.0) { sum, gold in
      let others = matches - (Python.same(gold, answer) ? 1 : 0)
      return sum + min(1, Double(others) / 3)
    }
    return Mark(score: total / Double(golds.count))
  }
}

/// The text processing of VQA's official evaluation, as VLMEvalKit has it.
enum VQAText {
  private static let marks: [Unicode.Scalar] = [
    ";", "/", "[", "]", "\"", "{", "}", "(", ")", "=", "+", "\\", "_", "-", ">", "<", "@", "`",
    ",", "?", "!",
  ]
  /// Its regular expression's flag stands where the count belongs: no more points are removed.
  private static let mostPoints = 32

  static func processed(_ answer: String) -> String {
    let plain = Python.replacing(["\n", "\t"], in: answer, with: " ")
    return words(withoutPunctuation(Python.stripped(plain)))
  }

  static func withoutPunctuation(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    func at(_ place: Int) -> Unicode.Scalar? {
      scalars.indices.contains(place) ? scalars[place] : nil
    }
    func isDigit(_ place: Int) -> Bool { at(place).map(Python.isDigit) ?? false }
    let hasThousands = scalars.indices.contains {
      scalars[$0] == "," && isDigit($0 - 1) && isDigit($0 + 1)
    }
    // A mark beside a space somewhere goes everywhere; another one becomes a space.
    let removed = Set(
      marks.filter { mark in
        hasThousands
          || scalars.indices.contains {
            scalars[$0] == mark && (at($0 - 1) == " " || at($0 + 1) == " ")
          }
      })
    var marked: [Unicode.Scalar] = []
    for scalar in scalars where !removed.contains(scalar) {
      marked.append(marks.contains(scalar) ? " " : scalar)
    }
    var result = String.UnicodeScalarView()
    var points = 0
    for (place, scalar) in marked.enumerated() {
      let isBare =
        scalar == "."
        && !(place > 0 && Python.isDigit(marked[place - 1]))
        && !(place + 1 < marked.count && Python.isDigit(marked[place + 1]))
      if isBare, points < mostPoints {
        points += 1
      } else {
        result.append(scalar)
      }
    }
    return String(result)
  }

  private static func words(_ text: String) -> String {
    Python.words(text.lowercased()).map { numbers[$0] ?? $0 }
      .filter { !["a", "an", "the"].contains($0) }.map { contractions[$0] ?? $0 }
      .joined(separator: " ")
  }

  private static let numbers = [
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
  ]

  /// What is written with an apostrophe too few, by what it should be.
  private static let contractions: [String: String] = {
    var table = ["somebody'd": "somebodyd"]
    for word in """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
    haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't
    mightn't've might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've
    should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've
    someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't
    what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's
    who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd
    you'd've you'll you're you've
    """.split(whereSeparator: \.isWhitespace) {
      for place in word.indices where word[place] == "'" {
        table[String(word[..<place] + word[word.index(after: place)...])] = String(word)
      }
    }
    return table
  }()
}
