/// The sentences. All words are of a closed list, which data/tokenizer has as single tokens.
extension Question {
  /// A question in one of several phrasings, whose answer is `sentence` with `right` filled in.
  private static func make<Word: Equatable>(
    _ task: Task, _ phrasings: [String], _ right: Word, of words: [Word],
    _ generator: inout Generator, sentence: (Word) -> String
  ) -> Question {
    Question(
      task: task, text: generator.pick(phrasings), answer: sentence(right),
      wrong: words.filter { $0 != right }.map(sentence))
  }

  static func colour(of shape: Shape, _ colour: Colour, _ generator: inout Generator) -> Question {
    let name = shape.rawValue
    return make(
      .colour,
      [
        "what colour is the \(name)?", "which colour does the \(name) have?",
        "name the colour of the \(name)",
      ], colour, of: Colour.allCases, &generator
    ) { "the \(name) is \($0.rawValue)" }
  }

  static func shape(of colour: Colour, _ shape: Shape, _ generator: inout Generator) -> Question {
    let name = "\(colour.rawValue) object"
    return make(
      .shape,
      [
        "what shape is the \(name)?", "which shape does the \(name) have?",
        "name the shape of the \(name)",
      ], shape, of: Shape.allCases, &generator
    ) { "the \(name) is a \($0.rawValue)" }
  }

  static func count(of plural: String, _ count: Int, _ generator: inout Generator) -> Question {
    make(
      .count,
      [
        "how many \(plural) are there?", "count the \(plural)",
        "what is the number of \(plural)?",
      ], count, of: Array(1...5), &generator
    ) { "the number of \(plural) is \(numberWords[$0])" }
  }

  static func existence(
    _ shape: Shape, _ colour: Colour, _ there: Bool, _ generator: inout Generator
  ) -> Question {
    let name = "\(colour.rawValue) \(shape.rawValue)"
    return make(
      .existence,
      ["is there a \(name)?", "can you see a \(name)?", "does the picture show a \(name)?"],
      there, of: [true, false], &generator
    ) { $0 ? "yes there is a \(name)" : "no there is no \(name)" }
  }

  /// Where is it? By row, by column, or by half.
  static func place(of name: String, _ cell: Int, _ generator: inout Generator) -> Question {
    let (row, column) = (cell / Scene.side, cell % Scene.side)
    switch generator.below(4) {
    case 0:
      return make(
        .place, ["which row is the \(name) in?", "name the row of the \(name)"], row + 1,
        of: Array(1...4), &generator
      ) { "the \(name) is in row \(numberWords[$0])" }
    case 1:
      return make(
        .place, ["which column is the \(name) in?", "name the column of the \(name)"], column + 1,
        of: Array(1...4), &generator
      ) { "the \(name) is in column \(numberWords[$0])" }
    case 2:
      return make(
        .place, ["is the \(name) on the left or on the right?"], column < 2 ? "left" : "right",
        of: ["left", "right"], &generator
      ) { "the \(name) is on the \($0)" }
    default:
      return make(
        .place, ["is the \(name) at the top or at the bottom?"], row < 2 ? "top" : "bottom",
        of: ["top", "bottom"], &generator
      ) { "the \(name) is at the \($0)" }
    }
  }

  /// Is it on this side? A yes or no about one of the four halves of the picture.
  static func side(of name: String, _ cell: Int, _ generator: inout Generator) -> Question {
    let (row, column) = (cell / Scene.side, cell % Scene.side)
    let (halves, actual) =
      generator.chance(0.5)
      ? (["on the left", "on the right"], column < 2 ? 0 : 1)
      : (["at the top", "at the bottom"], row < 2 ? 0 : 1)
    let asked = generator.below(2)
    return make(
      .side, ["is the \(name) \(halves[asked])?", "do you see the \(name) \(halves[asked])?"],
      actual, of: [0, 1], &generator
    ) { "\($0 == asked ? "yes" : "no") the \(name) is \(halves[$0])" }
  }

  static func height(of colour: Colour, _ height: Int, _ generator: inout Generator) -> Question {
    let name = "\(colour.rawValue) bar"
    return make(
      .chart,
      [
        "how high is the \(name)?", "what is the value of the \(name)?",
        "which value does the \(name) have?",
      ], height, of: Array(1...4), &generator
    ) { "the \(name) has the value \(numberWords[$0])" }
  }

  static func extreme(
    _ word: String, _ colour: Colour, among colours: [Colour], _ generator: inout Generator
  ) -> Question {
    make(
      .chart, ["which bar is the \(word)?", "what colour does the \(word) bar have?"], colour,
      of: colours, &generator
    ) { "the \($0.rawValue) bar is the \(word)" }
  }

  static func digit(_ name: String, _ value: Int, _ generator: inout Generator) -> Question {
    make(
      .digit, ["what is the \(name)?", "read the \(name)", "which number is the \(name)?"], value,
      of: Array(0...9), &generator
    ) { "the \(name) is \(numberWords[$0])" }
  }

  static func result(_ value: Int, _ generator: inout Generator) -> Question {
    make(
      .arithmetic, ["what is the result?", "work out the result", "how much does this make?"],
      value, of: Array(0...10), &generator
    ) { "the result is \(numberWords[$0])" }
  }

  static func odd(_ shape: Shape, _ colour: Colour, _ generator: inout Generator) -> Question {
    let right = "\(colour.rawValue) \(shape.rawValue)"
    let names = Shape.allCases.flatMap { shape in
      Colour.allCases.map { "\($0.rawValue) \(shape.rawValue)" }
    }
    return make(
      .odd,
      [
        "which object is the odd one out?", "what does not fit with the others?",
        "name the odd one out",
      ], right, of: names, &generator
    ) { "the odd one is the \($0)" }
  }

  /// - Parameter counts: two colours, each with its number of objects.
  static func comparison(
    _ counts: [(Colour, Int)], _ generator: inout Generator
  ) -> Question {
    let names = counts.map(\.0.rawValue)
    let listed = names.joined(separator: " or ")
    return make(
      .comparison,
      [
        "are there more \(listed) objects?", "which colour is more frequent, \(listed)?",
        "do you see more \(listed) objects?",
      ], counts[0].1 > counts[1].1 ? names[0] : names[1], of: names, &generator
    ) { "there are more \($0) objects" }
  }

  static func largest(
    _ word: String, _ value: Int, among values: [Int], _ generator: inout Generator
  ) -> Question {
    make(
      .largest, ["which digit is the \(word)?", "name the \(word) digit"], value,
      of: Array(0...9), &generator
    ) { "the \(word) digit is \(numberWords[$0])" }
  }
}

/// The dense labels of pretraining: one word for each merged visual token.
enum DenseQuery: String, CaseIterable {
  case cell, colour, row, column

  var text: String { "name each \(rawValue)" }

  /// What the query answers for a cell.
  func label(_ content: Content?, cell: Int) -> String {
    switch (self, content) {
    case (.row, _): numberWords[cell / Scene.side + 1]
    case (.column, _): numberWords[cell % Scene.side + 1]
    case (_, nil): "empty"
    case (.cell, .object(let shape, _)?): shape.rawValue
    case (.cell, .digit(let value, _)?): numberWords[value]
    case (.cell, .sign(let sign)?): sign.rawValue
    case (.cell, .bar?): "bar"
    case (.colour, .object(_, let colour)?), (.colour, .bar(let colour)?): colour.rawValue
    case (.colour, .digit?), (.colour, .sign?): Colour.white.rawValue
    }
  }
}
