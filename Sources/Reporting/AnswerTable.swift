import Evaluation

/// A few held-out questions with what every model answered.
struct AnswerTable: Sendable {
  struct Row: Sendable {
    var task: String
    var question: String
    var answer: String
    /// A PNG file.
    var image: [UInt8]?
    /// By contender, in the columns' order; nil where it was not asked.
    var given: [(text: String, isRight: Bool)?]
  }

  var contenders: [Contender] = []
  var pictures: Pictures?
  var rows: [Row] = []

  /// The most questions, and the most tasks that get two.
  static let most = 16

  /// Two questions of each task, a third and two thirds into it, or one from the middle where tasks
  /// are many: chosen by place, not by outcome. Of several seeds the first one answers.
  init(_ scores: ScoreTable, _ run: Run) {
    let asked = scores.rows.filter {
      Contender.known.contains($0.contender) && !$0.evaluations.isEmpty
    }
    guard let first = asked.last, let reference = first.evaluations.first else { return }
    contenders = asked.map(\.contender)
    let byIndex = asked.map { row in
      Dictionary(
        (row.evaluations.first?.predictions ?? []).map { ([$0.benchmark, $0.index], $0) },
        uniquingKeysWith: { first, _ in first })
    }
    let pictures = Pictures(run, first.contender)
    self.pictures = pictures
    let several = Set(reference.predictions.map(\.benchmark)).count > 1
    let tasks = Dictionary(grouping: reference.predictions) {
      several ? $0.benchmark : $0.category
    }
    let perTask = scores.tasks.count > AnswerTable.most / 2 ? 1 : 2
    for task in LineChart.thinned(scores.tasks, to: AnswerTable.most) {
      let questions = tasks[task] ?? []
      let places = Set((1...perTask).map { questions.count * $0 / (perTask + 1) }).sorted()
      for place in places where questions.indices.contains(place) {
        let question = questions[place]
        rows.append(
          Row(
            task: task, question: question.question, answer: pictures.answer(of: question),
            image: pictures.image(of: question),
            given: byIndex.map { predictions in
              predictions[[question.benchmark, question.index]].map {
                ($0.prediction, $0.isCorrect)
              }
            }))
      }
    }
  }
}
