/// What a question asks for; each task mirrors a kind of real benchmark.
enum Task: String, CaseIterable, Sendable {
  case colour, shape, count, existence, place, side, chart, digit, arithmetic, odd, comparison
  case largest
}

/// A question about a scene with its right answer and the wrong ones of the same class.
struct Question: Sendable {
  var task: Task
  var text: String
  var answer: String
  /// Answers that differ in a word of the same class, or the opposite of a yes or no.
  var wrong: [String]
}

let numberWords = [
  "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
]

extension Scene {
  /// Questions about this scene in random order, at most `limit`, of `tasks` only.
  /// - exhaustive: about every object, not about some.
  func questions(
    _ limit: Int, of tasks: Set<Task> = Set(Task.allCases), exhaustive: Bool = false,
    _ generator: inout Generator
  ) -> [Question] {
    let all = exhaustive ? allCandidates(&generator) : candidates(&generator)
    return Array(generator.shuffled(all.filter { tasks.contains($0.task) }).prefix(limit))
  }

  private func candidates(_ generator: inout Generator) -> [Question] {
    switch kind {
    case .objects: objectQuestions(&generator)
    case .crowd: crowdQuestions(&generator)
    case .odd: oddQuestions(&generator)
    case .chart: chartQuestions(&generator)
    case .digit, .arithmetic, .digits: digitQuestions(&generator)
    case .dense: []
    }
  }

  private func allCandidates(_ generator: inout Generator) -> [Question] {
    switch kind {
    case .objects:
      objects.flatMap { object -> [Question] in
        let name = object.shape.rawValue
        return [
          .colour(of: object.shape, object.colour, &generator),
          .shape(of: object.colour, object.shape, &generator),
          existence(&generator), existence(&generator),
          .place(of: name, object.cell, &generator),
          .side(of: name, object.cell, &generator), .side(of: name, object.cell, &generator),
        ]
      }
    case .crowd:
      [.comparison(generator.shuffled(coloursCounted), &generator)]
        + coloursCounted.map { .count(of: "\($0.0.rawValue) objects", $0.1, &generator) }
        + shapesCounted.map { .count(of: $0.0.plural, $0.1, &generator) }
    default: candidates(&generator)
    }
  }

  private var objects: [(cell: Int, shape: Shape, colour: Colour)] {
    occupied.compactMap { cell, content in
      if case .object(let shape, let colour) = content { (cell, shape, colour) } else { nil }
    }
  }

  private func objectQuestions(_ generator: inout Generator) -> [Question] {
    let objects = generator.shuffled(objects)
    let (one, other, placed) = (objects[0], objects[1], generator.pick(objects))
    return [
      .colour(of: one.shape, one.colour, &generator),
      .shape(of: other.colour, other.shape, &generator),
      existence(&generator),
      .place(of: placed.shape.rawValue, placed.cell, &generator),
      .side(of: other.shape.rawValue, other.cell, &generator),
    ]
  }

  /// Is there such an object? Half of all answers is yes; of the nos, half names a colour and a
  /// shape that are both there, apart.
  private func existence(_ generator: inout Generator) -> Question {
    let objects = generator.shuffled(objects)
    let there = Set(objects.map { "\($0.colour.rawValue) \($0.shape.rawValue)" })
    if generator.chance(0.5) {
      return .existence(objects[0].shape, objects[0].colour, true, &generator)
    }
    if generator.chance(0.5),
      let pair = objects.dropFirst().first(where: {
        !there.contains("\($0.colour.rawValue) \(objects[0].shape.rawValue)")
      })
    {
      return .existence(objects[0].shape, pair.colour, false, &generator)
    }
    while true {
      let (shape, colour) = (generator.pick(Shape.allCases), generator.pick(Colour.allCases))
      if !there.contains("\(colour.rawValue) \(shape.rawValue)") {
        return .existence(shape, colour, false, &generator)
      }
    }
  }

  /// The colours of the objects, each with its number.
  private var coloursCounted: [(Colour, Int)] {
    Colour.allCases.compactMap { colour in
      let count = objects.count { $0.colour == colour }
      return count > 0 ? (colour, count) : nil
    }
  }

  /// The shapes of which there are one to five.
  private var shapesCounted: [(Shape, Int)] {
    Shape.allCases.compactMap { shape in
      let count = objects.count { $0.shape == shape }
      return (1...5).contains(count) ? (shape, count) : nil
    }
  }

  private func crowdQuestions(_ generator: inout Generator) -> [Question] {
    let counted = generator.pick(coloursCounted)
    var questions = [
      Question.count(of: "\(counted.0.rawValue) objects", counted.1, &generator),
      .comparison(generator.shuffled(coloursCounted), &generator),
    ]
    let shapes = shapesCounted
    if !shapes.isEmpty {
      let shape = generator.pick(shapes)
      questions.append(.count(of: shape.0.plural, shape.1, &generator))
    }
    return questions
  }

  private func oddQuestions(_ generator: inout Generator) -> [Question] {
    let names = objects.map { "\($0.colour.rawValue) \($0.shape.rawValue)" }
    guard
      let odd = objects.first(where: { object in
        names.count { $0 == "\(object.colour.rawValue) \(object.shape.rawValue)" } == 1
      })
    else { return [] }
    var questions = [Question.odd(odd.shape, odd.colour, &generator), existence(&generator)]
    if objects.count(where: { $0.shape == odd.shape }) == 1 {
      questions.append(.colour(of: odd.shape, odd.colour, &generator))
      questions.append(.side(of: odd.shape.rawValue, odd.cell, &generator))
    } else {
      questions.append(.shape(of: odd.colour, odd.shape, &generator))
    }
    return questions
  }

  private func chartQuestions(_ generator: inout Generator) -> [Question] {
    var bars: [(colour: Colour, height: Int)] = []
    for column in 0..<Scene.side {
      if case .bar(let colour)? = cells[(Scene.side - 1) * Scene.side + column] {
        let height = (0..<Scene.side).count { cells[$0 * Scene.side + column] != nil }
        bars.append((colour, height))
      }
    }
    var questions = generator.draw(2, of: bars).map { bar in
      Question.height(of: bar.colour, bar.height, &generator)
    }
    for (word, extreme) in [
      ("highest", bars.map(\.height).max()), ("lowest", bars.map(\.height).min()),
    ] {
      let found = bars.filter { $0.height == extreme }
      if found.count == 1 {
        questions.append(.extreme(word, found[0].colour, among: bars.map(\.colour), &generator))
      }
    }
    return questions
  }

  private func digitQuestions(_ generator: inout Generator) -> [Question] {
    let digits = occupied.compactMap { cell, content -> (cell: Int, value: Int)? in
      if case .digit(let value, _) = content { (cell, value) } else { nil }
    }
    let values = digits.map(\.value)
    switch kind {
    case .digit:
      return [
        .digit("digit", values[0], &generator),
        .place(of: "digit", digits[0].cell, &generator),
        .side(of: "digit", digits[0].cell, &generator),
      ]
    case .arithmetic:
      let minus = cells.contains(.sign(.minus))
      return [
        .result(minus ? values[0] - values[1] : values[0] + values[1], &generator),
        .digit("left digit", values[0], &generator),
        .digit("right digit", values[1], &generator),
      ]
    default:
      return [
        .largest("largest", values.max() ?? 0, among: values, &generator),
        .largest("smallest", values.min() ?? 0, among: values, &generator),
      ]
    }
  }
}
