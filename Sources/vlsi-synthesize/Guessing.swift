/// What a model that never looks at the picture could reach: to each question the answer that it
/// most often had in training scenes. A task is learned when a model is clearly above this.
struct Guessing {
  /// Training scenes that the guesses come from.
  static let images = 4000

  private let best: [String: String]

  /// - Parameter items: training items; their right answers count.
  init(_ items: [Item]) {
    var counts: [String: [String: Int]] = [:]
    for question in items.flatMap(\.questions) {
      counts[question.text, default: [:]][question.answer, default: 0] += 1
    }
    best = counts.compactMapValues { answers in
      // Of equally frequent answers the first by name, so that the figure is always the same.
      answers.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
    }
  }

  /// The share of `items`' questions guessed rightly, in all and by task.
  func accuracy(_ items: [Item]) -> (overall: Double, tasks: [Task: Double]) {
    var right: [Task: Int] = [:]
    var asked: [Task: Int] = [:]
    for question in items.flatMap(\.questions) {
      asked[question.task, default: 0] += 1
      if best[question.text] == question.answer { right[question.task, default: 0] += 1 }
    }
    let all = asked.values.reduce(0, +)
    return (
      all > 0 ? Double(right.values.reduce(0, +)) / Double(all) : 0,
      asked.reduce(into: [:]) { $0[$1.key] = Double(right[$1.key, default: 0]) / Double($1.value) }
    )
  }
}
